/// Puts the base fields of a pack into its records (RFC 8428 §4.1, §4.5 and §4.6).
struct SenMLResolver {
    /// Times below are relative to now (RFC 8428 §4.5.3).
    private static let firstAbsoluteTime = 268_435_456.0

    private let now: SenMLNumber?
    private var name = ""
    private var time: SenMLNumber?
    private var unit: String?
    private var value: SenMLNumber?
    private var sum: SenMLNumber?
    private var version = SenMLLimits.version

    init(now: SenMLNumber?) { self.now = now }

    /// The next record of the pack. Its base fields hold for it and for those behind it.
    mutating func resolve(_ fields: SenMLFields) throws(SenMLError) -> SenMLRecord {
        do { return try self.resolve(one: fields) } catch {
            throw SenMLError(error.kind, field: error.field, record: fields.record, offset: fields.offset)
        }
    }

    private mutating func resolve(one fields: SenMLFields) throws(SenMLError) -> SenMLRecord {
        if let version = fields.version {
            guard case .integer(let number) = version, (1...SenMLLimits.version).contains(number) else {
                throw SenMLError(.version, field: SenMLLabel.bver.rawValue)
            }
            self.version = number
        }
        self.name = fields.baseName ?? self.name
        self.time = fields.baseTime ?? self.time
        self.unit = fields.baseUnit ?? self.unit
        self.value = fields.baseValue ?? self.value
        self.sum = fields.baseSum ?? self.sum

        let name = self.name + (fields.name ?? "")
        guard Self.isName(name) else { throw SenMLError(.name, field: SenMLLabel.n.rawValue) }
        var record = SenMLRecord(name: name, version: self.version)
        record.unit = fields.unit ?? self.unit
        record.sum = try Self.add(self.sum, fields.sum, .s)
        record.time = try self.resolveTime(fields.time)
        record.updateTime = fields.updateTime

        var values: [SenMLRecord.Value] = []
        if let text = fields.text { values.append(.text(text)) }
        if let bool = fields.bool { values.append(.bool(bool)) }
        if let data = fields.data { values.append(.data(data)) }
        // The base value is added to numbers; where there is none it stands alone, unless the record has another kind of value.
        if fields.value != nil || values.isEmpty {
            if let number = try Self.add(self.value, fields.value, .v) { values.append(.number(number)) }
        }
        guard values.count == 1 || values.isEmpty && record.sum != nil else { throw SenMLError(.valueCount) }
        record.value = values.first
        return record
    }

    /// Base time and time together, and now if they are relative to it.
    private func resolveTime(_ time: SenMLNumber?) throws(SenMLError) -> SenMLNumber? {
        let sum = try Self.add(self.time, time, .t)
        let isRelative = (sum?.double ?? 0) < Self.firstAbsoluteTime
        return isRelative && self.now != nil ? try Self.add(self.now, sum, .t) : sum
    }

    /// The sum of what there is; `nil` if there is nothing.
    private static func add(
        _ base: SenMLNumber?,
        _ own: SenMLNumber?,
        _ label: SenMLLabel
    ) throws(SenMLError) -> SenMLNumber? {
        guard let base, let own else { return base ?? own }
        guard let sum = base.adding(own) else { throw SenMLError(.number, field: label.rawValue) }
        return sum
    }

    /// The characters of RFC 8428 §4.5.1, and no part between slashes that is no level of a topic, or no path segment.
    private static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, bytes.count <= SenMLLimits.nameBytes, Self.isLetterOrDigit(first) else {
            return false
        }
        guard bytes.allSatisfy({ Self.isLetterOrDigit($0) || "-:./_".utf8.contains($0) }) else { return false }
        return bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
