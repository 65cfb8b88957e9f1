/// Why a message was given up.
package enum DeadReason: UInt8, Sendable, CaseIterable {
    /// Of a later release, or unreadable.
    case other = 0
    /// The payload is over what the outside broker takes.
    case payloadTooLarge = 1
    /// The topic has more bytes than the outside broker takes.
    case topicTooLong = 2
    /// The topic has more levels than the outside broker takes.
    case topicTooDeep = 3
    /// The packet is over the outside broker's Maximum Packet Size (MQTT 5.0 §3.2.2.3.6).
    case packetTooLarge = 4
    /// The outside broker answered with a reason code that says no.
    case refused = 5
    /// The outside broker closed the connection whenever it came.
    case closedOn = 6
    /// It is no message that can be sent.
    case malformed = 7

    /// For people, to follow "because".
    package var words: String {
        switch self {
        case .other: "of a reason that this release does not know"
        case .payloadTooLarge: "the payload is larger than the outside broker takes"
        case .topicTooLong: "the topic is longer than the outside broker takes"
        case .topicTooDeep: "the topic has more levels than the outside broker takes"
        case .packetTooLarge: "the packet is larger than the outside broker takes"
        case .refused: "the outside broker refused it"
        case .closedOn: "the outside broker closed the connection on it"
        case .malformed: "it can't be sent"
        }
    }
}

/// A message that will not be sent, kept for a person to decide about.
package struct DeadLetter: Sendable, Equatable {
    /// Most bytes of ``detail``.
    package static let maxDetailBytes = 200

    /// As it would have been sent. Its sequence is 0 if it was never in a spool; otherwise it leaves its spool in the commit
    /// that has this.
    package var record: SpoolRecord
    /// Why.
    package var reason: DeadReason
    /// The outside broker's words, or which limit; cut after ``maxDetailBytes``.
    package var detail: String
    /// The outside broker's Reason Code or return code; 0: it gave none.
    package var code: UInt8
    /// When it was given up, in milliseconds since 1970.
    package var diedAt: Int64

    /// All of it.
    package init(record: SpoolRecord, reason: DeadReason, detail: String, code: UInt8, diedAt: Int64) {
        self.record = record
        self.reason = reason
        self.detail = detail.prefix(utf8Bytes: Self.maxDetailBytes)
        self.code = code
        self.diedAt = diedAt
    }
}

/// A dead letter with its place in the store.
package struct StoredDeadLetter: Sendable, Equatable {
    /// Growing, never used twice.
    package var id: Int64
    /// What it was to be sent over; nil: nobody knows.
    package var lane: StoredLane?
    /// The letter. Its payload may have been left out.
    package var letter: DeadLetter
    /// Size of the whole payload.
    package var payloadBytes: Int
    /// A person wants it sent again, and the gateway has not yet put it back into the spool.
    package var isToBeResent: Bool
}

/// How many dead letters there are.
package struct DeadLetterCounts: Sendable, Equatable {
    /// Letters of each lane that has any.
    package var byUplink: [Int64: Int] = [:]
    /// Those among them that are to be sent again.
    package var toBeResent = 0

    /// All of them.
    package var total: Int { self.byUplink.values.reduce(0, +) }

    /// None.
    package init() {}
}

extension String {
    /// The longest part from the beginning that has at most so many bytes and ends with a whole character.
    fileprivate func prefix(utf8Bytes limit: Int) -> String {
        guard self.utf8.count > limit else { return self }
        var end = self.startIndex
        var bytes = 0
        for index in self.indices {
            bytes += self[index].utf8.count
            if bytes > limit { break }
            end = self.index(after: index)
        }
        return String(self[..<end])
    }
}
