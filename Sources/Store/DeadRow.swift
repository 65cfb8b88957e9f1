import Devices
import NIOCore

/// A row of table `dead` as a letter.
enum DeadRow {
    /// To be selected in this order.
    static let columns = DeadRow.selection(payload: "payload")

    /// With another expression in place of the whole payload.
    static func selection(payload: String) -> String {
        """
        id, uplink, sequence, flags, stored_at, expires_at, died_at, reason, code, resend, detail, device, topic, properties, \
        \(payload), length(payload)
        """
    }

    /// nil if no release up to this one can have stored it. ``StoredDeadLetter/lane`` is left out.
    static func letter(_ row: borrowing PreparedStatement) -> StoredDeadLetter? {
        let flags = SpoolFlags(rawValue: row.integer(3))
        let sequence = row.integer(2)
        guard flags.isValid, SpoolKey.uplinks.contains(row.integer(1)),
            sequence == 0 || SpoolKey.sequences.contains(sequence)
        else { return nil }
        let record = SpoolRecord(
            sequence: sequence,
            uplink: row.integer(1),
            topic: row.buffer(12),
            payload: row.buffer(14),
            qos: flags.qos,
            retain: flags.isRetained,
            device: row.text(11).flatMap { try? DeviceID($0) },
            storedAt: SpoolFlags.plausible(row.integer(4)),
            properties: row.buffer(13),
            expiresAt: row.optionalInteger(5).flatMap { StoredTime.range.contains($0) ? $0 : nil },
            isClockless: flags.isClockless
        )
        let letter = DeadLetter(
            record: record,
            reason: UInt8(exactly: row.integer(7)).flatMap(DeadReason.init(rawValue:)) ?? .other,
            detail: row.text(10) ?? "",
            code: UInt8(truncatingIfNeeded: row.integer(8)),
            diedAt: SpoolFlags.plausible(row.integer(6))
        )
        return StoredDeadLetter(
            id: row.integer(0),
            letter: letter,
            payloadBytes: Int(row.integer(15)),
            isToBeResent: row.integer(9) != 0
        )
    }
}
