package import Broker
package import Devices
package import MQTTCodec
package import NIOCore

/// One message that waits for an uplink.
package struct SpoolRecord: Sendable, Equatable {
    /// Position in the order of all messages, 1 to 2^48 - 1: given by the loop, growing, never used twice. See
    /// ``Store/lastSequence``.
    package var sequence: Int64
    /// From ``Store/uplinkID(named:lane:device:)``.
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
    /// As `MQTTProperties.serialized` gives them; empty: none.
    package var properties: ByteBuffer
    /// When it is worth nothing any more, in milliseconds since 1970; nil: never.
    package var expiresAt: Int64?
    /// It was taken while the time of day was not known: ``storedAt`` and ``expiresAt`` mean nothing after a restart.
    package var isClockless: Bool

    /// All of it.
    package init(
        sequence: Int64,
        uplink: Int64,
        topic: ByteBuffer,
        payload: ByteBuffer,
        qos: QoS,
        retain: Bool,
        device: DeviceID?,
        storedAt: Int64,
        properties: ByteBuffer = ByteBuffer(),
        expiresAt: Int64? = nil,
        isClockless: Bool = false
    ) {
        self.sequence = sequence
        self.uplink = uplink
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.device = device
        self.storedAt = storedAt
        self.properties = properties
        self.expiresAt = expiresAt
        self.isClockless = isClockless
    }

    /// What it counts for against `max_bytes`: topic, payload and properties.
    package var countedBytes: Int {
        self.topic.readableBytes + self.payload.readableBytes + self.properties.readableBytes
    }
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

/// What has to be remembered of the session IDs that one device published for its commands. Public values, no secrets.
package struct CommandSessionRecord: Sendable, Equatable {
    /// The device's id.
    package var device: String
    /// Those that are not used yet and outlive a restart, as the loop writes them; empty: none.
    package var ids: ByteBuffer
    /// What tells those that were used; empty: none.
    package var used: ByteBuffer

    /// All of it.
    package init(device: String, ids: ByteBuffer, used: ByteBuffer) {
        self.device = device
        self.ids = ids
        self.used = used
    }
}

/// What the loop wants written. All of it is in one transaction: it is there as a whole or not at all.
package struct StoreBatch: Sendable {
    /// Sequences of one lane that its outside broker has acknowledged.
    package struct Acknowledgement: Sendable, Equatable {
        /// From ``Store/uplinkID(named:lane:device:)``.
        package var uplink: Int64
        /// May reach over sequences that are not there.
        package var sequences: ClosedRange<Int64>

        /// Both.
        package init(uplink: Int64, sequences: ClosedRange<Int64>) {
            self.uplink = uplink
            self.sequences = sequences
        }
    }

    /// New records, in the order of their sequences.
    package var inserts: [SpoolRecord] = []
    /// Records to delete. A failed batch's acknowledgements are not lost: the store keeps and retries them.
    package var acknowledged: [Acknowledgement] = []
    /// Messages that are given up. Of a failed batch those that are in a spool are kept and tried again, as acknowledgements
    /// are; those that never were have failed with it, for their publishers were not acknowledged either.
    package var dead: [DeadLetter] = []
    /// Dead letters, by their ids, that ``inserts`` of this batch put back into the spool.
    package var resent: [Int64] = []
    /// Applied in order, before ``held``. Those of a failed batch are kept and tried again, as acknowledgements are.
    package var releases: [ReleaseChange] = []
    /// Applied in order. Of a failed batch each `free` is kept and tried again; a `hold` has failed with the message that it
    /// belongs to.
    package var held: [HeldChange] = []
    /// The time of day, in milliseconds since 1970, below which a clock can't be right: written if the one on disk is a
    /// minute or more away from it, and not worth a commit of its own.
    package var timeFloor: Int64?
    /// Applied after the acknowledgements and before the inserts, so that there is room.
    package var drops: [Drop] = []
    /// Applied in order.
    package var retained: [RetainedChange] = []
    /// Applied in order; each takes the place of what was remembered of its device, and one without any bytes of all of it.
    package var commandSessions: [CommandSessionRecord] = []
    /// Applied in order; each takes the place of what was remembered of its context. Those of a failed batch are the loop's
    /// to try again, as they are then.
    package var oscore: [OSCORERecord] = []
    /// What ``sessions`` of this batch enqueue, in any order. One that nothing of the same commit enqueues is not kept.
    package var messages: [StoredMessage] = []
    /// Applied in order. What is enqueued and dequeued in one commit is never written, and nothing of a session that ends
    /// in it. Changes of sessions that are not there are passed over, and so are messages to be enqueued that are neither
    /// there nor in the commit. Those of a failed batch are the loop's to try again.
    package var sessions: [SessionChange] = []

    /// An empty batch.
    package init() {}

    /// Whether there is nothing to do.
    package var isEmpty: Bool {
        self.inserts.isEmpty && self.acknowledged.isEmpty && self.drops.isEmpty && self.retained.isEmpty
            && self.messages.isEmpty && self.sessions.isEmpty && self.dead.isEmpty && self.resent.isEmpty
            && self.releases.isEmpty && self.held.isEmpty && self.commandSessions.isEmpty
            && self.oscore.isEmpty
    }

    /// Whether it may have failed only because the disk is full.
    var takesSpace: Bool {
        !self.inserts.isEmpty || !self.messages.isEmpty || !self.sessions.isEmpty || !self.dead.isEmpty
            || !self.releases.isEmpty || !self.held.isEmpty || !self.commandSessions.isEmpty
            || !self.oscore.isEmpty
    }

    /// How many rows it touches, roughly: a bound for the size of one transaction.
    var weight: Int {
        self.inserts.count + self.acknowledged.count + self.drops.count + self.retained.count + self.messages.count
            + self.sessions.count + self.dead.count + self.resent.count + self.releases.count + self.held.count
            + self.commandSessions.count + self.oscore.count
    }
}

/// What became of a batch that is safe on disk.
package struct CommittedBatch: Sendable, Equatable {
    /// What the batch's drops took away, by uplink and device.
    package var dropped: [DroppedRecords] = []
    /// The spools of the uplinks that this commit touched, as they are after it.
    package var totals: [SpoolTotals] = []
    /// Older dead letters that went for the batch's.
    package var deadDropped = 0
}

/// Records of one device that were dropped, for the counters and the log.
package struct DroppedRecords: Sendable, Equatable {
    /// The lane that they waited in.
    package var uplink: Int64
    /// Their sender; nil: the gateway itself.
    package var device: DeviceID?
    /// How many.
    package var messages: Int
    /// Their topics, payloads and properties.
    package var bytes: Int
    /// The highest sequence among them. Whether all older ones went too, the drop's extent says: see
    /// ``StoreBatch/Drop/Extent/takes(_:through:)``.
    package var lastSequence: Int64 = 0
}

/// The size of one lane's spool.
///
/// Exact, but after a crash: then up to ``StoreOptions/uncountedHoles`` records that were acknowledged out of order are
/// counted until the older ones are gone. Never too low.
package struct SpoolTotals: Sendable, Equatable {
    /// From ``Store/uplinkID(named:lane:device:)``.
    package var uplink: Int64
    /// Records waiting.
    package var messages: Int
    /// Their topics, payloads and properties.
    package var bytes: Int
    /// When the oldest of known time was accepted, in milliseconds since 1970; nil: there is none.
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

/// Some records of one lane, in the order that its cursor asked for.
package struct SpoolPage: Sendable, Equatable {
    /// Topics, payloads and properties are slices of one buffer for the whole page. May be empty though more is there, if
    /// what was read can't be used.
    package var records: [SpoolRecord]
    /// Whether nothing was stored beyond the last of ``records`` when they were read.
    package var isLast: Bool
    /// The sequence of the last row that was read, whether it can be used or not: where to read on. nil: there was none. A bad
    /// row may still be there, for a full disk keeps it from being deleted.
    package var readThrough: Int64?
}
