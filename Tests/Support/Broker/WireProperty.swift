/// One property of an MQTT 5.0 packet (MQTT 5.0 §2.2.2.2), as it is on the wire.
package struct WireProperty: Equatable, Sendable {
    /// What it holds.
    package enum Value: Equatable, Sendable {
        /// Of one, two or four bytes, or a Variable Byte Integer.
        case number(UInt32)
        /// Text or Binary Data.
        case bytes([UInt8])
        /// Name and value.
        case pair(String, String)
    }

    /// Its identifier.
    package let id: UInt8
    /// What it holds.
    package let value: Value

    /// A property with this identifier.
    package init(_ id: UInt8, _ value: Value) {
        self.id = id
        self.value = value
    }

    /// One of one, two or four bytes, or a Variable Byte Integer.
    package static func number(_ id: UInt8, _ number: UInt32) -> Self { .init(id, .number(number)) }
    /// A text.
    package static func text(_ id: UInt8, _ text: String) -> Self { .init(id, .bytes(Array(text.utf8))) }
    /// A User Property.
    package static func user(_ name: String, _ value: String) -> Self { .init(0x26, .pair(name, value)) }

    package static let messageExpiry: UInt8 = 0x02
    package static let contentType: UInt8 = 0x03
    package static let responseTopic: UInt8 = 0x08
    package static let correlationData: UInt8 = 0x09
    package static let subscriptionIdentifier: UInt8 = 0x0B
    package static let sessionExpiry: UInt8 = 0x11
    package static let assignedClientID: UInt8 = 0x12
    package static let serverKeepAlive: UInt8 = 0x13
    package static let reason: UInt8 = 0x1F
    package static let receiveMaximum: UInt8 = 0x21
    package static let topicAliasMaximum: UInt8 = 0x22
    package static let topicAlias: UInt8 = 0x23
    package static let maximumQoS: UInt8 = 0x24
    package static let retainAvailable: UInt8 = 0x25
    package static let maximumPacketSize: UInt8 = 0x27

    private enum Width { case byte, short, long, variable, bytes, pair }

    private static func width(_ id: UInt8) -> Width? {
        switch id {
        case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A: .byte
        case 0x13, 0x21, 0x22, 0x23: .short
        case 0x02, 0x11, 0x18, 0x27: .long
        case 0x0B: .variable
        case 0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F: .bytes
        case 0x26: .pair
        default: nil
        }
    }

    init?(from reader: inout WireReader) {
        guard let id = reader.byte(), let width = Self.width(id) else { return nil }
        let value: Value? =
            switch width {
            case .byte: reader.byte().map { .number(UInt32($0)) }
            case .short: reader.short().map { .number(UInt32($0)) }
            case .long: reader.long().map { .number($0) }
            case .variable: reader.variable().map { .number(UInt32($0)) }
            case .bytes: reader.binary().map { .bytes($0) }
            case .pair: reader.text().flatMap { name in reader.text().map { .pair(name, $0) } }
            }
        guard let value else { return nil }
        self.init(id, value)
    }

    /// Identifier and value as they go on the wire.
    var encoded: [UInt8] {
        switch self.value {
        case .number(let number):
            let bytes = (0..<4).map { UInt8(number >> (24 - 8 * $0) & 0xFF) }
            switch Self.width(self.id) {
            case .byte: return [self.id] + bytes.suffix(1)
            case .short: return [self.id] + bytes.suffix(2)
            case .variable: return [self.id] + Wire.variable(Int(number))
            default: return [self.id] + bytes
            }
        case .bytes(let bytes): return [self.id] + Wire.short(UInt16(bytes.count)) + bytes
        case .pair(let name, let value): return [self.id] + Wire.text(name) + Wire.text(value)
        }
    }
}

extension [WireProperty] {
    /// The number of the first property with this identifier.
    package func number(_ id: UInt8) -> UInt32? {
        for property in self where property.id == id {
            if case .number(let number) = property.value { return number }
        }
        return nil
    }

    /// The text of the first property with this identifier.
    package func text(_ id: UInt8) -> String? {
        for property in self where property.id == id {
            if case .bytes(let bytes) = property.value { return String(decoding: bytes, as: UTF8.self) }
        }
        return nil
    }

    /// The User Properties with this name, in order.
    package func user(_ name: String) -> [String] {
        self.compactMap { property in
            if case .pair(name, let value) = property.value { value } else { nil }
        }
    }
}
