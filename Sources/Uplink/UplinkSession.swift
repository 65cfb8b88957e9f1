/// What the beginning of a connection decided about the messages and identifiers of the connections before.
package struct UplinkSession: Equatable, Sendable {
    /// Why a message left the window unsent.
    package enum UnsendableReason: Equatable, Sendable {
        /// It does not fit into a packet that this broker takes.
        case tooLarge(limit: Int)
        /// Its time was over before the broker was back.
        case expired
    }

    /// A message that was in flight, and is not sent again.
    package struct Unsendable: Equatable, Sendable {
        package let sequence: Int64
        package let reason: UnsendableReason
        /// Of a QoS 2 message: its release has to be written down as after ``UplinkAction/pubrec(sequence:packetID:)``, and
        /// ``UplinkClient/release(packetID:into:)`` called, for the broker may have it under this identifier.
        package let releaseID: UInt16?

        package init(sequence: Int64, reason: UnsendableReason, releaseID: UInt16? = nil) {
            self.sequence = sequence
            self.reason = reason
            self.releaseID = releaseID
        }
    }

    /// Whether the broker still has the session.
    package var isPresent: Bool
    /// A release that the owner has not yet said to be written down.
    package struct Unreleased: Equatable, Sendable {
        package let sequence: Int64
        package let packetID: UInt16

        package init(sequence: Int64, packetID: UInt16) {
            self.sequence = sequence
            self.packetID = packetID
        }
    }

    /// The broker still has the session. QoS 2 messages that it took on an earlier connection: as
    /// ``UplinkAction/pubrec(sequence:packetID:)`` for each once more, in this order, as the writing may have failed.
    package var unreleased: [Unreleased] = []
    /// The broker lost the session. Releases of QoS 2 that are done by that, for it had these messages and nothing more can
    /// be said about them: as ``UplinkAction/completed(packetID:)`` for each.
    package var forgottenReleases: [UInt16] = []
    /// The broker lost the session. Held identifiers of QoS 2 that mean nothing any more: the owner forgets them too. Among
    /// them are those of messages that it is about to store.
    package var forgottenHeld: [UInt16] = []
    /// Messages of the window that went out once at QoS 0, as the broker takes no more than that now: done.
    package var sentAtMostOnce: [Int64] = []
    /// Messages that left the window.
    package var unsendable: [Unsendable] = []

    /// A session about which there is nothing else to say.
    package init(isPresent: Bool) {
        self.isPresent = isPresent
    }
}
