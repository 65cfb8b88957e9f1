internal import DequeModule
internal import MQTTCodec
internal import NIOCore

/// All that the broker owes an answer for: QoS 1 messages until PUBACK, QoS 2 messages until PUBREC and then until PUBCOMP.
///
/// They stay over any number of connections. What one connection allows, the broker's Receive Maximum and the window, is
/// counted anew on each: what does not fit is sent again as the answers make room `[MQTT-3.3.4-9]`, `[MQTT-4.9.0-2]`.
struct OutboundWindow {
    /// Most messages, releases included. May change at any time; what is in the window stays.
    var limit: Int
    /// Most QoS 2 messages, releases included.
    private let exactlyOnceLimit: Int
    /// The broker's Receive Maximum.
    private(set) var receiveMaximum = 65_535
    private(set) var atLeastOnce: AtLeastOnceWindow
    private(set) var exactlyOnce = ExactlyOnceWindow()
    var releases = ReleaseWindow()
    /// Identifiers of releases that are done, and which the owner still has written down: after a crash they would be released
    /// again, so no message may have them.
    private var forgetting: Set<UInt16> = []
    /// Most bytes of topics, payloads and properties together; a single message may be larger, and is then alone.
    private let maxBytes: Int
    private(set) var bytes = 0
    private var nextOrder: UInt64 = 0
    /// PUBLISHes of this connection that the broker has not answered to the end.
    private(set) var unanswered = 0
    /// Messages that have to be written again before new ones are, in the order in which they were sent at first.
    private var toResend: Deque<UInt16> = []

    init(limit: Int, exactlyOnceLimit: Int, maxBytes: Int) {
        precondition(
            (1...Int(AtLeastOnceWindow.lastPacketID)).contains(limit),
            "in-flight limit \(limit) is not 1 to 32,767"
        )
        self.limit = limit
        self.exactlyOnceLimit = max(1, exactlyOnceLimit)
        self.maxBytes = maxBytes
        self.atLeastOnce = AtLeastOnceWindow(capacity: limit)
    }

    /// Messages and releases.
    var count: Int { self.atLeastOnce.count + self.exactlyOnce.count + self.releases.count }

    /// Messages that still fit, as far as counts decide.
    var freeSlots: Int {
        guard self.toResend.isEmpty else { return 0 }
        return max(0, min(self.limit - self.count, self.receiveMaximum - self.unanswered))
    }

    /// Whether the broker owes an answer.
    var isOwed: Bool { !self.atLeastOnce.isEmpty || !self.exactlyOnce.isEmpty || self.releases.isOwed }

    /// Number of the message that was sent first of those that are not answered with PUBACK or PUBREC.
    var oldest: Int64? {
        (self.atLeastOnce.all + self.exactlyOnce.all).min { $0.order < $1.order }?.sequence
    }

    /// Whether a message that the broker has not taken has this identifier.
    func isInUse(_ packetID: UInt16) -> Bool {
        self.atLeastOnce.contains(packetID) || self.exactlyOnce.contains(packetID)
    }

    private subscript(_ packetID: UInt16) -> UplinkMessage? {
        self.atLeastOnce[packetID] ?? self.exactlyOnce[packetID]
    }

    // MARK: Messages

    /// The packet identifier that the message would have; `nil` if there is no room, or its identifier is in use.
    @inline(__always)
    func packetID(for message: borrowing UplinkMessage, qos: QoS) -> UInt16? {
        guard self.freeSlots > 0 else { return nil }
        guard self.bytes == 0 || self.bytes + message.size <= self.maxBytes else { return nil }
        guard qos == .exactlyOnce else { return self.atLeastOnce.nextPacketID }
        guard self.exactlyOnce.count + self.releases.count < self.exactlyOnceLimit else { return nil }
        let packetID = ExactlyOnceWindow.packetID(of: message.sequence)
        let isTaken =
            self.exactlyOnce.contains(packetID) || self.releases.contains(packetID)
            || self.forgetting.contains(packetID)
        return isTaken ? nil : packetID
    }

    /// Takes the message into the window, as written under the identifier that ``packetID(for:qos:)`` gave.
    @inline(__always)
    mutating func append(_ message: consuming UplinkMessage, qos: QoS) {
        let size = message.size
        let order = self.nextOrder
        self.bytes += size
        self.unanswered += 1
        self.nextOrder += 1
        if qos == .exactlyOnce {
            self.exactlyOnce.insert(message, size: size, order: order, isWritten: true)
        } else {
            self.atLeastOnce.append(message, size: size, order: order, isWritten: true)
        }
    }

    /// A PUBACK came. For a QoS 2 message too it says that the broker has it: RabbitMQ, which has no QoS 2, takes such a message
    /// at QoS 1.
    ///
    /// - Returns: The message's number; `nil` if no message with this identifier waits for one.
    @inline(__always)
    mutating func acknowledge(_ packetID: UInt16) -> Int64? {
        let taken =
            packetID < ExactlyOnceWindow.firstPacketID
            ? self.atLeastOnce.acknowledge(packetID) : self.exactlyOnce.acknowledge(packetID)
        guard let (sequence, size) = taken else { return nil }
        self.bytes -= size
        self.unanswered -= 1
        return sequence
    }

    /// A PUBREC came, which takes the message or refuses it.
    ///
    /// - Returns: The message's number; `nil` if no message with this identifier waits for one.
    mutating func receivePubRec(_ packetID: UInt16, isTaken: Bool) -> Int64? {
        guard let (sequence, size) = self.exactlyOnce.acknowledge(packetID) else { return nil }
        self.bytes -= size
        if isTaken {
            self.releases.append(packetID, sequence: sequence, isCounted: true)
        } else {
            self.unanswered -= 1
        }
        return sequence
    }

    /// A PUBCOMP came; `false` if no PUBREL of this identifier is out.
    mutating func complete(_ packetID: UInt16) -> Bool {
        guard let isCounted = self.releases.complete(packetID) else { return false }
        if isCounted { self.unanswered -= 1 }
        self.forgetting.insert(packetID)
        return true
    }

    /// The owner has forgotten the release of this identifier for good.
    mutating func forget(_ packetID: UInt16) {
        self.forgetting.remove(packetID)
    }

    /// Takes a message out that is not to be sent again. Not on a connection.
    ///
    /// - Returns: `false` if there is none with this number.
    mutating func withdraw(sequence: Int64) -> Bool {
        let packetID = ExactlyOnceWindow.packetID(of: sequence)
        if self.exactlyOnce[packetID]?.sequence == sequence {
            self.abandon(packetID)
            self.releases.append(packetID, sequence: sequence, isCounted: false, isReleased: true)
            return true
        }
        guard let found = self.atLeastOnce.all.first(where: { $0.sequence == sequence }) else { return false }
        self.abandon(found.packetID)
        return true
    }

    private mutating func abandon(_ packetID: UInt16) {
        let entry = self.atLeastOnce.remove(packetID) ?? self.exactlyOnce.remove(packetID)
        self.bytes -= entry?.size ?? 0
    }

    // MARK: Connections

    /// A connection begins: nothing is written on it yet.
    ///
    /// - Parameters:
    ///   - check: Why a message is not to be sent again; `nil` if it is.
    ///   - session: What is to be told of it.
    mutating func begin(
        _ limits: ServerLimits,
        session: inout UplinkSession,
        check: (UplinkMessage) -> UplinkSession.UnsendableReason?
    ) {
        self.receiveMaximum = limits.receiveMaximum
        self.unanswered = 0
        if session.isPresent {
            session.unreleased = self.releases.unreleased
        } else {  // [MQTT-3.2.2-5]
            session.forgottenReleases = self.releases.packetIDs
            self.forgetting.formUnion(session.forgottenReleases)
            self.releases.removeAll()
        }
        self.toResend.removeAll(keepingCapacity: true)
        let entries = (self.atLeastOnce.all + self.exactlyOnce.all).sorted { $0.order < $1.order }  // [MQTT-4.6.0-1]
        for (packetID, sequence, order) in entries {
            guard let message = self[packetID] else { continue }
            let qos: QoS = packetID < ExactlyOnceWindow.firstPacketID ? .atLeastOnce : .exactlyOnce
            if let reason = check(message) {
                let releaseID = self.takeOut(packetID, sequence, isReleased: false, isPresent: session.isPresent)
                session.unsendable.append(.init(sequence: message.sequence, reason: reason, releaseID: releaseID))
            } else if qos <= limits.maxQoS {
                self.atLeastOnce.setWritten(packetID, false)
                self.exactlyOnce.setWritten(packetID, false)
                self.toResend.append(packetID)
            } else if limits.maxQoS == .atLeastOnce {
                self.refile(packetID, message, order: order, isPresent: session.isPresent)
            } else {
                _ = self.takeOut(packetID, sequence, isReleased: true, isPresent: session.isPresent)
                session.sentAtMostOnce.append(message.sequence)
            }
        }
    }

    /// The next message that may be written again; it counts as written.
    mutating func nextToResend() -> (packetID: UInt16, message: UplinkMessage)? {
        while self.unanswered < min(self.limit, self.receiveMaximum), let packetID = self.toResend.popFirst() {
            guard let message = self[packetID] else { continue }
            self.atLeastOnce.setWritten(packetID, true)
            self.exactlyOnce.setWritten(packetID, true)
            self.unanswered += 1
            return (packetID, message)
        }
        return nil
    }

    /// Whether ``nextToResend()`` has something to give, now or later.
    var isResending: Bool { !self.toResend.isEmpty }

    /// Takes a message out of which the broker may have the PUBLISH of QoS 2: then its identifier is released.
    private mutating func takeOut(
        _ packetID: UInt16,
        _ sequence: Int64,
        isReleased: Bool,
        isPresent: Bool
    ) -> UInt16? {
        self.abandon(packetID)
        guard packetID >= ExactlyOnceWindow.firstPacketID, isPresent else { return nil }
        self.releases.append(packetID, sequence: sequence, isCounted: false, isReleased: isReleased)
        return packetID
    }

    /// Makes a QoS 1 message of a QoS 2 one, for a broker that takes no more.
    private mutating func refile(_ packetID: UInt16, _ message: UplinkMessage, order: UInt64, isPresent: Bool) {
        _ = self.takeOut(packetID, message.sequence, isReleased: true, isPresent: isPresent)
        let size = message.size
        self.bytes += size
        self.toResend.append(self.atLeastOnce.nextPacketID)
        self.atLeastOnce.append(message, size: size, order: order, isWritten: false)
    }
}
