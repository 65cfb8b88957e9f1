public import NIOCore

/// Cuts a byte stream into frames.
///
/// Fits NIO's `NIOSingleStepByteToMessageProcessor`; the message path calls ``nextFrame(_:)`` on its read buffer instead,
/// which has no buffer of its own. "Not enough bytes" is nil, and nothing is consumed or reserved for what has not come.
public struct MQTTFrameDecoder: NIOSingleStepByteToMessageDecoder {
    /// What is decoded.
    public typealias InboundOut = MQTTFrame

    /// Largest packet that is accepted in bytes, fixed header included (MQTT 5.0 §3.2.2.3.6); larger ones are refused from
    /// their header. May change between frames: it is smaller before CONNECT.
    public var maxPacketSize: Int
    /// Refuse everything but CONNECT from its first byte: for a connection whose CONNECT has not come `[MQTT-3.1.0-1]`.
    public var expectsConnect: Bool

    /// - Parameter maxPacketSize: bytes, fixed header included.
    public init(maxPacketSize: Int, expectsConnect: Bool = false) {
        self.maxPacketSize = maxPacketSize
        self.expectsConnect = expectsConnect
    }

    /// The next whole packet at the reader index of `buffer`, which then moves behind it; nil if it is not all there.
    public func nextFrame(_ buffer: inout ByteBuffer) throws(MQTTDecodeError) -> MQTTFrame? {
        guard let firstByte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return nil }
        if self.expectsConnect, firstByte >> 4 != MQTTPacketType.connect.rawValue {
            throw MQTTDecodeError(kind: .expectedConnect, field: "MQTT Control Packet type", offset: 0)
        }
        guard let (length, lengthSize) = try Self.remainingLength(buffer) else { return nil }
        let headerSize = 1 + lengthSize
        let size = headerSize + length
        guard size <= self.maxPacketSize else {  // [MQTT-3.2.2-15]
            let kind = MQTTDecodeError.Kind.packetTooLarge(size: size, limit: self.maxPacketSize)
            throw MQTTDecodeError(kind: kind, field: "Remaining Length", offset: 1)
        }
        guard let body = buffer.getSlice(at: buffer.readerIndex + headerSize, length: length) else { return nil }
        buffer.moveReaderIndex(forwardBy: size)
        return MQTTFrame(firstByte: firstByte, body: body, headerSize: headerSize)
    }

    /// ``nextFrame(_:)`` for callers that keep the limit elsewhere.
    public static func nextFrame(
        _ buffer: inout ByteBuffer,
        maxPacketSize: Int
    ) throws(MQTTDecodeError) -> MQTTFrame? {
        try MQTTFrameDecoder(maxPacketSize: maxPacketSize).nextFrame(&buffer)
    }

    /// Value and size of the length behind the first byte; nil if more bytes have to come. At most four bytes are read.
    private static func remainingLength(_ buffer: ByteBuffer) throws(MQTTDecodeError) -> (value: Int, size: Int)? {
        var value = 0
        for index in 0..<4 {
            guard let byte = buffer.getInteger(at: buffer.readerIndex + 1 + index, as: UInt8.self) else { return nil }
            value |= Int(byte & 0x7F) << (7 * index)
            if byte & 0x80 == 0 { return (value, index + 1) }
        }
        throw MQTTDecodeError(kind: .varIntTooLong, field: "Remaining Length", offset: 1)
    }

    /// One step for NIO.
    public mutating func decode(buffer: inout ByteBuffer) throws -> MQTTFrame? {
        try self.nextFrame(&buffer)
    }

    /// Whole frames that are left at the end of the stream; what remains then is no packet and no error.
    public mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> MQTTFrame? {
        try self.nextFrame(&buffer)
    }
}
