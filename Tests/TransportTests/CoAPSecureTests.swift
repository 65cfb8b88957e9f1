import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

@testable import OpenSSL
@testable import Transport

@Suite("CoAP over DTLS", .ownThread, .timeLimit(.minutes(5))) struct CoAPSecureTests {
    @Test("a request within a session has the session's number, and its answer comes back sealed")
    func request() async throws {
        let site = try await CoAPSocketSite.start(dtls: true)
        let client = try DTLSSocketClient(port: site.port)
        try client.connect()
        #expect(String(buffer: try client.ask("echo", id: 1, payload: "hello").payload) == "hello")
        try client.send(CoAPBytes.request("later", id: 2, payload: "late"))
        try await eventually { site.log.lines.count == 3 }
        try await site.answerHeld()
        let late = try #require(try client.receive())
        #expect(String(buffer: try CoAPBytes.decode(late).payload) == "late")
        #expect(
            site.log.lines == [
                "established 1: node1 from 127.0.0.1", "request /echo in session 1 from 127.0.0.1",
                "request /later in session 1 from 127.0.0.1",
            ]
        )
        // Plain CoAP is nothing here.
        let plain = try site.client()
        try plain.send(CoAPBytes.request("echo", id: 3))
        #expect(String(buffer: try client.ask("echo", id: 4, payload: "x").payload) == "x")
        #expect(plain.receiveIfThere() == nil)
        try await site.stop()
    }

    @Test("who is not let in is closed at once, and nothing of it is heard, its end included")
    func unwelcome() async throws {
        let site = try await CoAPSocketSite.start(dtls: true)
        let client = try DTLSSocketClient(port: site.port, identity: "node-unwelcome")
        try client.connect()
        try client.send(CoAPBytes.request("echo", id: 1))
        #expect(try client.receive() == nil)
        #expect(site.log.lines == ["established 1: node-unwelcome from 127.0.0.1"])
        #expect(try await site.run { channel, _ in channel.sessionCount } == 0)
        try await site.stop()
    }

    @Test("a session that is closed from within a request takes nothing more, is ended once, and its peer is told")
    func closing() async throws {
        let site = try await CoAPSocketSite.start(dtls: true)
        let client = try DTLSSocketClient(port: site.port)
        try client.connect()
        try client.send(CoAPBytes.request("watch", code: .get, id: 1) { $0.append(.observe, uint: UInt8(0)) })
        _ = try client.receive()
        #expect(try client.ask("bye", id: 2).code == .content)
        #expect(try client.receive() == nil)
        _ = try await site.log.line(containing: "ended 1: dropped")
        #expect(Array(site.log.lines.suffix(2)) == ["observation ended: forgotten", "ended 1: dropped"])
        let counts = try await site.run { channel, _ in
            [channel.sessionCount, channel.observationCount, channel.peerCount]
        }
        #expect(counts == [0, 0, 0])
        try await site.run { channel, _ in channel.closeSession(1) }
        #expect(site.log.lines.count { $0.hasPrefix("ended") } == 1)
        try await site.stop()
    }

    @Test("a node that restarts a hundred times on its port gets in each time, and its old session is gone")
    func restarts() async throws {
        let site = try await CoAPSocketSite.start(dtls: true) {
            $0.server.maxPeers = 3  // Nothing may be left of the old ones.
        } dtlsChange: {
            $0.handshakesPerSecond = .max
        }
        let socket = try site.client()
        for round in 1...100 {
            let client = try DTLSSocketClient(socket)
            try client.connect()
            #expect(String(buffer: try client.ask("echo", id: 0, payload: "\(round)").payload) == "\(round)")
        }
        #expect(site.log.lines.count { $0.hasPrefix("established") } == 100)
        #expect(site.log.lines.count { $0.hasSuffix(": replaced") } == 99)
        #expect(try await site.run { channel, _ in [channel.sessionCount, channel.peerCount] } == [1, 1])
        try await site.stop()
    }

    @Test("a wrong key and an unknown identity are told to the owner when their time is over")
    func failures() async throws {
        let site = try await CoAPSocketSite.start(dtls: true) { _ in
        } dtlsChange: {
            $0.handshakeTimeout = .milliseconds(50)
        }
        for identity in ["node9", "nobody"] {
            let client = try DTLSSocketClient(port: site.port, identity: identity, key: [1, 2, 3])
            try client.step(nil)
            for _ in 0..<2 { try client.step(ByteBuffer(bytes: client.socket.receive())) }
            let isKnown = identity != "nobody"
            _ = try await site.log.line(containing: "failed \(identity) \(isKnown)")
        }
        #expect(site.log.lines.count == 2)
        try await site.stop()
    }

    @Test("at the end of the listener each peer is told, so that it comes again")
    func farewell() async throws {
        let site = try await CoAPSocketSite.start(dtls: true)
        let clients = try (0..<5).map { _ in try DTLSSocketClient(port: site.port) }
        for client in clients { try client.connect() }
        try await site.stop()
        for client in clients { #expect(try client.receive() == nil) }
        #expect(!site.log.lines.contains { $0.hasPrefix("error") })
    }

    @Test("garbage from the address of a session ends nothing")
    func garbage() async throws {
        let site = try await CoAPSocketSite.start(dtls: true)
        let client = try DTLSSocketClient(port: site.port)
        try client.connect()
        var generator = SeededGenerator(seed: 8)
        for _ in 0..<300 {
            let count = Int.random(in: 0...80, using: &generator)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            for (index, byte) in hexBytes("17fefd0001").enumerated() where index < bytes.count { bytes[index] = byte }
            try client.socket.send(bytes)
        }
        #expect(String(buffer: try client.ask("echo", id: 1, payload: "still").payload) == "still")
        try await site.stop()
    }
}
