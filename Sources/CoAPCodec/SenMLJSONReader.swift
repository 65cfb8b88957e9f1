import NIOCore

/// A pack in JSON (RFC 8428 §5), as strict as RFC 8259 is.
///
/// By hand: Foundation's decoder takes UTF-16, commas at the end of lists and a field twice without a word, and needs ten times
/// as long for a pack of one record, on the loop that has everything else to do.
struct SenMLJSONReader: SenMLReader {
    private var cursor: JSONCursor
    private var record = 0

    init(_ pack: ByteBuffer) { self.cursor = JSONCursor(pack) }

    mutating func next() throws(SenMLError) -> SenMLFields? {
        let hasMore: Bool
        if self.record == 0 {
            try self.cursor.expect(UInt8(ascii: "["))
            hasMore = try !self.cursor.take(UInt8(ascii: "]"))
        } else {
            hasMore = try self.cursor.take(UInt8(ascii: ","), orEnd: UInt8(ascii: "]"))
        }
        guard hasMore else {
            guard self.cursor.isAtEnd else { throw self.error(.trailingBytes) }
            return nil
        }
        self.record += 1
        do { return try self.readRecord() } catch { throw error.placed(record: self.record) }
    }

    private mutating func readRecord() throws(SenMLError) -> SenMLFields {
        var fields = SenMLFields(record: self.record, offset: self.cursor.offset)
        try self.cursor.expect(UInt8(ascii: "{"))
        if try self.cursor.take(UInt8(ascii: "}")) { return fields }
        repeat {
            let name = try self.cursor.string(limit: SenMLLimits.labelBytes)
            try self.cursor.expect(UInt8(ascii: ":"))
            guard let label = SenMLLabel(rawValue: name) else {
                guard name.utf8.last != UInt8(ascii: "_") else { throw self.error(.notUnderstood) }
                try self.cursor.skip()
                continue
            }
            do throws(SenMLError) {
                guard fields.insert(label) else { throw self.error(.duplicate) }
                try self.read(label, into: &fields)
            } catch {
                throw error.placed(field: label)
            }
        } while try self.cursor.take(UInt8(ascii: ","), orEnd: UInt8(ascii: "}"))
        return fields
    }

    private mutating func read(_ label: SenMLLabel, into fields: inout SenMLFields) throws(SenMLError) {
        switch label {
        case .bver: fields.version = try self.cursor.number()
        case .bn: fields.baseName = try self.cursor.string(limit: SenMLLimits.nameBytes)
        case .bt: fields.baseTime = try self.cursor.number()
        case .bu: fields.baseUnit = try self.cursor.string(limit: SenMLLimits.nameBytes)
        case .bv: fields.baseValue = try self.cursor.number()
        case .bs: fields.baseSum = try self.cursor.number()
        case .n: fields.name = try self.cursor.string(limit: SenMLLimits.nameBytes)
        case .u: fields.unit = try self.cursor.string(limit: SenMLLimits.nameBytes)
        case .v: fields.value = try self.cursor.number()
        case .vs: fields.text = try self.cursor.string(limit: SenMLLimits.packBytes)
        case .vb: fields.bool = try self.cursor.bool()
        case .s: fields.sum = try self.cursor.number()
        case .t: fields.time = try self.cursor.number()
        case .ut: fields.updateTime = try self.cursor.number()
        case .vd:
            let text = try self.cursor.string(limit: SenMLLimits.packBytes)
            guard let data = Base64URL.decode(text) else { throw self.error(.data) }
            fields.data = ByteBuffer(bytes: data)
        }
    }

    private func error(_ kind: SenMLError.Kind) -> SenMLError { SenMLError(kind, offset: self.cursor.offset) }
}
