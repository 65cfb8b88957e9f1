/// What the queues of all sessions hold together, so that many small queues don't add up to all memory. Bound to the
/// gateway's loop.
final class QueueBudget {
    /// What a message costs beside its bytes: two buffers and its place in a queue.
    static let bytesPerMessage = 256

    private let limit: Int
    /// What this one is a share of.
    private let whole: QueueBudget?
    /// Bytes held now.
    private(set) var used = 0

    /// - Parameters:
    ///   - limit: In bytes.
    ///   - whole: What is held here is held there, too, and needs room in both.
    init(limit: Int, of whole: QueueBudget? = nil) {
        self.limit = limit
        self.whole = whole
    }

    /// Whether a message of this size may be queued. Those who are here may use twice the limit: what absent clients left
    /// behind must not cost a present one its messages, and who stays slow is cut off.
    func hasRoom(for size: Int, isPresent: Bool) -> Bool {
        self.used + size + Self.bytesPerMessage <= (isPresent ? self.limit * 2 : self.limit)
            && self.whole?.hasRoom(for: size, isPresent: isPresent) ?? true
    }

    /// A queue that held `old` bytes holds `new` bytes.
    func change(from old: Int, to new: Int) {
        self.used += new - old
        self.whole?.change(from: old, to: new)
    }
}
