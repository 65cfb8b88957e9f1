import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Server connection")
struct ServerConnectionTests {
    private static let start = ServerMachine.start

    @Test(
        "lets nothing come before CONNECT [MQTT-3.1.0-1]",
        arguments: [
            "c000", "e000", "30 05 0001 61 3132", "82 06 0001 0001 61 00", "4002 0001", "2002 0000", "d000",
        ]
    )
    func firstPacket(_ hex: String) throws {
        var client = ServerMachine()
        #expect(try client.receive(hex) == "close")
        // And it stays closed, whatever comes behind.
        #expect(try client.receive(ServerMachine.v311) == "none")
    }

    @Test(
        "closes on what a connected client may not send, of which a client of 3.1.1 is told nothing",
        arguments: [
            ServerMachine.v311, "2002 0000", "9003 0001 00", "b002 0001", "d000", "f000", "0000", "c100",
            "36|0001'a'0001", "32|0001'a'0000", "30|0001'#'", "30|0000", "82|0001", "82|0001 0003'a#b' 00",
        ]
    )
    func wrongPacket(_ hex: String) throws {
        var client = try ServerMachine(ServerMachine.v311)
        #expect(try client.receive(hex) == "close")
        #expect(!client.machine.isConnected)
    }

    @Test("hands out what a client may send", arguments: [ServerMachine.v311, ServerMachine.v5])
    func events(_ connect: String) throws {
        var client = try ServerMachine(connect)
        let none = client.machine.version == .v5 ? "00" : ""
        #expect(try client.receive("32|0001'a' 0007 \(none) 3132") == "publish a 12")
        #expect(try client.receive("34|0001'a' 0008 \(none) 3132") == "publish a 12")
        #expect(try client.receive("62|0008") == "release 8")
        #expect(try client.receive("40|0009") == "acknowledged 9 success")
        #expect(try client.receive("50|000A") == "recorded 10 success")
        #expect(try client.receive("70|000A") == "completed 10 success")
        #expect(try client.receive("82|0001 \(none) 0001'a' 01") == "subscribe 1")
        #expect(try client.receive("A2|0001 \(none) 0001'a'") == "unsubscribe 1")
        #expect(try client.receive("C0|") == "ping")
        #expect(try client.receive("E0|") == "close")
    }

    @Test("hands out the codes of acknowledgements")
    func codes() throws {
        var client = try ServerMachine(ServerMachine.v5)
        #expect(try client.receive("40|0009 97") == "acknowledged 9 quotaExceeded")
        #expect(try client.receive("50|0009 10 00") == "recorded 9 noMatchingSubscribers")
        #expect(try client.receive("70|0009 92") == "completed 9 packetIdentifierNotFound")
        #expect(try client.receive("62|0009 92") == "release 9")
    }

    @Test("is dead after one and a half times the keep alive, and not before [MQTT-3.1.2-22]")
    func keepAlive() throws {
        for (connect, farewell) in [(ServerMachine.v311, ""), (ServerMachine.v5, " e0018d")] {
            var client = try ServerMachine(connect)
            let deadline = try #require(client.machine.deadline)
            #expect(deadline == Self.start + .seconds(15))
            let early = client.machine.tick(now: deadline - .nanoseconds(1))
            #expect(client.word(early) == "none")
            #expect(try client.receive("C0|", now: deadline - .nanoseconds(1)) == "ping")
            let alive = client.machine.tick(now: deadline)
            #expect(client.word(alive) == "none")
            let next = try #require(client.machine.deadline)
            let dead = client.machine.tick(now: next)
            #expect(client.word(dead) == "close" + farewell)
        }
    }

    @Test("does not hold silence against a client that was not listened to")
    func touched() throws {
        var machine = try ServerMachine(ServerMachine.v311).machine
        let deadline = try #require(machine.deadline)
        machine.touch(now: deadline)
        guard case .none = machine.tick(now: deadline) else {
            Issue.record("closed")
            return
        }
        #expect(machine.deadline == deadline + .seconds(15))
        machine.touch(now: Self.start)
        #expect(machine.deadline == deadline + .seconds(15))
    }

    @Test("the keep alive runs from the decision, not from CONNECT")
    func keepAliveAfterDecision() throws {
        var client = ServerMachine()
        #expect(try client.receive(ServerMachine.v5) == "connect")
        #expect(try client.accept(Acceptance(), now: Self.start + .seconds(20)) == true)
        #expect(client.machine.deadline == Self.start + .seconds(35))
    }

    @Test("closes on a packet with more filters than one packet may have", arguments: [2, 3])
    func filters(count: Int) throws {
        var limits = ServerConnection.Limits()
        limits.maxFiltersPerPacket = 2
        for (type, filter, word) in [("82", "0001 61 00", "subscribe"), ("A2", "0001 61", "unsubscribe")] {
            let filters = String(repeating: filter, count: count)
            var old = try ServerMachine(ServerMachine.v311, limits: limits)
            #expect(try old.receive("\(type)|0001 \(filters)") == (count == 3 ? "close" : "\(word) 2"))
            var new = try ServerMachine(ServerMachine.v5, limits: limits)
            #expect(try new.receive("\(type)|0001 00 \(filters)") == (count == 3 ? "close e00197" : "\(word) 2"))
        }
    }

    @Test("holds a client that wants no keep alive, or a very long one, to the longest that is granted")
    func longestKeepAlive() throws {
        var limits = ServerConnection.Limits()
        limits.maxKeepAlive = 60
        for keepAlive in ["0000", "FFFF"] {
            let connect = "10|0004'MQTT' 04 02 \(keepAlive) 0004'node'"
            #expect(try ServerMachine(connect, limits: limits).machine.deadline == Self.start + .seconds(90))
        }
        limits.maxKeepAlive = 0
        let unwatched = try ServerMachine("10|0004'MQTT' 04 02 0000 0004'node'", limits: limits)
        #expect(unwatched.machine.deadline == nil)
    }

    @Test("keeps the will for an end without DISCONNECT, and drops it with one [MQTT-3.14.4-3]")
    func will() throws {
        let connect = "10|0004'MQTT' 04 06 000A 0004'node' 0001'w' 0001'x'"
        var lost = try ServerMachine(connect).machine
        let will = lost.takeWill()
        #expect(will.map { "\($0.topic)" } == "w")
        // In storage of its own: a slice of the read buffer would keep all of that.
        #expect((will?.payload.storageCapacity ?? .max) <= 16 && (will?.topic.buffer.storageCapacity ?? .max) <= 16)
        let again = lost.takeWill()
        #expect(again == nil)
        var left = try ServerMachine(connect)
        #expect(try left.receive("E0|") == "close")
        #expect(left.machine.takeWill() == nil)
    }

    @Test("a will keeps its properties, in storage of their own")
    func willProperties() throws {
        let filler = String(repeating: "z", count: 4000)
        let connect = """
            10|0004'MQTT' 05 C6 000A 00 0004'node'
            19 1800000005 030001't' 080001'r' 0900020102 260001'k'0001'v'
            0001'w' 0001'x' 0FA0'\(filler)' 0000
            """
        var machine = try ServerMachine(connect).machine
        let kept = machine.takeWill()
        let will = try #require(kept)
        #expect(will.properties.willDelayInterval == 5 && will.properties.contentType == "t")
        #expect(will.properties.userProperties == [UserProperty(name: "k", value: "v")])
        for buffer in [
            will.properties.contentType?.buffer, will.properties.responseTopic?.buffer, will.properties.correlationData,
            will.properties.userProperties.first?.name.buffer, will.properties.userProperties.first?.value.buffer,
        ] {
            #expect((buffer?.storageCapacity ?? .max) <= 16)
        }
    }

    @Test("times out without CONNECT, once")
    func connectTimeout() throws {
        var client = ServerMachine()
        let late = client.machine.connectTimedOut()
        #expect(client.word(late) == "close")
        let again = client.machine.connectTimedOut()
        #expect(client.word(again) == "none")
        var connected = try ServerMachine(ServerMachine.v311)
        let none = connected.machine.connectTimedOut()
        #expect(connected.word(none) == "none")
    }

    @Test("turns a client away about which nothing was decided in time")
    func decisionTimeout() throws {
        for (connect, answer) in [(ServerMachine.v311, "20020003"), (ServerMachine.v5, "2003008800")] {
            var client = ServerMachine()
            #expect(try client.receive(connect) == "connect")
            #expect(client.machine.isDeciding)
            // What came in between would be the owner's mistake.
            #expect(try client.receive("C0|") == "none")
            let late = client.machine.decisionTimedOut()
            #expect(client.word(late) == "close \(answer)")
        }
        var connected = try ServerMachine(ServerMachine.v5)
        let none = connected.machine.decisionTimedOut()
        #expect(connected.word(none) == "none")
    }
}
