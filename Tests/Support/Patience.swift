extension Duration {
    /// How long a test waits for what must come. Nobody waits as long unless it fails: the figure says nothing of how fast
    /// something is, only that a machine full of other tests may take its time.
    package static var patience: Duration { .seconds(90) }
}
