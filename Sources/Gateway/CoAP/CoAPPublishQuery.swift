import CoAPCodec
import MQTTCodec
import NIOCore

/// What the query of a request that publishes says: `retain`, `qos=0`, `ttl=60`, `d=kitchen`, `sid`, `csid=…`. Parts that are not
/// known are passed over, as small nodes have queries of their own.
struct CoAPPublishQuery {
    /// Longest `ttl`.
    private static let maxLifetime: UInt32 = 366 * 86_400

    /// Whether the message is to be retained.
    private(set) var retain = false
    private(set) var qos = QoS.atLeastOnce
    /// Seconds for which the message is worth something.
    private(set) var lifetime: UInt32?
    /// The device that the sender says it is.
    private(set) var claimed: String?
    /// Whether the answer is to bring the next session ID.
    private(set) var wantsSessionID = false
    /// The node's own session ID, for a command in the answer.
    private(set) var commandSessionID: ByteBuffer?
    /// The part that can't be read.
    private(set) var problem: String?

    /// Says nothing.
    init() {}

    init(_ options: CoAPOptions) {
        options.forEachRaw { number, bytes in
            guard number == .uriQuery else { return }
            let equals = bytes.firstIndex(of: UInt8(ascii: "="))
            let name = UnsafeRawBufferPointer(rebasing: bytes[..<(equals ?? bytes.endIndex)])
            let value = equals.map { UnsafeRawBufferPointer(rebasing: bytes[($0 + 1)...]) }
            self.take(name, value)
        }
    }

    private mutating func take(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
        switch name.count {
        case 1 where name[0] == UInt8(ascii: "d"):
            self.claimed = value.map { String(decoding: $0, as: UTF8.self) }
        case 3 where name.elementsEqual("qos".utf8):
            switch value.flatMap(Self.number) {
            case 0?: self.qos = .atMostOnce
            case 1?: self.qos = .atLeastOnce
            default: self.problem = "qos is 0 or 1"
            }
        case 3 where name.elementsEqual("ttl".utf8):
            self.lifetime = value.flatMap(Self.number)
            if self.lifetime.map({ $0 > Self.maxLifetime }) ?? true { self.problem = "ttl is in seconds" }
        case 3 where name.elementsEqual("sid".utf8):
            self.wantsSessionID = true
        case 4 where name.elementsEqual("csid".utf8):
            self.commandSessionID = value.map { ByteBuffer(bytes: $0) }
        case 6 where name.elementsEqual("retain".utf8):
            switch value {
            case nil: self.retain = true
            case let value? where value.elementsEqual("1".utf8) || value.elementsEqual("true".utf8): self.retain = true
            case let value? where value.elementsEqual("0".utf8) || value.elementsEqual("false".utf8):
                self.retain = false
            default: self.problem = "retain is 0 or 1"
            }
        default: break
        }
    }

    /// A decimal number of one to nine digits.
    private static func number(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        guard (1...9).contains(bytes.count) else { return nil }
        var value: UInt32 = 0
        for byte in bytes {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + UInt32(byte - UInt8(ascii: "0"))
        }
        return value
    }
}
