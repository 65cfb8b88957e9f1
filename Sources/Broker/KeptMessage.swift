/// A message in storage of its own, shared by all the queues that it waits in. Bound to the gateway's loop.
package final class KeptMessage {
    package let message: Message
    /// Under which the store has it; 0: it does not.
    package internal(set) var number: Int64

    package init(_ message: Message, number: Int64 = 0) {
        self.message = message
        self.number = number
    }
}

/// One message on its way to any number of sessions: copied out of its read buffer once, when the first of them has to keep
/// it.
package struct OutgoingMessage {
    package let message: Message
    private var kept: KeptMessage?

    package init(_ message: Message) {
        self.message = message
    }

    /// A message that is in storage of its own already. It gets a number of its own: the store forgets a message when no
    /// session waits for it any more.
    package init(_ kept: KeptMessage) {
        self.message = kept.message
        self.kept = KeptMessage(kept.message)
    }

    /// The message to be kept.
    mutating func keep() -> KeptMessage {
        if let kept = self.kept { return kept }
        let kept = KeptMessage(self.message.compacted())
        self.kept = kept
        return kept
    }
}
