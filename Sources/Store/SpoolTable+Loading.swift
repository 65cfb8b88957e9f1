import Devices
import GRDBSQLite
import MQTTCodec
import NIOCore

/// Reading a lane.
extension SpoolTable {
    /// A row whose bytes are in the page's buffer already.
    private struct LoadedRow {
        var key: Int64
        var flags: SpoolFlags
        var storedAt: Int64
        var expiresAt: Int64?
        var topicBytes: Int
        var payloadBytes: Int
        var propertyBytes: Int
        var device: String?
    }

    /// Some records of a lane, and the keys of those that were left out.
    struct Loaded {
        var page: SpoolPage
        /// Rows that this release can't have written.
        var bad: [Int64] = []
    }

    /// Reads at most `maxMessages` records, and after the first of them no more than `maxBytes` of topics, payloads and
    /// properties. Bad rows count as any.
    func load(
        uplink: Int64,
        from cursor: SpoolCursor,
        maxMessages: Int,
        maxBytes: Int
    ) throws(SQLiteFailure) -> Loaded {
        switch cursor {
        case .after(let sequence):
            guard sequence < SpoolKey.sequences.upperBound,
                let keys = SpoolKey.range(uplink: uplink, sequences: max(sequence, 0) + 1...Int64.max)
            else { break }
            return try self.read(self.forwardStatement, uplink, keys, maxMessages, maxBytes)
        case .before(let sequence):
            guard sequence > SpoolKey.sequences.lowerBound,
                let keys = SpoolKey.range(uplink: uplink, sequences: 1...sequence - 1)
            else { break }
            return try self.read(self.backwardStatement, uplink, keys, maxMessages, maxBytes)
        }
        return Loaded(page: SpoolPage(records: [], isLast: true))
    }

    private func read(
        _ statement: borrowing PreparedStatement,
        _ uplink: Int64,
        _ keys: ClosedRange<Int64>,
        _ maxMessages: Int,
        _ maxBytes: Int
    ) throws(SQLiteFailure) -> Loaded {
        statement.bind(keys.lowerBound, at: 1)
        statement.bind(keys.upperBound, at: 2)
        defer { statement.reset() }

        // Slices can be taken only when the buffer grows no more, so the records wait as their sizes.
        var rows: [LoadedRow] = []
        var bytes = ByteBuffer()
        var isLast = true
        while try statement.step() {
            let (topic, payload, properties) = (statement.bytes(3), statement.bytes(5), statement.bytes(6))
            let isFull =
                rows.count >= maxMessages
                || bytes.readableBytes + topic.count + payload.count + properties.count > maxBytes
            if isFull && !rows.isEmpty {
                isLast = false
                break
            }
            bytes.writeBytes(topic)
            bytes.writeBytes(payload)
            bytes.writeBytes(properties)
            rows.append(
                LoadedRow(
                    key: statement.integer(0),
                    flags: SpoolFlags(rawValue: statement.integer(1)),
                    storedAt: statement.integer(2),
                    expiresAt: statement.optionalInteger(7),
                    topicBytes: topic.count,
                    payloadBytes: payload.count,
                    propertyBytes: properties.count,
                    device: statement.text(4)
                )
            )
        }
        let readThrough = rows.last.map { SpoolKey.sequence(of: $0.key) }
        var loaded = Loaded(page: SpoolPage(records: [], isLast: isLast, readThrough: readThrough))
        loaded.page.records.reserveCapacity(rows.count)
        for row in rows {
            if let record = Self.record(row, uplink: uplink, &bytes) {
                loaded.page.records.append(record)
            } else {
                loaded.bad.append(row.key)
            }
        }
        return loaded
    }

    /// nil if no release up to this one can have stored it.
    private static func record(_ row: LoadedRow, uplink: Int64, _ bytes: inout ByteBuffer) -> SpoolRecord? {
        // A topic that no broker takes would end the connection again and again.
        guard let topic = bytes.readSlice(length: row.topicBytes),
            let payload = bytes.readSlice(length: row.payloadBytes),
            let properties = bytes.readSlice(length: row.propertyBytes),
            row.flags.isValid, (try? TopicName(validating: topic)) != nil
        else { return nil }
        // A message is worth more than its properties: those that can't be read are left out.
        let isReadable = row.propertyBytes == 0 || (try? MQTTProperties(serialized: properties)) != nil
        return SpoolRecord(
            sequence: SpoolKey.sequence(of: row.key),
            uplink: uplink,
            topic: topic,
            payload: payload,
            qos: row.flags.qos,
            retain: row.flags.isRetained,
            device: row.device.flatMap { try? DeviceID($0) },
            storedAt: SpoolFlags.plausible(row.storedAt),
            properties: isReadable ? properties : ByteBuffer(),
            expiresAt: row.expiresAt.flatMap { StoredTime.range.contains($0) ? $0 : nil },
            isClockless: row.flags.isClockless
        )
    }

    /// Inside a transaction: deletes rows by their keys.
    func remove(bad keys: [Int64], uplink: Int64) throws(SQLiteFailure) {
        for key in keys {
            let sequence = SpoolKey.sequence(of: key)
            try self.delete(uplink: uplink, sequences: sequence...sequence)
        }
    }
}
