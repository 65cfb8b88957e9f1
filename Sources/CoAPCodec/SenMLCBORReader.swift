import NIOCore

/// A pack in CBOR (RFC 8428 §6).
struct SenMLCBORReader: SenMLReader {
    private var cursor: CBORCursor
    private var state = State.start
    private var record = 0

    private enum State {
        case start
        /// Records that are still to come; `nil`: until a break.
        case records(UInt64?)
    }

    init(_ pack: ByteBuffer) { self.cursor = CBORCursor(pack) }

    mutating func next() throws(SenMLError) -> SenMLFields? {
        if case .start = self.state {
            guard case .array(let count) = try self.cursor.head() else { throw SenMLError(.syntax) }
            self.state = .records(count)
        }
        guard case .records(let left) = self.state else { preconditionFailure("no pack was begun") }
        let isEnd: Bool
        if let left { isEnd = left == 0 } else { isEnd = try self.cursor.readBreak() }
        guard !isEnd else {
            guard self.cursor.isAtEnd else { throw self.error(.trailingBytes) }
            return nil
        }
        self.state = .records(left.map { $0 - 1 })
        self.record += 1
        do { return try self.readRecord() } catch { throw error.placed(record: self.record) }
    }

    private mutating func readRecord() throws(SenMLError) -> SenMLFields {
        var fields = SenMLFields(record: self.record, offset: self.cursor.offset)
        guard case .map(let count) = try self.cursor.head() else { throw self.error(.syntax) }
        var left = count
        while left != 0 {
            if let some = left { left = some - 1 } else if try self.cursor.readBreak() { break }
            switch try self.cursor.head() {
            case .unsigned(let number): try self.readField(Int64(exactly: number), into: &fields)
            case .negative(let number): try self.readField(Int64(exactly: number).map { -1 - $0 }, into: &fields)
            case .text(let length):
                let label = try self.cursor.text(length, limit: SenMLLimits.labelBytes)
                guard label.utf8.last != UInt8(ascii: "_") else { throw self.error(.notUnderstood) }
                try self.cursor.skip(try self.cursor.head())
            case .bytes, .array, .map, .tag, .bool, .float, .simple, .breakCode: throw self.error(.syntax)
            }
        }
        return fields
    }

    private mutating func readField(_ number: Int64?, into fields: inout SenMLFields) throws(SenMLError) {
        // No more integers will be defined; what a sender means by one is not known, and not marked as important.
        guard let number, let label = SenMLLabel(cbor: number) else {
            try self.cursor.skip(try self.cursor.head())
            return
        }
        do throws(SenMLError) {
            guard fields.insert(label) else { throw self.error(.duplicate) }
            try self.read(label, into: &fields)
        } catch {
            throw error.placed(field: label)
        }
    }

    private mutating func read(_ label: SenMLLabel, into fields: inout SenMLFields) throws(SenMLError) {
        let head = try self.cursor.head()
        switch label {
        case .bver: fields.version = try self.number(head)
        case .bn: fields.baseName = try self.text(head, limit: SenMLLimits.nameBytes)
        case .bt: fields.baseTime = try self.number(head)
        case .bu: fields.baseUnit = try self.text(head, limit: SenMLLimits.nameBytes)
        case .bv: fields.baseValue = try self.number(head)
        case .bs: fields.baseSum = try self.number(head)
        case .n: fields.name = try self.text(head, limit: SenMLLimits.nameBytes)
        case .u: fields.unit = try self.text(head, limit: SenMLLimits.nameBytes)
        case .v: fields.value = try self.number(head)
        case .vs: fields.text = try self.text(head, limit: SenMLLimits.packBytes)
        case .s: fields.sum = try self.number(head)
        case .t: fields.time = try self.number(head)
        case .ut: fields.updateTime = try self.number(head)
        case .vb:
            guard case .bool(let value) = head else { throw self.error(.wrongType) }
            fields.bool = value
        case .vd:
            guard case .bytes(let length) = head else { throw self.error(.wrongType) }
            fields.data = try self.cursor.content(length)
        }
    }

    private mutating func number(_ head: CBORCursor.Head) throws(SenMLError) -> SenMLNumber {
        guard let number = try self.cursor.number(head) else { throw self.error(.wrongType) }
        return number
    }

    private mutating func text(_ head: CBORCursor.Head, limit: Int) throws(SenMLError) -> String {
        guard case .text(let length) = head else { throw self.error(.wrongType) }
        return try self.cursor.text(length, limit: limit)
    }

    private func error(_ kind: SenMLError.Kind) -> SenMLError { SenMLError(kind, offset: self.cursor.offset) }
}
