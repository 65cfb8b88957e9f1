internal import MQTTCodec
internal import NIOCore

/// A PUBLISH that is too large to be taken (MQTT 3.1.1 §3.3), being thrown away as it arrives.
///
/// Only its packet identifier is read, for without an acknowledgement the broker would send the same message on every
/// connection. Nothing of the message is kept: at most one byte of an incomplete number is left in the buffer.
struct SkippedPublish {
    /// From this size on, in bytes, a packet ends the connection all the same.
    static let hardLimit = 256 << 20

    private enum Part {
        case topicLength
        case topic(bytesLeft: Int)
        case packetID
        case payload
    }

    let firstByte: UInt8
    /// Of the whole packet, in bytes.
    let size: Int
    /// Bytes of the packet that have yet to come.
    private var left: Int
    private var part = Part.topicLength

    /// Takes the fixed header off `buffer`; `nil`, and the buffer is as it was, if `error` is not about a PUBLISH that can
    /// be skipped.
    ///
    /// - Parameter error: What the frame decoder said of the packet at the reader index.
    init?(_ error: MQTTDecodeError, at buffer: inout ByteBuffer) {
        guard case .packetTooLarge(let size, _) = error.kind, size < Self.hardLimit,
            let firstByte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            firstByte >> 4 == MQTTPacketType.publish.rawValue,
            let lengthSize = buffer.readableBytesView.dropFirst().prefix(4).firstIndex(where: { $0 & 0x80 == 0 })
        else { return nil }
        let headerSize = lengthSize + 1 - buffer.readerIndex
        buffer.moveReaderIndex(forwardBy: headerSize)
        self.firstByte = firstByte
        self.size = size
        self.left = size - headerSize
    }

    /// Nothing of the packet has yet to come.
    var isDone: Bool { self.left == 0 }

    /// Takes what is there of the packet off `buffer`.
    ///
    /// - Returns: The packet identifier, once: when it is known, or 0 when it is known that there is none.
    mutating func consume(_ buffer: inout ByteBuffer) throws(MQTTDecodeError) -> UInt16? {
        var found: UInt16?
        while true {
            switch self.part {
            case .topicLength:
                guard let length = try self.readNumber(&buffer, "Topic Name") else { return found }
                guard length <= self.left else { throw self.truncated("Topic Name") }
                self.part = .topic(bytesLeft: Int(length))
            case .topic(let bytesLeft):
                let count = self.discard(bytesLeft, from: &buffer)
                guard count == bytesLeft else {
                    self.part = .topic(bytesLeft: bytesLeft - count)
                    return found
                }
                let hasPacketID = self.firstByte & 0b0110 != 0
                self.part = hasPacketID ? .packetID : .payload
                if !hasPacketID { found = 0 }
            case .packetID:
                guard let packetID = try self.readNumber(&buffer, "Packet Identifier") else { return found }
                found = packetID
                self.part = .payload
            case .payload:
                _ = self.discard(self.left, from: &buffer)
                return found
            }
        }
    }

    private mutating func readNumber(
        _ buffer: inout ByteBuffer,
        _ field: String
    ) throws(MQTTDecodeError) -> UInt16? {
        guard self.left >= 2 else { throw self.truncated(field) }
        guard let number = buffer.readInteger(as: UInt16.self) else { return nil }
        self.left -= 2
        return number
    }

    private mutating func discard(_ wanted: Int, from buffer: inout ByteBuffer) -> Int {
        let count = min(wanted, buffer.readableBytes)
        buffer.moveReaderIndex(forwardBy: count)
        self.left -= count
        return count
    }

    private func truncated(_ field: String) -> MQTTDecodeError {
        MQTTDecodeError(kind: .truncated, field: field, offset: self.size - self.left)
    }
}
