/// Takes the fields of one MQTT packet out of its bytes. Written for the tests alone: a peer that shared the gateway's codec
/// would share its mistakes.
struct WireReader {
    private let bytes: [UInt8]
    private var position: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        self.position = 0
    }

    /// How many bytes are left.
    var count: Int { self.bytes.count - self.position }

    mutating func byte() -> UInt8? {
        guard self.count >= 1 else { return nil }
        defer { self.position += 1 }
        return self.bytes[self.position]
    }

    /// Two bytes.
    mutating func short() -> UInt16? {
        guard let high = self.byte(), let low = self.byte() else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    /// Four bytes.
    mutating func long() -> UInt32? {
        guard let high = self.short(), let low = self.short() else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }

    /// A Variable Byte Integer.
    mutating func variable() -> Int? {
        var value = 0
        for shift in stride(from: 0, to: 28, by: 7) {
            guard let byte = self.byte() else { return nil }
            value |= Int(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    mutating func take(_ count: Int) -> [UInt8]? {
        guard self.count >= count else { return nil }
        defer { self.position += count }
        return Array(self.bytes[self.position..<self.position + count])
    }

    /// Everything that is left.
    mutating func rest() -> [UInt8] {
        defer { self.position = self.bytes.count }
        return Array(self.bytes[self.position...])
    }

    /// Binary Data: bytes behind their length.
    mutating func binary() -> [UInt8]? {
        guard let count = self.short() else { return nil }
        return self.take(Int(count))
    }

    mutating func text() -> String? {
        self.binary().map { String(decoding: $0, as: UTF8.self) }
    }

    /// Properties behind their length, in the order in which they came.
    mutating func properties() -> [WireProperty]? {
        guard let length = self.variable(), let bytes = self.take(length) else { return nil }
        var reader = WireReader(bytes)
        var properties: [WireProperty] = []
        while reader.count > 0 {
            guard let property = WireProperty(from: &reader) else { return nil }
            properties.append(property)
        }
        return properties
    }
}
