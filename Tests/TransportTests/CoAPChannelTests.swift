import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

@testable import Transport

@Suite("CoAP over UDP", .ownThread, .timeLimit(.minutes(5))) struct CoAPChannelTests {
    @Test("a request is answered in its acknowledgement, and again when it comes again, but decided about once")
    func request() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        let request = CoAPBytes.request("echo", id: 7, payload: "hello")
        for _ in 0..<2 {
            try client.send(request)
            let answer = try client.receiveMessage()
            #expect(answer.type == .acknowledgement && answer.code == .content && answer.messageID == 7)
            #expect(String(buffer: answer.payload) == "hello")
        }
        #expect(site.log.lines == ["request /echo from 127.0.0.1"])
        try await site.stop()
    }

    @Test("a dozen requests that are answered in one later turn are all answered")
    func later() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        for id in 1...12 as ClosedRange<UInt16> {
            try client.send(CoAPBytes.request("later", id: id, payload: "\(id)"))
        }
        try await eventually { site.log.lines.count == 12 }
        #expect(client.receiveIfThere() == nil)
        try await site.answerHeld()
        let answers = try (1...12).map { _ in String(buffer: try client.receiveMessage().payload) }
        #expect(answers == (1...12).map { "\($0)" })
        try await site.stop()
    }

    @Test("a request that nobody answers is acknowledged when its time is over, without any other event")
    func timer() async throws {
        let site = try await CoAPSocketSite.start {
            $0.server.piggybackWithin = .milliseconds(20)
            $0.server.ackTimeout = .milliseconds(20)
        }
        let client = try site.client()
        try client.send(CoAPBytes.request("later", id: 9, payload: "x"))
        #expect(try client.receiveMessage() == .empty(.acknowledgement, messageID: 9))
        try await site.answerHeld()
        let separate = try client.receiveMessage()
        #expect(separate.type == .confirmable && separate.code == .content)
        // Not acknowledged, so it comes again.
        #expect(try client.receiveMessage() == separate)
        try client.send(CoAPBytes.acknowledgement(separate.messageID))
        try await site.stop()
    }

    @Test("an observer is notified, confirms, and is told of nothing when its observation was ended silently")
    func observing() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        try client.send(
            CoAPBytes.request("watch", code: .get, id: 1, payload: "") { $0.append(.observe, uint: UInt8(0)) }
        )
        #expect(try client.receiveMessage().options.first(.observe) != nil)
        // Whether somebody is there who wanted it.
        let ping = try client.receiveMessage()
        #expect(ping.type == .confirmable && ping.code.isEmpty)
        try client.send(Array(CoAPMessage.empty(.reset, messageID: ping.messageID).encoded().readableBytesView))
        try await site.run { channel, delegate in
            for id in delegate.observations {
                #expect(
                    channel.notify(id, CoAPResponse(.content, payload: ByteBuffer(string: "new")), isConfirmable: true)
                )
            }
        }
        let notification = try client.receiveMessage()
        #expect(notification.type == .confirmable && String(buffer: notification.payload) == "new")
        try client.send(CoAPBytes.acknowledgement(notification.messageID))
        _ = try await site.log.line(containing: "confirmed")
        let counts = try await site.run { channel, delegate in
            for id in delegate.observations { channel.endObservation(id) }
            return channel.observationCount
        }
        #expect(counts == 0)
        #expect(client.receiveIfThere() == nil)
        #expect(!site.log.lines.contains { $0.contains("ended") })
        try await site.stop()
    }

    @Test("registering anew ends the old observation, and that is not told from inside respond")
    func notReentrant() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        for id in 1...2 as ClosedRange<UInt16> {
            try client.send(CoAPBytes.request("watch", code: .get, id: id) { $0.append(.observe, uint: UInt8(0)) })
            _ = try client.receive()
        }
        _ = try await site.log.line(containing: "observation ended: replaced")
        #expect(!site.log.lines.contains { $0.hasPrefix("re-entrant") })
        try await site.stop()
    }

    @Test("ignored, challenged, pinged, garbage: each has its answer or none, and the next request is served")
    func others() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        try client.send(CoAPBytes.request("ignore", id: 1))
        try client.send([])
        try client.send("ff")
        try client.send("80014444")
        try client.send("40000011")
        #expect(try client.receive() == hexBytes("70000011"))
        try client.send(CoAPBytes.request("challenge", id: 2))
        let challenge = try client.receiveMessage()
        let echo = try #require(challenge.options.first(.echo))
        #expect(challenge.code == .unauthorized)
        try client.send(CoAPBytes.request("challenge", id: 3, payload: "fresh") { $0.append(.echo, echo) })
        #expect(String(buffer: try client.receiveMessage().payload) == "fresh")
        try await site.stop()
    }

    @Test("a datagram that is too long is dropped whole, and counted")
    func oversized() async throws {
        let site = try await CoAPSocketSite.start { $0.server.maxMessageBytes = 1200 }
        let client = try site.client()
        let head = CoAPBytes.request("echo", .nonConfirmable, id: 1, payload: "").count + 1
        for (id, length) in [(1, 1201), (2, 9000), (3, 1200)] as [(UInt16, Int)] {
            let payload = String(repeating: "x", count: length - head)
            try client.send(CoAPBytes.request("echo", .nonConfirmable, id: id, payload: payload))
        }
        let answer = try client.receiveMessage()
        #expect(answer.payload.readableBytes > 0)
        #expect(site.log.lines.count == 1)
        #expect(try await site.run { channel, _ in channel.datagrams.oversized } == 2)
        try await site.stop()
    }

    @Test("thousands of datagrams of garbage change nothing for others")
    func flood() async throws {
        let site = try await CoAPSocketSite.start()
        let flood = try site.client()
        let client = try site.client()
        var generator = SeededGenerator(seed: 4)
        for round in 0..<5000 {
            let count = Int.random(in: 0...64, using: &generator)
            try? flood.send((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
            guard round.isMultiple(of: 500) else { continue }
            while flood.receiveIfThere() != nil {}
            try client.send(CoAPBytes.request("echo", id: UInt16(round), payload: "here"))
            #expect(try client.receiveMessage().messageID == UInt16(round))
        }
        try await site.stop()
    }

    @Test("a peer whose port is closed takes nothing from the others")
    func unreachablePeer() async throws {
        let site = try await CoAPSocketSite.start { $0.server.piggybackWithin = .milliseconds(1) }
        for id in 1...20 as ClosedRange<UInt16> {
            // Gone before its answer, so that the answer meets an ICMP message.
            let gone = try site.client()
            try gone.send(CoAPBytes.request("later", id: id))
        }
        try await eventually { site.log.lines.count == 20 }
        try await site.answerHeld()
        let client = try site.client()
        try client.send(CoAPBytes.request("echo", id: 99, payload: "still"))
        #expect(String(buffer: try client.receiveMessage().payload) == "still")
        #expect(site.channel.isActive)
        try await site.stop()
    }

    @Test("two listeners can't have one port, and the failure says why")
    func onePort() async throws {
        let site = try await CoAPSocketSite.start()
        let port = site.port
        do {
            _ = try await CoAPSocketSite.start(port: port)
            Issue.record("bound twice")
        } catch {
            #expect(TransportWords.describe(error) == "address already in use")
        }
        try await site.stop()
    }

    @Test("after the end nothing that is asked for does harm")
    func afterwards() async throws {
        let site = try await CoAPSocketSite.start()
        let client = try site.client()
        try client.send(CoAPBytes.request("later", id: 1))
        try await eventually { !site.log.lines.isEmpty }
        try await site.stop()
        try await site.answerHeld()
        #expect(try await site.run { channel, _ in channel.notify(1, CoAPResponse(.content)) } == false)
        #expect(!site.log.lines.contains { $0.hasPrefix("error") })
    }

    @Test("a listener that closes by itself is an error, told with its address")
    func closedByItself() async throws {
        let site = try await CoAPSocketSite.start()
        // What NIO does when the socket fails: nobody calls close().
        site.channel.pipeline.fireChannelInactive()
        let line = try await site.log.line(containing: "a listener has closed by itself")
        #expect(line.hasPrefix("error") && line.contains(":\(site.port)"))
        try await site.stop()
    }

    @Test("each of 60 clients has its own answers")
    func many() async throws {
        let site = try await CoAPSocketSite.start()
        let clients = try (0..<60).map { _ in try site.client() }
        for round in 0..<3 {
            for (index, client) in clients.enumerated() {
                try client.send(CoAPBytes.request("echo", id: UInt16(round), payload: "\(index) \(round)"))
            }
            for (index, client) in clients.enumerated() {
                #expect(String(buffer: try client.receiveMessage().payload) == "\(index) \(round)")
            }
        }
        #expect(try await site.run { channel, _ in channel.peerCount } == 60)
        try await site.stop()
    }
}
