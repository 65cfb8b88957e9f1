import MQTTCodec
import NIOCore

/// Bytes in the notation of the tables: hex digits, spaces for the eye, and text between single quotes as it is.
func wire(_ notation: String) -> ByteBuffer {
    var buffer = ByteBuffer()
    var isText = false
    var half: UInt8?
    for scalar in notation.unicodeScalars {
        if scalar == "'" {
            isText.toggle()
        } else if isText {
            buffer.writeString(String(scalar))
        } else if let digit = Character(scalar).hexDigitValue {
            if let high = half {
                buffer.writeInteger(high << 4 | UInt8(digit))
                half = nil
            } else {
                half = UInt8(digit)
            }
        }
    }
    precondition(half == nil && !isText, "odd notation: \(notation)")
    return buffer
}

/// The bytes as hex digits, for messages of failed tests.
func hex(_ buffer: ByteBuffer) -> String { buffer.hexDump(format: .compact) }

/// The one packet that `bytes` are.
func decode(
    _ bytes: ByteBuffer,
    _ version: MQTTVersion,
    from sender: MQTTPeer? = nil
) throws(MQTTDecodeError) -> MQTTPacket? {
    var rest = bytes
    guard let frame = try MQTTFrameDecoder.nextFrame(&rest, maxPacketSize: 1 << 20) else { return nil }
    return try MQTTPacket(frame: frame, version: version, from: sender)
}

/// The bytes of a packet.
func encode(_ packet: MQTTPacket, _ version: MQTTVersion) -> ByteBuffer {
    var buffer = ByteBuffer()
    packet.encode(into: &buffer, version: version)
    return buffer
}
