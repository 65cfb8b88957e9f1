import MQTTCodec
import NIOCore
import Uplink

/// The outside broker's end of a conversation in hex, with a clock that is set by hand.
final class Broker {
    var client: UplinkClient
    private(set) var now: NIODeadline = .uptimeNanoseconds(1_000_000_000)
    private var output = ByteBuffer()

    init(_ configuration: UplinkClient.Configuration = .init(clientID: "attic"), seed: UInt64 = 1) {
        self.client = UplinkClient(configuration: configuration, seed: seed)
    }

    /// A client that the broker has accepted; what it wrote on the way is thrown away.
    ///
    /// - Parameter connAck: As a whole packet; by default one that says nothing but success.
    static func accepted(
        _ configuration: UplinkClient.Configuration = .init(clientID: "attic"),
        connAck: String? = nil
    ) -> Broker {
        let broker = Broker(configuration)
        _ = broker.client.start(now: broker.now)
        broker.up()
        _ = broker.receive(connAck ?? (configuration.version == .v5 ? "20 03 00 00 00" : "20 02 00 00"))
        _ = broker.sent()
        return broker
    }

    func up() {
        self.client.transportConnected(now: self.now, into: &self.output)
    }

    func rest() {
        self.client.rest(into: &self.output)
    }

    func down(_ reason: String = "connection reset") -> UplinkAction {
        self.client.transportClosed(reason: reason, now: self.now)
    }

    /// Sends whole packets to the client, one action each.
    func receive(_ hex: String) -> [UplinkAction] {
        var bytes = ByteBuffer(hex: hex)
        var actions: [UplinkAction] = []
        while let frame = Self.cut(&bytes) {
            actions.append(self.client.received(frame, now: self.now, into: &self.output))
        }
        return actions
    }

    /// Tells the client of a message that is too large for it.
    func skip(_ firstByte: UInt8, _ packetID: UInt16) -> UplinkAction {
        self.client.skipped(firstByte: firstByte, packetID: packetID, now: self.now, into: &self.output)
    }

    /// Whether the message was sent.
    func send(_ sequence: Int64, _ topic: String, _ payload: String, qos: QoS = .atLeastOnce) -> Bool {
        switch self.send(UplinkMessage(sequence, topic, payload, qos: qos)) {
        case .sent, .sentAtMostOnce: true
        case .noRoom, .tooLarge, .expired: false
        }
    }

    func send(_ message: UplinkMessage) -> UplinkSendOutcome {
        self.client.send(message, now: self.now, into: &self.output)
    }

    func release(_ packetID: UInt16) {
        self.client.release(packetID: packetID, into: &self.output)
    }

    func forget(_ packetID: UInt16) {
        self.client.forget(packetID: packetID)
    }

    func acknowledge(_ receipt: UplinkReceipt) {
        self.client.acknowledge(receipt, into: &self.output)
    }

    func abandon(_ receipt: UplinkReceipt) -> Bool {
        self.client.abandon(receipt)
    }

    func complete(_ packetID: UInt16) {
        self.client.complete(packetID: packetID, into: &self.output)
    }

    func stop() {
        self.client.stop(into: &self.output)
    }

    func withdraw(_ sequence: Int64) -> Bool {
        self.client.withdraw(sequence: sequence)
    }

    func tick() -> UplinkAction {
        self.client.tick(now: self.now, into: &self.output)
    }

    /// Lets time pass without telling the client.
    func pass(_ time: TimeAmount) {
        self.now = self.now + time
    }

    /// Moves the clock to the client's next deadline and ticks there.
    func passToDeadline() -> UplinkAction? {
        guard let deadline = self.client.nextDeadline else { return nil }
        self.now = max(self.now, deadline)
        return self.tick()
    }

    /// What the client wrote since the last call, one string of hex for each packet.
    func sent() -> [String] {
        defer { self.output.clear() }
        var packets: [String] = []
        while let frame = Self.cut(&self.output) {
            let body = frame.body.readableBytesView.map(Self.hex).joined()
            packets.append(Self.hex(frame.firstByte) + " " + body)
        }
        return packets
    }

    /// What the client wrote since the last call, as bytes.
    func sentBytes() -> ByteBuffer {
        defer { self.output.clear() }
        return self.output
    }

    private static func hex(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }

    private static func cut(_ buffer: inout ByteBuffer) -> MQTTFrame? {
        try? MQTTFrameDecoder.nextFrame(&buffer, maxPacketSize: 1 << 28)
    }
}

extension UplinkClient.Configuration {
    /// A client of MQTT 5.0 that says as little as it can.
    static var v5: UplinkClient.Configuration {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.version = .v5
        return configuration
    }
}

extension UplinkMessage {
    init(_ sequence: Int64, _ topic: String, _ payload: String, qos: QoS = .atLeastOnce) {
        self.init(
            sequence: sequence,
            topic: TopicName(unchecked: ByteBuffer(string: topic)),
            payload: ByteBuffer(string: payload),
            qos: qos
        )
    }
}

extension ByteBuffer {
    /// The bytes that `hex` spells; blanks are for the reader.
    init(hex: String) {
        let digits = hex.filter { !$0.isWhitespace }.compactMap { $0.hexDigitValue }
        self.init(bytes: stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) })
    }
}
