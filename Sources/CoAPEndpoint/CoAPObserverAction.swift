package import CoAPCodec
package import NIOCore

/// Names a resource that a ``CoAPObserver`` observes; never used twice.
package typealias CoAPTargetID = UInt64

/// What the owner of a ``CoAPObserver`` has to do, in order.
package enum CoAPObserverAction: Sendable {
    /// One datagram.
    case send(ByteBuffer, to: CoAPPeer)
    /// A representation came, the first one or a new one.
    case representation(ObservedRepresentation)
    /// The first success since the beginning, since a failure, or since it was otherwise.
    ///
    /// - Parameter isObserved: False: the node does not take observers, so it is asked again and again.
    case established(CoAPTargetID, isObserved: Bool)
    /// It is tried again later, by itself.
    case failed(CoAPTargetID, CoAPObserverFailure)
    /// Everything that ``CoAPObserver/stop(now:into:)`` had to say was answered, or given up.
    case stopped
}

/// What a node says that its resource is now.
package struct ObservedRepresentation: Sendable {
    package let target: CoAPTargetID
    /// The whole body, whatever blocks it came in.
    package let payload: ByteBuffer
    package let contentFormat: CoAPContentFormat?
    /// Seconds.
    package let maxAge: UInt32
    /// To be given back by ``CoAPObserver/acknowledge(_:now:into:)``; `nil`: nobody waits for an acknowledgement.
    package let receipt: CoAPReceipt?
}

/// A confirmable message that the owner has to acknowledge.
package struct CoAPReceipt: Hashable, Sendable {
    let peer: CoAPPeer
    /// Of the ``ReceivedResponse``.
    let id: UInt64
    let messageID: UInt16
}

/// Why a resource is not observed at present.
package enum CoAPObserverFailure: Equatable, Sendable, CustomStringConvertible {
    /// Nothing came, however often the request was sent; or an empty ACK and then nothing.
    case noAnswer
    /// RST.
    case reset
    /// 4.xx, 5.xx.
    case refused(CoAPCode)
    /// A code that no answer to GET has.
    case unexpected(CoAPCode)
    /// A critical option that is not understood; the message was rejected.
    case badOption(CoAPOptionNumber)
    /// Blocks that do not fit together.
    case malformedBlocks
    /// The representation changed while its blocks were fetched.
    case changedMeanwhile
    /// Over the limit in bytes.
    case tooLarge(limit: Int)

    /// For the operator.
    package var description: String {
        switch self {
        case .noAnswer: "no answer"
        case .reset: "the node rejects the request (RST)"
        case .refused(let code): "the node answers \(code)"
        case .unexpected(let code): "the node answers \(code), which is no answer to GET"
        case .badOption(let number): "the answer has the critical option \(number), which is not understood"
        case .malformedBlocks: "the blocks of the answer do not fit together"
        case .changedMeanwhile: "the representation changed while its blocks were fetched"
        case .tooLarge(let limit): "the representation has more than \(limit) bytes"
        }
    }
}

/// What a ``CoAPObserver`` has seen and done. Counted from its beginning.
package struct CoAPObserverCounters: Equatable, Sendable {
    /// Representations handed to the owner.
    package internal(set) var representations: UInt64 = 0
    /// Datagrams that were no message.
    package internal(set) var malformed: UInt64 = 0
    /// Messages that answer nothing: of a wrong address, with a token or Message ID that nobody waits for.
    package internal(set) var misplaced: UInt64 = 0
    /// Messages that came again.
    package internal(set) var duplicates: UInt64 = 0
    /// Notifications older than one that was there before (RFC 7641 §3.4).
    package internal(set) var stale: UInt64 = 0
    /// Confirmable messages not taken because too many waited for the owner.
    package internal(set) var heldBack: UInt64 = 0
    /// Requests that were sent again.
    package internal(set) var retransmissions: UInt64 = 0
    /// Failures of any kind.
    package internal(set) var failures: UInt64 = 0
}
