/// Where sessions write down what has to outlive a restart. Called on the gateway's loop.
///
/// Everything appended in one turn of the loop is in one batch, on disk as a whole or not at all. Batches have growing
/// numbers; what failed to be written is in a later batch again, or undone by ``Session/undo(order:)``.
package protocol SessionJournal: AnyObject {
    /// A number that was never given before, for a session or a place in a queue; grows.
    func nextNumber() -> Int64

    /// Adds the change.
    ///
    /// - Returns: The batch that it is in.
    @discardableResult
    func append(_ change: SessionChange) -> UInt64

    /// Adds the message, to be waited for by sessions of the same batch or of later ones.
    ///
    /// - Returns: Its number.
    func keep(_ message: Message) -> Int64

    /// Whether the batch, and so every one before it, is on disk.
    func isSafe(_ batch: UInt64) -> Bool

    /// Calls ``Session/pump()`` after the next batch.
    func wake(_ session: Session)
}
