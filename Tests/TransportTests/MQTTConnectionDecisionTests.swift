import Broker
import MQTTCodec
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Transport

/// CONNECT is decided about later, as when a password has to be checked on another thread.
@Suite struct MQTTConnectionDecisionTests {
    private static let behind = "30 04 0001 61 31  32 06 0001 61 0001 32  c0 00  30 04 0001 61 33"
    private static let published = ["publish a 1", "publish a 2", "publish a 3"]

    private func undecided(_ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }) throws
        -> EmbeddedClient
    {
        let client = try EmbeddedClient(configure)
        client.delegate.acceptance = nil
        return client
    }

    private func accept(_ client: EmbeddedClient) throws {
        client.connection.accept(try #require(client.delegate.connect), Acceptance())
    }

    @Test("what comes behind CONNECT waits for the decision, and nothing of it is lost", arguments: [1, 3, 7, 1000])
    func pipelined(pieces: Int) throws {
        for before in [0, 1, 2] {
            let client = try self.undecided()
            let bytes = hexBytes(EmbeddedClient.v311 + Self.behind)
            let sent = stride(from: 0, to: bytes.count, by: pieces).map {
                bytes[$0..<min($0 + pieces, bytes.count)]
            }
            let late = min(before, sent.count)
            for piece in sent.dropLast(late) { try client.send(piece) }
            if client.delegate.connect == nil { continue }
            #expect(client.delegate.events.isEmpty)
            #expect(try client.received() == "")
            try self.accept(client)
            // Not while the gateway is still busy with its decision.
            #expect(client.delegate.events.isEmpty)
            for piece in sent.suffix(late) { try client.send(piece) }
            #expect(try client.received() == "20020000" + "d000")
            #expect(client.delegate.events == Self.published)
        }
    }

    @Test("what a client sent before it closed is heard if it is let in, and then its connection ends")
    func closedEarly() throws {
        let client = try self.undecided()
        try client.send(EmbeddedClient.v311 + Self.behind)
        client.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(client.channel.isActive && client.delegate.events.isEmpty)
        try self.accept(client)
        client.loop.run()
        #expect(client.delegate.events == Self.published)
        #expect(!client.channel.isActive && client.delegate.end?.kind == .normal)

        let refused = try self.undecided()
        try refused.send(EmbeddedClient.v311 + Self.behind)
        refused.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        refused.connection.refuse(.notAuthorized, reason: "no")
        #expect(!refused.channel.isActive && refused.delegate.events.isEmpty && refused.delegate.end != nil)

        let unheard = try self.undecided { $0.decisionTimeout = .seconds(30) }
        try unheard.send(EmbeddedClient.v311)
        unheard.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        unheard.loop.advanceTime(by: .seconds(30))
        #expect(!unheard.channel.isActive && unheard.delegate.end != nil)
    }

    @Test("a client that closes when nothing is to be decided is gone at once", arguments: ["", EmbeddedClient.v311])
    func closed(sent: String) throws {
        let client = try EmbeddedClient()
        try client.send(sent)
        client.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!client.channel.isActive && client.delegate.end?.kind == .normal)
    }

    @Test("the size limit of a connected client is for what came behind CONNECT too")
    func largeBehind() throws {
        let client = try self.undecided { $0.maxConnectBytes = 64 }
        let payload = String(repeating: "78", count: 100)
        try client.send(EmbeddedClient.v311 + "30 67 0001 61" + payload)
        #expect(client.delegate.end == nil)
        try self.accept(client)
        client.loop.run()
        #expect(client.delegate.events == ["publish a " + String(repeating: "x", count: 100)])
    }

    @Test("nothing is read while the decision is open, and then again")
    func reading() throws {
        let client = try self.undecided()
        #expect(client.canRead())
        try client.send(EmbeddedClient.v5)
        #expect(!client.canRead())
        let before = client.reads.count
        try self.accept(client)
        client.loop.run()
        #expect(client.reads.count == before + 1)
        #expect(client.canRead())
    }

    @Test("what is sent all the same is kept up to a bound")
    func held() throws {
        let client = try self.undecided()
        try client.send(EmbeddedClient.v5)
        let piece = [UInt8](repeating: 0xC0, count: 64 << 10)
        for _ in 0..<2 { try client.send(piece) }
        #expect(client.delegate.end == nil)
        try client.send("c0")
        #expect(try client.received() == "2003009700")
        #expect(client.delegate.end?.reason == "too much sent behind CONNECT")
    }

    @Test("a client that is refused later is told so, and nothing behind its CONNECT is looked at [MQTT-3.1.4-6]")
    func refused() throws {
        for (connect, answer) in [(EmbeddedClient.v311, "20020004"), (EmbeddedClient.v5, "2003008600")] {
            let client = try self.undecided()
            try client.send(connect + Self.behind)
            client.connection.refuse(.badUserNameOrPassword, reason: "wrong password")
            #expect(try client.received() == answer)
            #expect(client.delegate.events.isEmpty)
            #expect(client.delegate.end?.reason == "wrong password")
            try self.accept(client)  // Too late: nothing happens.
            #expect(try client.received() == "")
        }
    }

    @Test("the decision has a time of its own, which the CONNECT deadline does not shorten")
    func timeouts() throws {
        let client = try self.undecided()
        client.loop.advanceTime(by: .seconds(4))
        try client.send(EmbeddedClient.v5)
        client.loop.advanceTime(by: .seconds(30) - .nanoseconds(1))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(try client.received() == "2003008800")
        #expect(client.delegate.end?.kind == .normal)

        let decided = try self.undecided()
        try decided.send(EmbeddedClient.v5)
        decided.loop.advanceTime(by: .seconds(29))
        try self.accept(decided)
        decided.loop.advanceTime(by: .seconds(60))
        #expect(decided.delegate.end == nil)

        let slow = try self.undecided()
        try slow.send("10 11 0004 4d515454 05")
        slow.loop.advanceTime(by: .seconds(5))
        #expect(slow.delegate.end?.reason == "no CONNECT in time")
    }

    @Test("the wait is not counted against the keep alive")
    func keepAlive() throws {
        let client = try self.undecided()
        try client.send("10 11 0004 4d515454 05 02 000a 00 0004 6e6f6465")
        client.loop.advanceTime(by: .seconds(20))
        try self.accept(client)
        client.loop.advanceTime(by: .seconds(15) - .nanoseconds(1))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(client.delegate.end?.reason == "nothing received for 1.5 times the keep alive")
    }

    @Test("a decision about a client that has gone changes nothing")
    func gone() throws {
        let client = try self.undecided()
        try client.send("10 17 0004 4d515454 04 06 0000 0004 6e6f6465 0001 77 0002 7879")
        try client.channel.close().wait()
        client.loop.run()
        #expect(client.delegate.end != nil)
        #expect(client.delegate.will == nil)
        try self.accept(client)
        client.connection.refuse(.notAuthorized, reason: "too late")
        #expect(try client.received() == "")
        client.loop.advanceTime(by: .minutes(2))
    }
}
