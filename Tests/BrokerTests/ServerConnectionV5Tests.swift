import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Server connection: MQTT 5.0")
struct ServerConnectionV5Tests {
    @Test(
        "a connected client that breaks the rules is told the code before the close",
        arguments: [
            (ServerMachine.v5, 0x82),  // [MQTT-3.1.0-2]
            ("20|00 00 00", 0x82), ("90|0001 00 00", 0x82), ("B0|0001 00 00", 0x82), ("D0|", 0x82),
            ("F0|", 0x82), ("F0|18 04 150001'm'", 0x82), ("F0|19 04 150001'm'", 0x82),  // [MQTT-4.12.0-7]
            ("00|", 0x81), ("C1|", 0x81), ("C0|00", 0x81), ("C0 8000", 0x81),
            ("80|0001 00 0001'a' 00", 0x81), ("60|0001", 0x81),  // [MQTT-2.1.3-1]
            ("36|0001'a' 0001 00", 0x81), ("38|0001'a' 00", 0x81),  // [MQTT-3.3.1-4], [MQTT-3.3.1-2]
            ("32|0001'a' 0000 00", 0x82),  // [MQTT-2.2.1-3]
            ("30|0001'#' 00", 0x90), ("30|0001'+' 00", 0x90),  // [MQTT-3.3.2-2]
            ("30|0001 FF 00", 0x81), ("30|0001 00 00", 0x81), ("30|0009'a' 00", 0x81),
            ("30|0000 00", 0x82), ("30|0000 02 0100", 0x82),
            ("30|0001'a' 02 0B01", 0x82),  // [MQTT-3.3.4-6]
            ("30|0001'a' 04 0100 0101", 0x82), ("30|0001'a' 02 0102", 0x82), ("30|0001'a' 04 080001'#'", 0x90),
            ("30|0001'a' 02 7F00", 0x81), ("30|0001'a' 05 1100000001", 0x81), ("30|0001'a' 05 0200", 0x81),
            ("82|0001 00", 0x82), ("82|0000 00 0001'a' 00", 0x82), ("82|0001 00 0003'a#b' 00", 0x8F),
            ("82|0001 00 0001'a' 03", 0x82), ("82|0001 00 0001'a' 30", 0x82), ("82|0001 00 0001'a' 40", 0x81),
            ("82|0001 02 0B00 0001'a' 00", 0x82), ("82|0001 00 000A'$share/g/t' 04", 0x82),
            ("A2|0001 00", 0x82), ("A2|0001 00 0001", 0x81),
            ("40|0001 FF", 0x81), ("40|0000", 0x82), ("62|0001 80", 0x81), ("70|0001 10", 0x81),
            ("E0|01", 0x81), ("E0|00 03 1C0000", 0x82), ("E0|00 05 1100000001", 0x82),
        ] as [(String, UInt8)]
    )
    func codes(_ packet: String, _ code: UInt8) throws {
        var client = try ServerMachine("10|0004'MQTT' 05 06 000A 00 0004'node' 00 0001'w' 0001'x'")
        #expect(try client.receive(packet) == "close e001\(String(code, radix: 16))")
        #expect(client.machine.takeWill() != nil)  // [MQTT-3.1.2-8]
    }

    @Test("a client that does what CONNACK said it can't is told so")
    func notAvailable() throws {
        let acceptance = Acceptance(retainAvailable: false, maximumQoS: .atLeastOnce)
        for (packet, word) in [
            ("34|0001'a' 0001 00 'x'", "close e0019b"), ("31|0001'a' 00 'x'", "close e0019a"),
            ("32|0001'a' 0001 00 'x'", "publish a x"),
        ] {
            var client = try ServerMachine(ServerMachine.v5, acceptance)
            #expect(try client.receive(packet) == word)
        }
        // 3.1.1 was not told.
        var old = try ServerMachine(ServerMachine.v311, acceptance)
        #expect(try old.receive("35|0001'a' 0001 'x'") == "publish a x")
    }

    // MARK: DISCONNECT

    @Test(
        "DISCONNECT takes the will back with code 0 only, and may change the session's expiry",
        arguments: [
            ("E0|", false, nil), ("E0|00", false, nil), ("E0|00 00", false, nil), ("E0|04", true, nil),
            ("E0|80", true, nil), ("E0|98 00", true, nil), ("E0|00 05 110000000A", false, 10),
            ("E0|04 05 1100000000", true, 0),
        ] as [(String, Bool, UInt32?)]
    )
    func disconnect(_ packet: String, _ hasWill: Bool, _ expiry: UInt32?) throws {
        let connect = "10|0004'MQTT' 05 06 000A 05 1100000005 0004'node' 00 0001'w' 0001'x'"
        var client = try ServerMachine(connect)
        #expect(try client.receive(packet) == "close")
        #expect((client.machine.takeWill() != nil) == hasWill)
        #expect(client.machine.changedSessionExpiry == expiry)
    }

    @Test("DISCONNECT can't keep a session that was to end with its connection; saying so again is no error")
    func disconnectExpiry() throws {
        var client = try ServerMachine(ServerMachine.v5)
        #expect(try client.receive("E0|00 05 1100000001") == "close e00182")
        #expect(client.machine.changedSessionExpiry == nil)
        var zero = try ServerMachine(ServerMachine.v5)
        #expect(try zero.receive("E0|00 05 1100000000") == "close")
    }

    // MARK: Topic aliases of the client

    @Test("an alias stands for the topic it was last sent with, and is not handed on")
    func aliases() throws {
        var client = try ServerMachine(ServerMachine.v5)
        #expect(try client.receive("30|0001'a' 03 230001 'x'") == "publish a x")
        #expect(try client.receive("30|0000 03 230001 'y'") == "publish a y")
        #expect(try client.receive("30|0001'b' 03 23000A 'x'") == "publish b x")
        #expect(try client.receive("30|0001'c' 03 230001 'x'") == "publish c x")
        #expect(try client.receive("30|0000 03 230001 'y'") == "publish c y")
        #expect(try client.receive("30|0000 03 23000A 'y'") == "publish b y")
        let frame = try ServerMachine.frame("30|0000 05 0101 23000A 'z'")
        guard case .publish(let publish) = client.machine.received(frame, now: ServerMachine.start) else {
            Issue.record("not published")
            return
        }
        #expect(publish.properties.topicAlias == nil && publish.properties.payloadFormat == .utf8)
        // In storage of its own.
        #expect(publish.topic.buffer.storageCapacity <= 16)
    }

    @Test(
        "an alias that is zero, above the maximum or unknown ends the connection",
        arguments: ["30|0001'a' 03 230000", "30|0001'a' 03 23000B", "30|0000 03 230002", "30|0000 03 23000B"]
    )
    func aliasInvalid(_ packet: String) throws {
        var client = try ServerMachine(ServerMachine.v5)
        #expect(try client.receive("30|0001'a' 03 230001 'x'") == "publish a x")
        #expect(try client.receive(packet) == "close e00194")
    }

    @Test("a topic that is too long gets no alias; without one it is the owner's to judge")
    func longAlias() throws {
        var limits = ServerConnection.Limits()
        limits.maxTopicBytes = 4
        var client = try ServerMachine(ServerMachine.v5, limits: limits)
        #expect(try client.receive("30|0004'abcd' 03 230001 'x'") == "publish abcd x")
        #expect(try client.receive("30|0005'abcde' 00 'x'") == "publish abcde x")
        #expect(try client.receive("30|0005'abcde' 03 230001 'x'") == "close e00190")
    }

    @Test("no alias is taken where none was offered, and none outlives its connection [MQTT-3.3.2-7]")
    func noAliases() throws {
        var limits = ServerConnection.Limits()
        limits.topicAliasMaximum = 0
        var none = try ServerMachine(ServerMachine.v5, limits: limits)
        #expect(try none.receive("30|0001'a' 03 230001 'x'") == "close e00194")
        var next = try ServerMachine(ServerMachine.v5)
        #expect(try next.receive("30|0000 03 230001 'x'") == "close e00194")
    }

    // MARK: Receive Maximum

    private func client(receiveMaximum: UInt16) throws -> ServerMachine {
        var limits = ServerConnection.Limits()
        limits.receiveMaximum = receiveMaximum
        return try ServerMachine(ServerMachine.v5, limits: limits)
    }

    @Test("a client may have as many unanswered messages as it was told, and no more [MQTT-3.3.4-7]")
    func receiveMaximum() throws {
        var client = try self.client(receiveMaximum: 2)
        #expect(try client.receive("32|0001'a' 0001 00") == "publish a ")
        #expect(try client.receive("30|0001'a' 00") == "publish a ")
        #expect(try client.receive("34|0001'a' 0002 00") == "publish a ")
        // The same once more, and QoS 0, are not counted.
        #expect(try client.receive("3C|0001'a' 0002 00") == "publish a ")
        #expect(try client.receive("30|0001'a' 00") == "publish a ")
        var over = client
        #expect(try over.receive("32|0001'a' 0003 00") == "close e00193")
        over = client
        #expect(try over.receive("34|0001'a' 0003 00") == "close e00193")
        // PUBREC with success frees nothing, PUBCOMP does.
        client.machine.answered(2, with: .pubrec, .success)
        over = client
        #expect(try over.receive("34|0001'a' 0003 00") == "close e00193")
        client.machine.answered(2, with: .pubcomp, .success)
        #expect(try client.receive("34|0001'a' 0003 00") == "publish a ")
        client.machine.answered(1, with: .puback, .notAuthorized)
        #expect(try client.receive("32|0001'a' 0004 00") == "publish a ")
        client.machine.answered(3, with: .pubrec, .quotaExceeded)
        #expect(try client.receive("34|0001'a' 0003 00") == "publish a ")
        #expect(try client.receive("34|0001'a' 0005 00") == "close e00193")
    }

    @Test("answers to messages of an earlier connection make no more room than there is")
    func quotaIsBounded() throws {
        var client = try self.client(receiveMaximum: 1)
        for packetID in 1...5 as ClosedRange<UInt16> {
            client.machine.answered(packetID, with: .pubcomp, .success)
            client.machine.answered(packetID, with: .puback, .success)
        }
        #expect(try client.receive("32|0001'a' 0001 00") == "publish a ")
        #expect(try client.receive("32|0001'a' 0002 00") == "close e00193")
    }

    @Test("3.1.1 knows no Receive Maximum")
    func oldReceiveMaximum() throws {
        var limits = ServerConnection.Limits()
        limits.receiveMaximum = 1
        var client = try ServerMachine(ServerMachine.v311, limits: limits)
        for id in 1...9 {
            #expect(try client.receive("34|0001'a' 000\(id)") == "publish a ")
        }
    }
}
