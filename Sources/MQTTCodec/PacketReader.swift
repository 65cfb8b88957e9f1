import NIOCore

/// Reads the fields of one packet in order and knows where it is, so that every refusal names field and offset. No read
/// goes past the packet, or past the section (the properties) that the reader is limited to.
struct PacketReader {
    private var buffer: ByteBuffer
    /// Offset in the packet of index 0 of `buffer`.
    private let base: Int
    var version: MQTTVersion
    /// Who sent the packet; nil if that is not checked.
    let sender: MQTTPeer?
    let maxUserProperties: Int

    init(_ frame: MQTTFrame, version: MQTTVersion, sender: MQTTPeer?, maxUserProperties: Int) {
        self.buffer = frame.body
        self.base = Int(frame.headerSize) - frame.body.readerIndex
        self.version = version
        self.sender = sender
        self.maxUserProperties = maxUserProperties
    }

    /// Reads properties of MQTT 5.0 that are no part of a packet; offsets count from the first of their bytes.
    init(properties: ByteBuffer, maxUserProperties: Int) {
        self.buffer = properties
        self.base = -properties.readerIndex
        self.version = .v5
        self.sender = nil
        self.maxUserProperties = maxUserProperties
    }

    private init(section: ByteBuffer, base: Int, of parent: PacketReader) {
        self.buffer = section
        self.base = base
        self.version = parent.version
        self.sender = parent.sender
        self.maxUserProperties = parent.maxUserProperties
    }

    /// Offset of the next field from the first byte of the packet.
    var offset: Int { self.base + self.buffer.readerIndex }

    /// Bytes not read yet.
    var remaining: Int { self.buffer.readableBytes }

    func error(_ kind: MQTTDecodeError.Kind, _ field: String, at offset: Int? = nil) -> MQTTDecodeError {
        MQTTDecodeError(kind: kind, field: field, offset: offset ?? self.offset)
    }

    mutating func readByte(_ field: String) throws(MQTTDecodeError) -> UInt8 {
        guard let value = self.buffer.readInteger(as: UInt8.self) else { throw self.error(.truncated, field) }
        return value
    }

    mutating func readUInt16(_ field: String) throws(MQTTDecodeError) -> UInt16 {
        guard let value = self.buffer.readInteger(as: UInt16.self) else { throw self.error(.truncated, field) }
        return value
    }

    mutating func readUInt32(_ field: String) throws(MQTTDecodeError) -> UInt32 {
        guard let value = self.buffer.readInteger(as: UInt32.self) else { throw self.error(.truncated, field) }
        return value
    }

    /// Never zero `[MQTT-2.2.1-3]`.
    mutating func readPacketIdentifier() throws(MQTTDecodeError) -> UInt16 {
        let offset = self.offset
        let value = try self.readUInt16("Packet Identifier")
        guard value != 0 else { throw self.error(.packetIdentifierZero, "Packet Identifier", at: offset) }
        return value
    }

    /// At most four bytes, and no more than the value needs `[MQTT-1.5.5-1]`.
    mutating func readVariableByteInteger(_ field: String) throws(MQTTDecodeError) -> Int {
        let offset = self.offset
        var value = 0
        for index in 0..<4 {
            guard let byte = self.buffer.readInteger(as: UInt8.self) else {
                throw self.error(.truncated, field, at: offset)
            }
            value |= Int(byte & 0x7F) << (7 * index)
            if byte & 0x80 == 0 {
                guard byte != 0 || index == 0 else { throw self.error(.varIntNotMinimal, field, at: offset) }
                return value
            }
        }
        throw self.error(.varIntTooLong, field, at: offset)
    }

    /// Two bytes of length and as many bytes as they say.
    mutating func readBinary(_ field: String) throws(MQTTDecodeError) -> ByteBuffer {
        guard let length = self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt16.self),
            let bytes = self.buffer.getSlice(at: self.buffer.readerIndex + 2, length: Int(length))
        else { throw self.error(.truncated, field) }
        self.buffer.moveReaderIndex(forwardBy: 2 + Int(length))
        return bytes
    }

    mutating func readString(_ field: String) throws(MQTTDecodeError) -> MQTTString {
        let offset = self.offset
        let bytes = try self.readBinary(field)
        do {
            return try MQTTString(validating: bytes)
        } catch .nullCharacter {
            throw self.error(.nullCharacter, field, at: offset)
        } catch {
            throw self.error(.illFormedUTF8, field, at: offset)  // Sixteen bits of length are never too long.
        }
    }

    mutating func readTopicName(_ field: String) throws(MQTTDecodeError) -> TopicName {
        let offset = self.offset
        let bytes = try self.readBinary(field)
        do {
            return try TopicName(validating: bytes)
        } catch {
            throw self.error(.topicName(error), field, at: offset)
        }
    }

    mutating func readTopicFilter() throws(MQTTDecodeError) -> TopicFilter {
        let offset = self.offset
        let bytes = try self.readBinary("Topic Filter")
        do {
            return try TopicFilter(validating: bytes)
        } catch {
            throw self.error(.topicFilter(error), "Topic Filter", at: offset)
        }
    }

    /// Whether the next field is one of length 0. False if it is not there.
    var nextFieldIsEmpty: Bool {
        self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt16.self) == 0
    }

    /// A code that a packet of `type` may carry.
    mutating func readReasonCode(of type: MQTTPacketType) throws(MQTTDecodeError) -> ReasonCode {
        let offset = self.offset
        let number = try self.readByte("Reason Code")
        guard let code = ReasonCode(rawValue: number), code.isAllowed(in: type) else {
            throw self.error(.invalidReasonCode(number), "Reason Code", at: offset)
        }
        return code
    }

    /// A reader of the next `length` bytes, which this one then has behind it.
    mutating func readSection(length: Int, _ field: String) throws(MQTTDecodeError) -> PacketReader {
        let offset = self.offset
        guard let section = self.buffer.readSlice(length: length) else { throw self.error(.truncated, field) }
        return PacketReader(section: section, base: offset - section.readerIndex, of: self)
    }

    /// All that is left.
    mutating func readRest() -> ByteBuffer {
        let rest = self.buffer.slice()
        self.buffer.moveReaderIndex(to: self.buffer.writerIndex)
        return rest
    }

    /// Nothing may be left.
    func finish(_ packet: String) throws(MQTTDecodeError) {
        guard self.remaining == 0 else { throw self.error(.trailingBytes(self.remaining), packet) }
    }
}
