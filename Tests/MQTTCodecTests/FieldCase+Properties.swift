import MQTTCodec
import NIOCore

extension FieldCase {
    /// What may be wrong with the properties of any packet, whatever they are.
    static func properties(_ field: PacketShape.Field, _ replace: Replacement) -> [FieldCase] {
        let content = wire(field.value)
        let size = content.readableBytes
        func behind(_ more: ByteBuffer) -> ByteBuffer {
            var bytes = ByteBuffer(bytes: [UInt8(size + more.readableBytes)])
            bytes.writeImmutableBuffer(content)
            bytes.writeImmutableBuffer(more)
            return bytes
        }
        func length(_ digits: [UInt8]) -> ByteBuffer {
            var bytes = ByteBuffer(bytes: digits)
            bytes.writeImmutableBuffer(content)
            return bytes
        }
        let number = "Property Identifier"
        var cases = [
            replace("padded", length([UInt8(size) | 0x80, 0]), .varIntNotMinimal, "Property Length", 0),
            replace("five bytes", length([0xFF, 0xFF, 0xFF, 0xFF, 0x01]), .varIntTooLong, "Property Length", 0),
            replace("beyond the packet", length([0xFF, 0xFF, 0xFF, 0x7F]), .truncated, "Properties", 4),
            // The user property at the end has a value of three bytes.
            replace("ending in a value", length([UInt8(size - 1)]), .truncated, "User Property", 1 + size - 3),
            replace("ending in an identifier", behind(wire("A6")), .truncated, number, 1 + size),
            replace("padded", behind(wire("A600 0001'k'0001'v'")), .varIntNotMinimal, number, 1 + size),
            replace("five bytes", behind(wire("A680808000 0001'k'0001'v'")), .varIntTooLong, number, 1 + size),
            replace("two bytes", behind(wire("8001")), .unknownProperty(128), number, 1 + size),
            replace(
                "0x26 with a higher byte",
                behind(wire("A602 0001'k'0001'v'")),
                .unknownProperty(0x126),
                number,
                1 + size
            ),
        ]
        for identifier: UInt8 in [0x00, 0x04, 0x07, 0x0A, 0x0C, 0x10, 0x14, 0x1B, 0x1D, 0x20, 0x2B, 0x7F] {
            let bytes = behind(ByteBuffer(bytes: [identifier, 0, 0, 0, 0]))
            cases.append(
                replace(
                    "0x\(String(identifier, radix: 16))",
                    bytes,
                    .unknownProperty(UInt32(identifier)),
                    number,
                    1 + size
                )
            )
        }
        for odd in OddText.illFormed + OddText.withNull {
            let kind = Self.kind(of: odd)
            var name = ByteBuffer(bytes: [0x26])
            name.writeImmutableBuffer(odd.field)
            name.writeImmutableBuffer(wire("0001'v'"))
            cases.append(replace("name with \(odd.name)", behind(name), kind, "User Property", 1 + size + 1))
            var value = wire("26 0001'k'")
            value.writeImmutableBuffer(odd.field)
            cases.append(replace("value with \(odd.name)", behind(value), kind, "User Property", 1 + size + 4))
        }
        return cases
    }

    static func kind(of odd: OddText) -> MQTTDecodeError.Kind {
        OddText.withNull.contains { $0.name == odd.name } ? .nullCharacter : .illFormedUTF8
    }

    /// Every property with values that it may not have, in a packet that it may be in.
    static let propertyValues: [FieldCase] = {
        func shape(_ name: String) -> PacketShape? { PacketShape.all.first { $0.name == name && $0.version == .v5 } }
        return PropertySample.all.flatMap { sample -> [FieldCase] in
            guard let shape = shape(sample.packet), let index = shape.properties(ofWill: sample.isOfWill) else {
                return []
            }
            return sample.wrong.map { what, value, kind in
                var properties = wire(sample.before)
                let before = properties.readableBytes
                properties.writeInteger(sample.identifier)
                properties.writeImmutableBuffer(value)
                var bytes = ByteBuffer(bytes: [UInt8(properties.readableBytes)])
                bytes.writeImmutableBuffer(properties)
                let frame = shape.frame(replacing: index, with: bytes)
                let offset = shape.offset(of: index) - 2 + Int(frame.headerSize) + 1 + before + 1
                let error = MQTTDecodeError(kind: kind, field: sample.name, offset: offset)
                return FieldCase(shape, what, frame, error)
            }
        }
    }()
}

extension PacketShape {
    /// The index of the packet's own properties, or of those of its will.
    func properties(ofWill isOfWill: Bool) -> Int? {
        let indices = self.fields.indices.filter { self.fields[$0].kind == .properties }
        return isOfWill ? indices.dropFirst().first : indices.first
    }
}
