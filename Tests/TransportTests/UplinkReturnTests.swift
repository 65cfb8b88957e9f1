import NIOCore
import TestSupport
import Testing

@testable import Transport

/// Addresses with a priority, and the return to a better one.
@Suite struct UplinkReturnTests {
    private static func address(_ port: Int) -> UplinkAddress { UplinkAddress(host: "127.0.0.1", port: port, tls: nil) }

    /// Connected to the second address, for nobody listens at the first; which does then, at the port.
    private func second(after time: Duration?) async throws -> (peer: UplinkPeer, first: Int, second: UplinkPeer.Server)
    {
        let peer = UplinkPeer()
        let refused = try FreePort.next()
        let server = try await peer.serve("second")
        try await peer.use([Self.address(refused), Self.address(server.port)], returnAfter: time)
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(server.port) plain")
        try await peer.with { connector, _ in connector.connectionWasAccepted() }
        return (peer, refused, server)
    }

    @Test("the first address is tried again, and the present connection stays until the other one is asked for")
    func returns() async throws {
        let (peer, port, server) = try await self.second(after: .milliseconds(50))
        _ = try await peer.serve("first", port: port)
        try await peer.log.line(containing: "better mqtt://127.0.0.1:\(port)")
        try await peer.log.line(containing: "first accepted")
        // The present one works on.
        try await server.send("d000")
        try await peer.log.line(containing: "frame d0")
        #expect(!peer.log.lines.contains { $0.hasPrefix("disconnected") || $0 == "second lost" })
        try await peer.with { _, delegate in delegate.channel?.close() }
        try await peer.log.line(containing: "second lost")
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(port) plain")
        // The connection that was held is the one: there was no other.
        #expect(peer.log.lines.count { $0 == "first accepted" } == 1)
    }

    @Test("a first address that is away is tried again and again, without any news")
    func triesAgain() async throws {
        let (peer, port, server) = try await self.second(after: .milliseconds(20))
        try await server.send("d000")
        try await peer.log.line(containing: "frame d0")
        #expect(!peer.log.lines.contains { $0.hasPrefix("better") || $0.hasPrefix("disconnected") })
        _ = try await peer.serve("first", port: port)
        try await peer.log.line(containing: "better")
        try await peer.with { connector, _ in connector.cancel() }
        try await peer.log.line(containing: "first lost")
    }

    @Test("without a time, and at the first address, nothing is tried again")
    func stays() async throws {
        let (peer, port, _) = try await self.second(after: nil)
        let first = try await peer.serve("first", port: port)
        try await peer.with { _, delegate in delegate.channel?.close() }
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(port) plain")
        try await peer.with { connector, _ in connector.connectionWasAccepted() }
        try await first.send("d000")
        try await peer.log.line(containing: "frame d0")
        #expect(!peer.log.lines.contains { $0.hasPrefix("better") })
    }

    @Test("a held connection that ends is forgotten, and another one is made later")
    func heldEnds() async throws {
        let (peer, port, _) = try await self.second(after: .milliseconds(20))
        let first = try await peer.serve("first", port: port)
        try await peer.log.line(containing: "better")
        try await first.hangUp()
        _ = try await peer.log.lines(count: 2) { $0.hasPrefix("better") }
        #expect(!peer.log.lines.contains { $0.hasPrefix("disconnected") })
        try await peer.with { _, delegate in delegate.channel?.close() }
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(port) plain")
    }

    @Test("a better address whose broker does not accept the gateway is left for the other")
    func notAccepted() async throws {
        let (peer, port, server) = try await self.second(after: .milliseconds(20))
        _ = try await peer.serve("first", port: port)
        try await peer.log.line(containing: "better")
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(port) plain")
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(server.port) plain")
    }

    @Test("a connection can be made anew beside the one to the same address")
    func renews() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port)])
        // Nothing to renew.
        try await peer.with { connector, _ in connector.renew() }
        #expect(try await peer.connect().hasPrefix("connected"))
        try await peer.with { connector, _ in
            connector.connectionWasAccepted()
            connector.renew()
            connector.renew()
        }
        try await peer.log.line(containing: "better")
        #expect(try await peer.connect().hasPrefix("connected"))
        #expect(peer.log.lines.count { $0 == "server accepted" } == 2)
    }

    @Test("a dead peer is noticed by TCP itself, and looked for if nothing else looks")
    func liveness() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        for (probes, expected) in [(false, [Int]([9000, 0])), (true, [9000, 1])] {
            try await peer.use([Self.address(server.port)]) { configuration in
                configuration.deadAfter = .seconds(9)
                configuration.probesIdle = probes
            }
            #expect(try await peer.connect().hasPrefix("connected"))
            let values = try await peer.loop.flatSubmit {
                peer.channel().map { channel in
                    [
                        channel.getOption(.tcpOption(.init(rawValue: 18))),  // TCP_USER_TIMEOUT
                        channel.getOption(.socketOption(.so_keepalive)),
                    ]
                }.map { EventLoopFuture.whenAllSucceed($0, on: peer.loop) } ?? peer.loop.makeSucceededFuture([])
            }.get()
            #expect(values.map { Int($0) } == expected)
        }
    }

    @Test("the address to connect from is the one that is named")
    func localAddress() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port)], localAddress: "127.0.0.2")
        #expect(try await peer.connect().hasPrefix("connected"))
        #expect(try await server.remoteAddress() == "127.0.0.2")
        // One that this machine does not have (RFC 5737).
        try await peer.use([Self.address(server.port)], localAddress: "192.0.2.7")
        #expect(try await peer.connect().contains("annot assign requested address"))
    }
}
