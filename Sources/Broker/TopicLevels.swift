import MQTTCodec
import NIOCore

/// Cuts a topic or a filter into its levels without copying.
struct TopicLevels {
    enum Wildcard { case singleLevel, multiLevel }

    struct Level {
        let bytes: LevelName
        var wildcard: Wildcard? {
            let buffer = self.bytes.buffer
            guard buffer.readableBytes == 1 else { return nil }
            switch buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) {
            case UInt8(ascii: "+"): return .singleLevel
            case UInt8(ascii: "#"): return .multiLevel
            default: return nil
            }
        }
    }

    private var rest: ByteBuffer
    private var isFinished = false

    init(_ buffer: ByteBuffer) {
        self.rest = buffer
    }

    mutating func next() -> Level? {
        guard !self.isFinished else { return nil }
        let length = self.rest.withUnsafeReadableBytes { bytes in
            bytes.firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
        }
        self.isFinished = length == self.rest.readableBytes
        guard let bytes = self.rest.readSlice(length: length) else { return nil }
        if !self.isFinished { self.rest.moveReaderIndex(forwardBy: 1) }
        return Level(bytes: LevelName(buffer: bytes))
    }
}

/// One level of a topic, compared by its bytes: `ByteBuffer`'s own `==` takes two windows of one storage for equal when
/// only their lengths are.
struct LevelName: Hashable {
    let buffer: ByteBuffer

    var startsWithDollar: Bool {
        self.buffer.getInteger(at: self.buffer.readerIndex, as: UInt8.self) == UInt8(ascii: "$")
    }

    static func == (left: LevelName, right: LevelName) -> Bool { left.buffer.hasSameBytes(as: right.buffer) }

    func hash(into hasher: inout Hasher) {
        self.buffer.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
    }
}
