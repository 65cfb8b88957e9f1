import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Server connection: CONNECT and its answer")
struct ServerConnectionConnectTests {
    @Test(
        "a CONNECT that can't be taken is answered in the form of its version, or not at all",
        arguments: [
            // [MQTT-3.1.2-2]
            ("10|0004'MQTT' 06 02 000A 00 0004'node'", "2003008400"),
            ("10|0004'MQTT' 85 02 000A 00 0004'node'", "2003008400"),
            ("10|0004'MQTT' 03 02 000A 0004'node'", "20020001"),
            ("10|0006'MQIsdp' 04 02 000A 0004'node'", "20020001"),
            // [MQTT-3.1.2-1]
            ("10|0004'MQTX' 05 02 000A 00 0004'node'", "2003008400"),
            ("10|0004'MQTX' 04 02 000A 0004'node'", ""),
            // [MQTT-3.1.2-3], [MQTT-3.1.4-1]
            ("10|0004'MQTT' 05 03 000A 00 0004'node'", "2003008100"),
            ("10|0004'MQTT' 04 03 000A 0004'node'", ""),
            ("11|0004'MQTT' 05 02 000A 00 0004'node'", "2003008100"),
            ("10|0004'MQTT' 05 1E 000A 00 0004'node' 00 0001'w' 0000", "2003008100"),
            ("10|0004'MQTT' 05 02 000A 00 0005'node'", "2003008100"),
            ("10|0004'MQTT' 05 02 000A 00 0001 FF", "2003008100"),
            ("10|0004'MQTT' 05 06 000A 00 0004'node' 00 0001'#' 0000", "2003009000"),
            // Receive Maximum 0, Maximum Packet Size 0, a property twice, one of another packet, one that is unknown.
            ("10|0004'MQTT' 05 02 000A 03 210000 0004'node'", "2003008200"),
            ("10|0004'MQTT' 05 02 000A 05 2700000000 0004'node'", "2003008200"),
            ("10|0004'MQTT' 05 02 000A 06 210001 210001 0004'node'", "2003008200"),
            ("10|0004'MQTT' 05 02 000A 03 230001 0004'node'", "2003008100"),
            ("10|0004'MQTT' 05 02 000A 02 7F00 0004'node'", "2003008100"),
            // Enhanced authentication [MQTT-4.12.0-1], and its data without a method.
            ("10|0004'MQTT' 05 02 000A 04 150001'm' 0004'node'", "2003008c00"),
            ("10|0004'MQTT' 05 02 000A 08 150001'm' 160001'd' 0004'node'", "2003008c00"),
            ("10|0004'MQTT' 05 02 000A 04 160001'd' 0004'node'", "2003008200"),
            // Not even the answer fits into the Maximum Packet Size.
            ("10|0004'MQTT' 05 02 000A 09 150001'm' 2700000004 0004'node'", ""),
            ("10|0004'MQTT' 05 02 000A 09 150001'm' 2700000005 0004'node'", "2003008c00"),
        ]
    )
    func refused(_ connect: String, _ answer: String) throws {
        var client = ServerMachine()
        #expect(try client.receive(connect) == (answer.isEmpty ? "close" : "close \(answer)"))
        #expect(try client.receive("F0|18 04 150001'm'") == "none")
    }

    @Test("a CONNECT with more user properties than are taken is refused")
    func userProperties() throws {
        var limits = ServerConnection.Limits()
        limits.maxUserProperties = 2
        for (count, answer) in [(2, "connect"), (3, "close 2003009700")] {
            var client = ServerMachine(limits: limits)
            let properties = String(repeating: "26 0001'k' 0001'v'", count: count)
            let length = String(7 * count, radix: 16)
            let connect = "10|0004'MQTT' 05 02 000A \(length.count == 1 ? "0" : "")\(length) \(properties) 0004'node'"
            #expect(try client.receive(connect) == answer)
        }
    }

    @Test(
        "every code has an answer in each version, or none",
        arguments: [
            (ReasonCode.badUserNameOrPassword, "2003008600", "20020004"),
            (.notAuthorized, "2003008700", "20020005"), (.banned, "2003008a00", "20020005"),
            (.clientIdentifierNotValid, "2003008500", "20020002"), (.quotaExceeded, "2003009700", "20020003"),
            (.serverUnavailable, "2003008800", "20020003"), (.serverShuttingDown, "2003008800", "20020003"),
            (.administrativeAction, "2003008700", "20020005"), (.retainNotSupported, "2003009a00", ""),
            (.qosNotSupported, "2003009b00", ""), (.protocolError, "2003008200", ""),
            // What CONNACK can't say, and success, which would let the client in.
            (.sessionTakenOver, "2003008000", ""), (.success, "2003008000", ""), (.topicAliasInvalid, "2003008000", ""),
        ]
    )
    func codes(_ code: ReasonCode, _ v5: String, _ v311: String) throws {
        for (connect, answer) in [(ServerMachine.v5, v5), (ServerMachine.v311, v311)] {
            var client = ServerMachine()
            #expect(try client.receive(connect) == "connect")
            #expect((client.machine.farewell(code).map(client.hex) ?? "") == answer)
            client.machine.close()
            #expect(client.machine.farewell(code) == nil)  // [MQTT-3.2.0-2]
        }
    }

    @Test("DISCONNECT says what it can say [MQTT-3.14.2-1], in 3.1.1 nothing")
    func lastCodes() throws {
        let new = try ServerMachine(ServerMachine.v5)
        let old = try ServerMachine(ServerMachine.v311)
        for (code, told) in [
            (ReasonCode.sessionTakenOver, "e0018e"), (.serverShuttingDown, "e0018b"), (.administrativeAction, "e00198"),
            (.badUserNameOrPassword, "e00180"), (.normalDisconnection, "e000"),
        ] {
            #expect(new.machine.farewell(code).map(new.hex) == told)
            #expect(old.machine.farewell(code) == nil)
        }
    }

    @Test("CONNACK says what is not as the standard has it anyway")
    func connAck() throws {
        let limits = "210064 22000A 2700040000"
        #expect(try ServerMachine(ServerMachine.v5).connAck == hex("20|00 00 0B \(limits)"))
        var unlimited = ServerConnection.Limits()
        unlimited.receiveMaximum = .max
        unlimited.topicAliasMaximum = 0
        let bare = try ServerMachine(ServerMachine.v5, limits: unlimited)
        #expect(bare.connAck == hex("20|00 00 05 2700040000"))
        // [MQTT-3.1.2-21]
        for keepAlive in ["0000", "0E11"] {
            let held = try ServerMachine("10|0004'MQTT' 05 02 \(keepAlive) 00 0000")
            #expect(held.connAck == hex("20|00 00 0E 130E10 \(limits)"))
        }
        let acceptance = Acceptance(
            sessionPresent: true,
            assignedClientID: "x",
            sessionExpiryInterval: 5,
            responseInformation: "r",
            retainAvailable: false,
            maximumQoS: .atLeastOnce
        )
        let all = try ServerMachine("10|0004'MQTT' 05 00 000A 02 1901 0000", acceptance)
        let properties = "1100000005 120001'x' 1A0001'r' 210064 22000A 2401 2500 2700040000"
        #expect(all.connAck == hex("20|01 00 1C \(properties)"))
        // [MQTT-3.1.2-28]
        for asked in ["00", "02 1900"] {
            let connect = "10|0004'MQTT' 05 00 000A \(asked) 0000"
            let quiet = try ServerMachine(connect, Acceptance(responseInformation: "r"))
            #expect(quiet.connAck == hex("20|00 00 0B \(limits)"))
        }
    }

    @Test("CONNACK of 3.x is two bytes, which in 3.1 know of no session")
    func oldConnAck() throws {
        let acceptance = Acceptance(sessionPresent: true, assignedClientID: "x", responseInformation: "r")
        #expect(try ServerMachine(ServerMachine.v311, acceptance).connAck == "20020100")
        #expect(try ServerMachine("10|0006'MQIsdp' 03 00 000A 0004'node'", acceptance).connAck == "20020000")
    }

    @Test("a client that has no room for CONNACK can't be let in [MQTT-3.1.2-24]")
    func noRoom() throws {
        for (size, fits) in [("00000010", true), ("0000000F", false)] {
            var client = ServerMachine()
            #expect(try client.receive("10|0004'MQTT' 05 02 000A 05 27\(size) 0004'node'") == "connect")
            #expect(try client.accept(Acceptance()) == fits)
            #expect(client.machine.isDeciding != fits)
        }
    }

    @Test("takes what the client says of itself")
    func client() throws {
        let silent = try ServerMachine(ServerMachine.v5).machine
        #expect(silent.clientReceiveMaximum == 65535 && silent.clientMaximumPacketSize == .max)
        #expect(silent.allowsProblemInformation)
        let connect = "10|0004'MQTT' 05 02 000A 0A 1700 210014 2700010000 0004'node'"
        let machine = try ServerMachine(connect).machine
        #expect(machine.clientReceiveMaximum == 20 && machine.clientMaximumPacketSize == 65536)
        #expect(!machine.allowsProblemInformation)
    }

    private func hex(_ notation: String) -> String {
        ByteBuffer(bytes: ServerMachine.bytes(notation)).hexDump(format: .compact)
    }
}
