import MQTTCodec

/// Column `flags` of the spool and of the dead letters: QoS in bits 0 and 1, RETAIN in bit 2, taken without a clock in bit 3.
struct SpoolFlags {
    private static let retain: Int64 = 4
    private static let clockless: Int64 = 8

    let rawValue: Int64

    init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    init(_ record: SpoolRecord) {
        self.rawValue =
            Int64(record.qos.rawValue) | (record.retain ? Self.retain : 0)
            | (record.isClockless ? Self.clockless : 0)
    }

    /// Whether this release can have written them.
    var isValid: Bool { 0...15 ~= self.rawValue && self.rawValue & 3 <= 2 }

    var qos: QoS { QoS(rawValue: UInt8(self.rawValue & 3)) ?? .atLeastOnce }

    var isRetained: Bool { self.rawValue & Self.retain != 0 }

    var isClockless: Bool { self.rawValue & Self.clockless != 0 }

    /// A record is worth more than its time: one that nobody can have stored counts as not known.
    static func plausible(_ time: Int64) -> Int64 {
        StoredTime.range.contains(time) ? time : StoredTime.range.upperBound
    }

    /// See ``SpoolRecord/knownTime``.
    func knownTime(_ storedAt: Int64) -> Int64 {
        self.isClockless ? StoredTime.range.upperBound : Self.plausible(storedAt)
    }
}
