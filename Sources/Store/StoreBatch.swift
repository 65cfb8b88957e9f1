package import Broker
package import Devices
package import MQTTCodec
package import NIOCore

/// One message that waits for an uplink.
package struct SpoolRecord: Sendable, Equatable {
    /// Position in the order of all messages, 1 to 2^48 - 1: given by the loop, growing, never used twice. See
    /// ``Store/lastSequence``.
    package var sequence: Int64
    /// From ``Store/uplinkID(named:)``.
    package var uplink: Int64
    /// The outside topic's bytes.
    package var topic: ByteBuffer
    /// The message as it will be sent.
    package var payload: ByteBuffer
    /// For the outside broker.
    package var qos: QoS
    /// The RETAIN flag for the outside broker.
    package var retain: Bool
    /// Who sent it, for the log; nil: the gateway itself.
    package var device: DeviceID?
    /// When it was accepted, in milliseconds since 1970.
    package var storedAt: Int64

    /// All of it.
    package init(
        sequence: Int64,
        uplink: Int64,
        topic: ByteBuffer,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool,
        device: DeviceID?,
        storedAt: Int64
    ) {
        self.sequence = sequence
        self.uplink = uplink
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.device = device
        self.storedAt = storedAt
    }

    /// What it counts for against `max_bytes`: topic and payload.
    package var countedBytes: Int { self.topic.readableBytes + self.payload.readableBytes }
}

/// A message that the local broker keeps for a topic.
package struct RetainedRecord: Sendable, Equatable {
    /// The local topic's bytes.
    package var topic: ByteBuffer
    /// Not empty.
    package var payload: ByteBuffer
    /// As it was published.
    package var qos: QoS
    /// See ``Message/publisher``; nil: the gateway itself.
    package var publisher: String?
    /// When it was accepted, in milliseconds since 1970.
    package var storedAt: Int64
    /// As `MQTTProperties.serialized` gives them; empty: none.
    package var properties: ByteBuffer
    /// When it is worth nothing any more, in milliseconds since 1970; nil: never.
    package var expiresAt: Int64?

    /// All of it.
    package init(
        topic: ByteBuffer,
        payload: ByteBuffer,
        qos: QoS,
        publisher: String?,
        storedAt: Int64,
        properties: ByteBuffer = ByteBuffer(),
        expiresAt: Int64? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.publisher = publisher
        self.storedAt = storedAt
        self.properties = properties
        self.expiresAt = expiresAt
    }
}

/// What happens to the retained message of one topic.
package enum RetainedChange: Sendable, Equatable {
    /// The topic's message is this from now on.
    case set(RetainedRecord)
    /// The topic, by its bytes, has none any more.
    case clear(topic: ByteBuffer)
}

/// What the loop wants written. All of it is in one transaction: it is there as a whole or not at all.
package struct StoreBatch: Sendable {
    /// Sequences of one uplink that its outside broker has acknowledged.
    package struct Acknowledgement: Sendable, Equatable {
        /// From ``Store/uplinkID(named:)``.
        package var uplink: Int64
        /// May reach over sequences that are not there.
        package var sequences: ClosedRange<Int64>

        /// Both.
        package init(uplink: Int64, sequences: ClosedRange<Int64>) {
            self.uplink = uplink
            self.sequences = sequences
        }
    }

    /// Records to take from the front of an uplink's spool without having been delivered.
    package struct Drop: Sendable, Equatable {
        /// Which records go.
        package enum Extent: Sendable, Equatable {
            /// That many of the oldest (`when_full = "drop-oldest"`).
            case oldest(count: Int)
            /// Those stored before a time in milliseconds since 1970 (`max_age`), up to the first that is younger.
            case storedBefore(Int64)
        }

        /// From ``Store/uplinkID(named:)``.
        package var uplink: Int64
        /// Which records go.
        package var extent: Extent

        /// Both.
        package init(uplink: Int64, extent: Extent) {
            self.uplink = uplink
            self.extent = extent
        }
    }

    /// New records, in the order of their sequences.
    package var inserts: [SpoolRecord] = []
    /// Records to delete. A failed batch's acknowledgements are not lost: the store keeps and retries them.
    package var acknowledged: [Acknowledgement] = []
    /// Applied after the acknowledgements and before the inserts, so that there is room.
    package var drops: [Drop] = []
    /// Applied in order.
    package var retained: [RetainedChange] = []
    /// What ``sessions`` of this batch enqueue, in any order. One that nothing of the same commit enqueues is not kept.
    package var messages: [StoredMessage] = []
    /// Applied in order. What is enqueued and dequeued in one commit is never written, and nothing of a session that ends
    /// in it. Changes of sessions that are not there are passed over, and so are messages to be enqueued that are neither
    /// there nor in the commit.
    ///
    /// Of a failed batch, `end`, `dequeue`, `unsubscribe` and `free` are not lost (unless the batch takes them back): the
    /// store keeps and retries them, 4,096 at most. Past that the oldest dequeues are forgotten first, and those messages
    /// are sent again after a restart.
    package var sessions: [SessionChange] = []

    /// An empty batch.
    package init() {}

    /// Whether there is nothing to do.
    package var isEmpty: Bool {
        self.inserts.isEmpty && self.acknowledged.isEmpty && self.drops.isEmpty && self.retained.isEmpty
            && self.messages.isEmpty && self.sessions.isEmpty
    }

    /// Whether it may have failed only because the disk is full.
    var takesSpace: Bool { !self.inserts.isEmpty || !self.messages.isEmpty || !self.sessions.isEmpty }

    /// How many rows it touches, roughly: a bound for the size of one transaction.
    var weight: Int {
        self.inserts.count + self.acknowledged.count + self.drops.count + self.retained.count + self.messages.count
            + self.sessions.count
    }
}

/// What became of a batch that is safe on disk.
package struct CommittedBatch: Sendable, Equatable {
    /// What the batch's drops took away, by uplink and device.
    package var dropped: [DroppedRecords] = []
    /// The spools of the uplinks that this commit touched, as they are after it.
    package var totals: [SpoolTotals] = []
}

/// Records of one device that were dropped, for the counters and the log.
package struct DroppedRecords: Sendable, Equatable {
    /// The uplink that they waited for.
    package var uplink: Int64
    /// Their sender; nil: the gateway itself.
    package var device: DeviceID?
    /// How many.
    package var messages: Int
    /// Their topics and payloads.
    package var bytes: Int
    /// The highest sequence among them.
    package var lastSequence: Int64 = 0
}

/// The size of one uplink's spool.
///
/// Counted from the first record to the last: a record acknowledged before an older one counts until the older is
/// gone, so the figures are never too low, and too high by the in-flight window at most.
package struct SpoolTotals: Sendable, Equatable {
    /// From ``Store/uplinkID(named:)``.
    package var uplink: Int64
    /// Records waiting.
    package var messages: Int
    /// Their topics and payloads.
    package var bytes: Int
    /// When the oldest was accepted, in milliseconds since 1970; nil: there is none.
    package var oldestStoredAt: Int64?
    /// Of the first and the last record; nil: there is none.
    package var sequences: ClosedRange<Int64>?

    /// Those of an empty spool, unless filled.
    package init(
        uplink: Int64,
        messages: Int = 0,
        bytes: Int = 0,
        oldestStoredAt: Int64? = nil,
        sequences: ClosedRange<Int64>? = nil
    ) {
        self.uplink = uplink
        self.messages = messages
        self.bytes = bytes
        self.oldestStoredAt = oldestStoredAt
        self.sequences = sequences
    }
}

/// Some records of one uplink, oldest first.
package struct SpoolPage: Sendable, Equatable {
    /// Topics and payloads are slices of one buffer for the whole page.
    package var records: [SpoolRecord]
    /// Whether nothing was stored behind the last of ``records`` when they were read.
    package var isLast: Bool
}
