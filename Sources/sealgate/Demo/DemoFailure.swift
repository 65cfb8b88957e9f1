/// Why the demo can't go on: something that should have happened did not.
struct DemoFailure: Error, CustomStringConvertible {
    /// One clause, in words for the person who watches.
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
