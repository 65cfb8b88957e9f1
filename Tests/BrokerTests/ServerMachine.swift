import Broker
import MQTTCodec
import NIOCore
import Testing

/// A ``ServerConnection`` that is fed with packets in hex and says in short words what it asks for.
struct ServerMachine {
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    static let v311 = "10|0004'MQTT' 04 02 000A 0004'node'"
    static let v5 = "10|0004'MQTT' 05 02 000A 00 0004'node'"

    var machine: ServerConnection
    /// As ``accept(_:)`` wrote it.
    private(set) var connAck = ""
    private var connect: Connect?

    /// A connection on which nothing has come.
    init(limits: ServerConnection.Limits = .init()) {
        self.machine = ServerConnection(now: Self.start, limits: limits)
    }

    /// A connected client.
    init(
        _ connect: String,
        limits: ServerConnection.Limits = .init(),
        _ acceptance: Acceptance = Acceptance()
    ) throws {
        self.init(limits: limits)
        let word = try self.receive(connect)
        try #require(word == "connect")
        let isIn = try self.accept(acceptance)
        try #require(isIn)
    }

    mutating func accept(_ acceptance: Acceptance, now: NIODeadline = Self.start) throws -> Bool {
        let connect = try #require(self.connect)
        guard let connAck = self.machine.accept(connect, acceptance, now: now) else { return false }
        self.connAck = self.hex(.connack(connAck))
        return true
    }

    /// What the machine makes of a packet.
    mutating func receive(_ notation: String, now: NIODeadline = Self.start) throws -> String {
        self.word(self.machine.received(try Self.frame(notation), now: now))
    }

    mutating func word(_ event: ServerConnection.Event) -> String {
        switch event {
        case .none: return "none"
        case .connect(let connect):
            self.connect = connect
            return "connect"
        case .publish(let publish): return "publish \(publish.topic) \(String(buffer: publish.payload))"
        case .release(let packetID): return "release \(packetID)"
        case .acknowledged(let packetID, let code): return "acknowledged \(packetID) \(code)"
        case .recorded(let packetID, let code): return "recorded \(packetID) \(code)"
        case .completed(let packetID, let code): return "completed \(packetID) \(code)"
        case .subscribe(let subscribe): return "subscribe \(subscribe.subscriptions.count)"
        case .unsubscribe(let unsubscribe): return "unsubscribe \(unsubscribe.filters.count)"
        case .ping: return "ping"
        case .close(let closure):
            let told = closure.reasonCode.flatMap { self.machine.farewell($0) }
            return "close" + (told.map { " " + self.hex($0) } ?? "")
        }
    }

    func hex(_ packet: MQTTPacket) -> String {
        var buffer = ByteBuffer()
        packet.encode(into: &buffer, version: self.machine.version)
        return buffer.hexDump(format: .compact)
    }

    static func frame(_ notation: String) throws -> MQTTFrame {
        var buffer = ByteBuffer(bytes: Self.bytes(notation))
        let decoder = MQTTFrameDecoder(maxPacketSize: 1 << 20)
        let frame = try #require(try decoder.nextFrame(&buffer))
        try #require(buffer.readableBytes == 0, "\(notation)")
        return frame
    }

    /// Hex digits, with text between single quotes as it is. `|` stands for the Remaining Length of what follows.
    static func bytes(_ notation: String) -> [UInt8] {
        let parts = notation.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false).map(Self.plainBytes)
        guard parts.count == 2 else { return parts[0] }
        var length: [UInt8] = []
        var rest = parts[1].count
        repeat {
            length.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return parts[0] + length + parts[1]
    }

    private static func plainBytes(_ notation: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        var isText = false
        for character in notation {
            if character == "'" {
                isText.toggle()
            } else if isText {
                bytes += Array(String(character).utf8)
            } else if let digit = character.hexDigitValue {
                if let first = high { bytes.append(first << 4 | UInt8(digit)) }
                high = high == nil ? UInt8(digit) : nil
            }
        }
        precondition(high == nil && !isText, "odd notation: \(notation)")
        return bytes
    }
}
