public import NIOCore

/// One packet as cut from the stream: nothing of it is understood but its length.
public struct MQTTFrame: Equatable, Sendable {
    /// Everything after the fixed header. A slice of the read buffer.
    public var body: ByteBuffer
    /// Packet type and flags (MQTT 5.0 §2.1.1).
    public var firstByte: UInt8
    /// Bytes of the fixed header, 2 to 5, as it arrived: more than needed if Remaining Length was padded.
    public var headerSize: UInt8

    /// A frame with the shortest header for its body.
    public init(firstByte: UInt8, body: ByteBuffer) {
        self.init(firstByte: firstByte, body: body, headerSize: 1 + VariableByteInteger.size(of: body.readableBytes))
    }

    init(firstByte: UInt8, body: ByteBuffer, headerSize: Int) {
        self.firstByte = firstByte
        self.body = body
        self.headerSize = UInt8(truncatingIfNeeded: headerSize)
    }

    /// Bits 7 to 4; nil for the reserved type 0.
    public var type: MQTTPacketType? { MQTTPacketType(rawValue: self.firstByte >> 4) }

    /// Whether Remaining Length took more bytes than it needs, which MQTT 5.0 forbids `[MQTT-1.5.5-1]`.
    var hasPaddedLength: Bool {
        Int(self.headerSize) != 1 + VariableByteInteger.size(of: self.body.readableBytes)
    }

    /// The same bytes.
    public static func == (left: MQTTFrame, right: MQTTFrame) -> Bool {
        left.firstByte == right.firstByte && left.headerSize == right.headerSize
            && RawBytes.equal(left.body, right.body)
    }
}
