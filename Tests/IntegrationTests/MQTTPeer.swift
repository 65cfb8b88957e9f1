import TestSupport

/// A client that does only what the test says: it acknowledges nothing by itself. Blocks the calling thread, each call for
/// ten seconds at most.
final class MQTTPeer {
    /// What its CONNECT says.
    struct Opening {
        var id: String
        /// 4 or 5.
        var level: UInt8 = 5
        var clean = true
        /// Session Expiry Interval; a session of level 4 is kept unless `clean`.
        var expiry: UInt32 = 0
        var keepAlive: UInt16 = 0
        var user: String?
        var password: String?
        var will: Will?

        /// Of a session that outlives its connections.
        static func kept(_ id: String, level: UInt8 = 5) -> Self {
            Self(id: id, level: level, clean: false, expiry: 3_600)
        }
    }

    /// A will of QoS 1.
    struct Will {
        var topic: String
        var payload: String
        var retain = false
        /// Seconds.
        var delay: UInt32 = 0
    }

    /// A PUBLISH that came.
    struct Message: Equatable {
        var topic: String
        var payload: String
        var qos: UInt8
        var isDuplicate: Bool
        var retain: Bool
        var id: UInt16
        /// As they came, without their length.
        var properties: [UInt8]
    }

    /// A packet that came: its first byte, and what follows the length.
    struct Packet {
        let first: UInt8
        let body: [UInt8]

        /// Of an acknowledgement.
        var id: UInt16 { self.body.count < 2 ? 0 : UInt16(self.body[0]) << 8 | UInt16(self.body[1]) }
        /// Of a PUBACK, PUBREC, PUBREL or PUBCOMP.
        var code: UInt8 { self.body.count < 3 ? 0 : self.body[2] }
    }

    /// The gateway did not do what the test says.
    struct Unexpected: Error, CustomStringConvertible {
        /// What came instead.
        let description: String
    }

    let raw: RawMQTTClient
    private let level: UInt8
    /// Without its first two bytes.
    private(set) var connack: [UInt8] = []

    /// Session Present.
    var isPresent: Bool { self.connack.first == 1 }
    /// Of the CONNACK.
    var code: UInt8 { self.connack.count < 2 ? 0xFF : self.connack[1] }

    /// Connects, and takes the CONNACK, whatever it says.
    init(port: Int, answerTo opening: Opening) throws {
        self.raw = try RawMQTTClient(port: port)
        self.level = opening.level
        try self.raw.send(Self.connect(opening))
        let packet = try self.next()
        guard packet.first == 0x20 else { throw Unexpected(description: "\(packet), not CONNACK") }
        self.connack = packet.body
    }

    /// Connects; the gateway has to say yes.
    convenience init(port: Int, _ opening: Opening) throws {
        try self.init(port: port, answerTo: opening)
        guard self.code == 0 else {
            throw Unexpected(description: "\(opening.id): CONNACK \(hexText([self.code]))")
        }
    }

    // MARK: Bytes

    static func string(_ text: String) -> [UInt8] {
        [UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 0xFF)] + text.utf8
    }

    static func number(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }

    static func number(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(number >> (24 - 8 * $0) & 0xFF) } }

    static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var rest = body.count
        repeat {
            bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes + body
    }

    static func connect(_ opening: Opening) -> [UInt8] {
        let isV5 = opening.level == 5
        var flags: UInt8 = opening.clean ? 0x02 : 0
        var payload = self.string(opening.id)
        if let will = opening.will {
            flags |= 0x0C | (will.retain ? 0x20 : 0)
            if isV5 { payload += [5, 0x18] + self.number(will.delay) }
            payload += self.string(will.topic) + self.string(will.payload)
        }
        if let user = opening.user {
            flags |= 0x80
            payload += self.string(user)
        }
        if let password = opening.password {
            flags |= 0x40
            payload += self.string(password)
        }
        let properties = isV5 ? [5, 0x11] + self.number(opening.expiry) : []
        let head = self.string("MQTT") + [opening.level, flags] + self.number(opening.keepAlive)
        return self.packet(0x10, head + properties + payload)
    }

    /// - Parameter id: Nil: QoS 0.
    func publishBytes(
        _ topic: String,
        _ payload: String,
        qos: UInt8 = 1,
        id: UInt16?,
        isDuplicate: Bool = false,
        retain: Bool = false,
        properties: [UInt8] = []
    ) -> [UInt8] {
        let flags = (id == nil ? 0 : qos << 1) | (isDuplicate ? 8 : 0) | (retain ? 1 : 0)
        let head = Self.string(topic) + (id.map(Self.number) ?? [])
        let middle = self.level == 5 ? [UInt8(properties.count)] + properties : []
        return Self.packet(0x30 | flags, head + middle + payload.utf8)
    }

    // MARK: Sending

    func publish(
        _ topic: String,
        _ payload: String,
        qos: UInt8 = 1,
        id: UInt16?,
        isDuplicate: Bool = false,
        retain: Bool = false,
        properties: [UInt8] = []
    ) throws {
        try self.raw.send(
            self.publishBytes(
                topic,
                payload,
                qos: qos,
                id: id,
                isDuplicate: isDuplicate,
                retain: retain,
                properties: properties
            )
        )
    }

    /// Publishes, and waits for all that the gateway has to say to it; the gateway has to say yes.
    func publishSafely(
        _ topic: String,
        _ payload: String,
        qos: UInt8 = 1,
        id: UInt16 = 1,
        retain: Bool = false,
        properties: [UInt8] = []
    ) throws {
        try self.publish(topic, payload, qos: qos, id: id, retain: retain, properties: properties)
        try self.expect(qos == 2 ? .pubrec : .puback, id)
        if qos == 2 {
            try self.send(.pubrel, id)
            try self.expect(.pubcomp, id)
        }
    }

    /// A filter with QoS 2, and the code of its SUBACK.
    @discardableResult func subscribe(_ filters: String..., qos: UInt8 = 2) throws -> [UInt8] {
        let properties: [UInt8] = self.level == 5 ? [0] : []
        let body = [0, 9] + properties + filters.flatMap { Self.string($0) + [qos] }
        try self.raw.send(Self.packet(0x82, body))
        let answer = try self.next()
        guard answer.first == 0x90, answer.id == 9 else {
            throw Unexpected(description: "\(answer), not SUBACK")
        }
        // Properties of fewer than 128 bytes: a reason in words, perhaps.
        let skipped = self.level == 5 ? 1 + Int(answer.body.dropFirst(2).first ?? 0) : 0
        return Array(answer.body.dropFirst(2 + skipped))
    }

    func unsubscribe(_ filter: String) throws {
        try self.raw.send(Self.packet(0xA2, [0, 8] + (self.level == 5 ? [0] : []) + Self.string(filter)))
        let answer = try self.next()
        guard answer.first == 0xB0, answer.id == 8 else {
            throw Unexpected(description: "\(answer), not UNSUBACK")
        }
    }

    /// The acknowledgements, by their first byte.
    enum Acknowledgement: UInt8 {
        case puback = 0x40
        case pubrec = 0x50
        case pubrel = 0x62
        case pubcomp = 0x70
    }

    func send(_ acknowledgement: Acknowledgement, _ id: UInt16) throws {
        try self.raw.send([acknowledgement.rawValue, 2] + Self.number(id))
    }

    func disconnect() throws {
        try self.raw.send("e0 00")
        try self.raw.expectClose()
    }

    // MARK: Receiving

    /// The next packet, but for what the gateway says of itself to whoever listens to everything.
    func next() throws -> Packet {
        while true {
            let bytes = try self.raw.receivePacket()
            let packet = Packet(first: bytes.firstByte, body: bytes.body)
            guard let message = self.message(packet), message.topic.hasPrefix("sealgate/") else { return packet }
            if message.qos == 1 { try self.send(.puback, message.id) }
        }
    }

    /// Code 0x92 of PUBREL and PUBCOMP is right for what was brought to its end before.
    func expect(_ acknowledgement: Acknowledgement, _ id: UInt16) throws {
        let packet = try self.next()
        guard packet.first == acknowledgement.rawValue, packet.id == id, packet.code < 0x80 || packet.code == 0x92
        else {
            throw Unexpected(description: "\(packet), not \(acknowledgement) \(id)")
        }
    }

    func message() throws -> Message {
        let packet = try self.next()
        guard let message = self.message(packet) else {
            throw Unexpected(description: "\(packet), not PUBLISH")
        }
        return message
    }

    /// The PUBLISH that the packet is.
    func message(_ packet: Packet) -> Message? {
        guard packet.first >> 4 == 3, packet.body.count >= 2 else { return nil }
        var rest = packet.body[...]
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        let length = take(2).reduce(0) { $0 << 8 | Int($1) }
        let topic = String(decoding: take(length), as: UTF8.self)
        let qos = packet.first >> 1 & 3
        let id = qos == 0 ? 0 : take(2).reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        let properties = self.level == 5 ? take(Int(take(1).first ?? 0)) : []
        return Message(
            topic: topic,
            payload: String(decoding: rest, as: UTF8.self),
            qos: qos,
            isDuplicate: packet.first & 8 != 0,
            retain: packet.first & 1 != 0,
            id: id,
            properties: properties
        )
    }

    /// So many messages, each brought to its end.
    func takeMessages(_ count: Int) throws -> [Message] {
        var messages: [Message] = []
        var unreleased = 0
        while messages.count < count || unreleased > 0 {
            let packet = try self.next()
            if packet.first == Acknowledgement.pubrel.rawValue {
                unreleased -= 1
                try self.send(.pubcomp, packet.id)
                continue
            }
            guard let message = self.message(packet) else {
                throw Unexpected(description: "\(packet), not PUBLISH")
            }
            messages.append(message)
            if message.qos == 1 { try self.send(.puback, message.id) }
            if message.qos == 2 {
                unreleased += 1
                try self.send(.pubrec, message.id)
            }
        }
        return messages
    }

    /// Nothing else comes before the answer to PINGREQ.
    func expectNothing() throws {
        try self.raw.send("c0 00")
        let packet = try self.next()
        guard packet.first == 0xD0 else {
            throw Unexpected(description: "\(self.message(packet).map { "\($0)" } ?? "\(packet)")")
        }
    }

    /// The gateway ends the connection, after whatever it sends.
    func expectEnd() throws {
        while try self.raw.receivePacketBytes() != nil {}
    }
}
