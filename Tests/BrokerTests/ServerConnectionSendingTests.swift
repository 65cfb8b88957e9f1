import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Server connection: what the client takes")
struct ServerConnectionSendingTests {
    private static let now = ServerMachine.start

    private func message(
        _ topic: String,
        properties: MQTTProperties = MQTTProperties(),
        expiresIn: TimeAmount? = nil
    ) throws -> Message {
        Message(
            topic: try TopicName(topic),
            payload: ByteBuffer(string: "x"),
            qos: .atLeastOnce,
            retain: false,
            properties: properties,
            expiry: expiresIn.map { Self.now + $0 }
        )
    }

    /// The packet of a message; nil if it is too large.
    private func send(
        _ message: Message,
        _ delivery: Delivery = Delivery(qos: .atMostOnce, retain: false),
        to client: inout ServerMachine
    ) -> String? {
        client.machine.publish(message, as: delivery, now: Self.now).map { client.hex(.publish($0)) }
    }

    private func hex(_ notation: String) -> String {
        ByteBuffer(bytes: ServerMachine.bytes(notation)).hexDump(format: .compact)
    }

    @Test("a message goes out in the client's version, with all that this version has")
    func versions() throws {
        var properties = MQTTProperties()
        properties.contentType = "t"
        properties.userProperties = [UserProperty(name: "k", value: "v")]
        let message = try self.message("topic", properties: properties, expiresIn: .seconds(5))
        let delivery = Delivery(
            qos: .exactlyOnce,
            retain: true,
            packetID: 7,
            isDuplicate: true,
            subscriptionIdentifiers: [1, 200]
        )
        var new = try ServerMachine(ServerMachine.v5)
        #expect(
            self.send(message, delivery, to: &new)
                == self.hex("3D|0005'topic' 0007 15 0200000005 030001't' 0B01 0BC801 260001'k'0001'v' 'x'")
        )
        var old = try ServerMachine(ServerMachine.v311)
        #expect(self.send(message, delivery, to: &old) == self.hex("3D|0005'topic' 0007 'x'"))
    }

    @Test(
        "what is left of the expiry interval is told, rounded up [MQTT-3.3.2-6]",
        arguments: [
            (TimeAmount.nanoseconds(1), "00000001"), (.seconds(1), "00000001"), (.milliseconds(1001), "00000002"),
            (.seconds(0), "00000000"), (.milliseconds(-500), "00000000"), (.hours(24 * 365 * 200), "FFFFFFFF"),
        ]
    )
    func expiry(_ left: TimeAmount, _ told: String) throws {
        var client = try ServerMachine(ServerMachine.v5)
        let message = try self.message("topic", expiresIn: left)
        #expect(self.send(message, to: &client) == self.hex("30|0005'topic' 05 02\(told) 'x'"))
    }

    // MARK: Topic aliases

    private func client(aliases: String, _ configure: (inout ServerConnection.Limits) -> Void = { _ in }) throws
        -> ServerMachine
    {
        var limits = ServerConnection.Limits()
        configure(&limits)
        return try ServerMachine("10|0004'MQTT' 05 02 000A 03 22\(aliases) 0004'node'", limits: limits)
    }

    @Test("a topic is sent once, then its alias, as many as the client takes [MQTT-3.1.2-26]")
    func aliases() throws {
        var client = try self.client(aliases: "0002")
        #expect(self.send(try self.message("topic"), to: &client) == self.hex("30|0005'topic' 03 230001 'x'"))
        #expect(self.send(try self.message("topic"), to: &client) == self.hex("30|0000 03 230001 'x'"))
        #expect(self.send(try self.message("abc"), to: &client) == self.hex("30|0003'abc' 00 'x'"))
        #expect(self.send(try self.message("other"), to: &client) == self.hex("30|0005'other' 03 230002 'x'"))
        #expect(self.send(try self.message("third"), to: &client) == self.hex("30|0005'third' 00 'x'"))
        var properties = MQTTProperties()
        properties.payloadFormat = .utf8
        let message = try self.message("topic", properties: properties)
        #expect(self.send(message, to: &client) == self.hex("30|0000 05 0101 230001 'x'"))
        #expect(message.properties.topicAlias == nil)
    }

    @Test("no alias is sent to a client that takes none, and none above our own limit [MQTT-3.1.2-27]")
    func noAliases() throws {
        var client = try self.client(aliases: "0000")
        #expect(self.send(try self.message("topic"), to: &client) == self.hex("30|0005'topic' 00 'x'"))
        var limited = try self.client(aliases: "FFFF") { $0.outboundTopicAliasMaximum = 1 }
        #expect(self.send(try self.message("topic"), to: &limited) == self.hex("30|0005'topic' 03 230001 'x'"))
        #expect(self.send(try self.message("other"), to: &limited) == self.hex("30|0005'other' 00 'x'"))
        var old = try ServerMachine(ServerMachine.v311)
        #expect(self.send(try self.message("topic"), to: &old) == self.hex("30|0005'topic' 'x'"))
    }

    // MARK: Maximum Packet Size

    private func client(size: Int, aliases: String = "0000", more: String = "1701") throws -> ServerMachine {
        var limits = ServerConnection.Limits()
        limits.receiveMaximum = .max
        limits.topicAliasMaximum = 0
        let bytes = (size < 0x10 ? "0" : "") + String(size, radix: 16)
        let connect = "10|0004'MQTT' 05 02 000A 0A 22\(aliases) \(more) 27000000\(bytes) 0004'node'"
        return try ServerMachine(connect, limits: limits)
    }

    @Test("a message larger than the client takes is not sent [MQTT-3.1.2-24]")
    func tooLarge() throws {
        var client = try self.client(size: 0x10)
        #expect(self.send(try self.message("0123456789"), to: &client) == self.hex("30|000A'0123456789' 00 'x'"))
        #expect(self.send(try self.message("0123456789a"), to: &client) == nil)
        #expect(self.send(try self.message("0123456", expiresIn: .seconds(1)), to: &client) == nil)
        let identified = Delivery(qos: .atMostOnce, retain: false, subscriptionIdentifiers: [1])
        #expect(self.send(try self.message("0123456789"), identified, to: &client) == nil)
    }

    @Test("a message that would be too large with an alias goes without, and binds none")
    func tooLargeWithAlias() throws {
        var client = try self.client(size: 0x10, aliases: "0001")
        #expect(self.send(try self.message("0123456789"), to: &client) == self.hex("30|000A'0123456789' 00 'x'"))
        #expect(self.send(try self.message("0123456789abc"), to: &client) == nil)
        #expect(self.send(try self.message("0123456"), to: &client) == self.hex("30|0007'0123456' 03 230001 'x'"))
        #expect(self.send(try self.message("0123456"), to: &client) == self.hex("30|0000 03 230001 'x'"))
    }

    private func reasons(_ reason: MQTTString?, user: Bool = true) -> MQTTProperties {
        var properties = MQTTProperties()
        properties.reasonString = reason
        if user { properties.userProperties = [UserProperty(name: "k", value: "v")] }
        return properties
    }

    @Test("reasons and user properties are left out where there is no room for them [MQTT-3.4.2-2], [MQTT-3.4.2-3]")
    func trimmed() throws {
        func packet(_ client: ServerMachine) -> String? {
            let ack = PubAck(packetID: 1, reasonCode: .notAuthorized, properties: self.reasons("why"))
            return client.machine.fitting(.puback(ack)).map(client.hex)
        }
        let all = self.hex("40|0001 87 0D 1F0003'why' 260001'k'0001'v'")
        #expect(packet(try self.client(size: 19)) == all)
        #expect(packet(try self.client(size: 18)) == self.hex("40|0001 87 06 1F0003'why'"))
        #expect(packet(try self.client(size: 12)) == self.hex("40|0001 87 06 1F0003'why'"))
        #expect(packet(try self.client(size: 11)) == self.hex("40|0001 87"))
        let client = try self.client(size: 0x10)
        let codes = [ReasonCode](repeating: .grantedQoS0, count: 13)
        #expect(client.machine.fitting(.suback(SubAck(packetID: 1, reasonCodes: codes))) == nil)
    }

    @Test(
        "user properties are left out first, then the reason, and then the packet",
        arguments: [
            ("20|0087 @", "20|0087 00"),  // [MQTT-3.2.2-19], [MQTT-3.2.2-20]
            ("40|0001 87 @", "40|0001 87"),  // [MQTT-3.4.2-2], [MQTT-3.4.2-3]
            ("50|0001 87 @", "50|0001 87"),  // [MQTT-3.5.2-2], [MQTT-3.5.2-3]
            ("62|0001 92 @", "62|0001 92"),  // [MQTT-3.6.2-2], [MQTT-3.6.2-3]
            ("70|0001 92 @", "70|0001 92"),  // [MQTT-3.7.2-2], [MQTT-3.7.2-3]
            ("90|0001 @ 87", "90|0001 00 87"),  // [MQTT-3.9.2-1], [MQTT-3.9.2-2]
            ("B0|0001 @ 87", "B0|0001 00 87"),  // [MQTT-3.11.2-1], [MQTT-3.11.2-2]
            ("E0|87 @", "E0|87"),  // [MQTT-3.14.2-3], [MQTT-3.14.2-4]
        ]
    )
    func trimmedInSteps(_ packet: String, _ bare: String) throws {
        func form(_ properties: String) -> String {
            self.hex(packet.replacing("@", with: properties))
        }
        let all = form("0D 1F0003'why' 260001'k'0001'v'")
        let frame = try ServerMachine.frame(packet.replacing("@", with: "0D 1F0003'why' 260001'k'0001'v'"))
        let sent = try MQTTPacket(frame: frame, version: .v5, from: .server)
        func told(_ size: Int) throws -> String? {
            var client = ServerMachine()
            let word = try client.receive(
                "10|0004'MQTT' 05 02 000A 05 27000000\(size < 16 ? "0" : "")\(String(size, radix: 16)) 0000"
            )
            #expect(word == "connect")
            return client.machine.fitting(sent).map(client.hex)
        }
        let forms = [all, form("06 1F0003'why'"), self.hex(bare)]
        for (index, form) in forms.enumerated() {
            let size = form.utf8.count / 2
            #expect(try told(size) == form)
            #expect(try told(size - 1) == (index + 1 < forms.count ? forms[index + 1] : nil))
        }
    }

    @Test("a client that wants no problem information gets none but in CONNACK and DISCONNECT [MQTT-3.1.2-29]")
    func problemInformation() throws {
        let client = try self.client(size: 0x7F, more: "1700")
        let properties = self.reasons("why")
        let ack = PubAck(packetID: 1, reasonCode: .notAuthorized, properties: properties)
        let subAck = SubAck(packetID: 1, reasonCodes: [.notAuthorized], properties: properties)
        let unsubAck = UnsubAck(packetID: 1, reasonCodes: [.notAuthorized], properties: properties)
        for (packet, expected) in [
            (MQTTPacket.puback(ack), "40|0001 87"), (.pubrec(ack), "50|0001 87"), (.suback(subAck), "90|0001 00 87"),
            (.unsuback(unsubAck), "B0|0001 00 87"),
            (
                .disconnect(Disconnect(reasonCode: .serverBusy, properties: properties)),
                "E0|89 0D 1F0003'why' 260001'k'0001'v'"
            ),
        ] {
            #expect(client.machine.fitting(packet).map(client.hex) == self.hex(expected))
        }
        let old = try ServerMachine(ServerMachine.v311)
        #expect(old.machine.fitting(.suback(subAck)).map(old.hex) == "9003000180")
    }
}
