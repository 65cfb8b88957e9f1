import MQTTCodec
import NIOCore

/// Whether an outside broker is told that the gateway is there. One that does not let it publish on the state topic may refuse the
/// connection for its will, or end it on the message: then nothing is said there while that helps. Pure.
struct StateSpeech {
    /// Failures in a row for which the state topic may be to blame, before it is left out.
    static let patience = 2
    /// A connection that lives so long after the message did not end because of it.
    static let trial = TimeAmount.seconds(10)

    /// Where; nil: nowhere.
    let topic: TopicName?
    /// Left out for now.
    private(set) var isHeldBack = false
    private var failures = 0
    /// When it was said on this connection, if the broker has not acknowledged it.
    private var saidAt: NIODeadline?

    init(topic: TopicName?) {
        self.topic = topic
    }

    /// The topic to speak on with the next connection.
    var current: TopicName? { self.isHeldBack ? nil : self.topic }

    /// "online" was sent.
    mutating func said(now: NIODeadline) { self.saidAt = now }

    /// The broker has acknowledged it.
    mutating func acknowledged() {
        self.saidAt = nil
        self.failures = 0
    }

    /// The broker refused the connection for want of rights, which may be those of the will.
    ///
    /// - Returns: Whether the state topic is left out from now on.
    mutating func refused() -> Bool { self.failed(isSuspect: true) }

    /// The connection ended after it had been accepted.
    ///
    /// - Returns: Whether the state topic is left out from now on.
    mutating func closed(now: NIODeadline) -> Bool {
        self.failed(isSuspect: self.saidAt.map { now - $0 < Self.trial } ?? false)
    }

    private mutating func failed(isSuspect: Bool) -> Bool {
        self.saidAt = nil
        guard self.topic != nil else { return false }
        guard !self.isHeldBack else {
            // It fails without, too, or has held for long: another try does no harm.
            self.isHeldBack = false
            self.failures = 0
            return false
        }
        self.failures = isSuspect ? self.failures + 1 : 0
        self.isHeldBack = self.failures >= Self.patience
        return self.isHeldBack
    }
}
