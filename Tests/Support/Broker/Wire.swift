/// MQTT packets as bytes, right or wrong.
package enum Wire {
    /// Two bytes.
    package static func short(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }

    /// A text behind its length.
    package static func text(_ text: String) -> [UInt8] { self.short(UInt16(text.utf8.count)) + text.utf8 }

    /// A Variable Byte Integer.
    package static func variable(_ number: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = number
        repeat {
            bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes
    }

    /// A packet: its first byte, and the rest behind its length.
    package static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        [first] + self.variable(body.count) + body
    }

    /// Properties behind their length.
    package static func properties(_ properties: [WireProperty]) -> [UInt8] {
        let bytes = properties.flatMap(\.encoded)
        return self.variable(bytes.count) + bytes
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP; with a code only where it says something.
    package static func acknowledgement(
        _ first: UInt8,
        _ id: UInt16,
        code: UInt8 = 0,
        reason: String? = nil
    ) -> [UInt8] {
        guard code != 0 || reason != nil else { return [first, 2, UInt8(id >> 8), UInt8(id & 0xFF)] }
        let words = reason.map { self.properties([.text(WireProperty.reason, $0)]) } ?? []
        return self.packet(first, self.short(id) + [code] + words)
    }

    /// A PUBLISH; properties are for level 5 only.
    package static func publish(
        _ topic: String,
        _ payload: [UInt8],
        qos: UInt8,
        id: UInt16,
        isDuplicate: Bool = false,
        retain: Bool = false,
        properties: [WireProperty] = [],
        level: UInt8
    ) -> [UInt8] {
        let flags = qos << 1 | (isDuplicate ? 8 : 0) | (retain ? 1 : 0)
        let head = self.text(topic) + (qos == 0 ? [] : self.short(id))
        return self.packet(0x30 | flags, head + (level == 5 ? self.properties(properties) : []) + payload)
    }
}
