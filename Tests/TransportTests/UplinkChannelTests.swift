import MQTTCodec
import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

@Suite struct UplinkChannelTests {
    private static func address(_ port: Int, host: String = "127.0.0.1", tls: TLSContextSource? = nil) -> UplinkAddress
    {
        UplinkAddress(host: host, port: port, tls: tls)
    }

    /// A peer whose channel is up.
    private func connected() async throws -> (UplinkPeer, UplinkPeer.Server) {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port)])
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(server.port) plain")
        return (peer, server)
    }

    @Test("frames come whole and in order, however the stream is cut")
    func frames() async throws {
        let (peer, server) = try await self.connected()
        try await server.send("d0 00 40 02 00")
        try await peer.log.line(containing: "frame d0")
        try await server.send("01 30")
        try await server.send("04 0001")
        try await server.send("6178 d0")
        try await server.send("00")
        _ = try await peer.log.lines(count: 4) { $0.hasPrefix("frame") }
        let frames = peer.log.lines.filter { $0.hasPrefix("frame") }
        #expect(frames == ["frame d0 ", "frame 40 0001", "frame 30 00016178", "frame d0 "])
    }

    @Test("what is written in one turn of the loop goes out as one")
    func coalesces() async throws {
        let (peer, _) = try await self.connected()
        try await peer.with { _, delegate in
            for _ in 0..<3 { delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) } }
            // A machine that had nothing to say leaves the buffer as it was.
            delegate.channel?.write { _ in }
        }
        try await peer.log.line(containing: "server got c000c000c000")
    }

    @Test("a malformed or oversized packet ends the connection, and no frame follows")
    func malformed() async throws {
        let cases = [
            ("d000 30ffffffff7f", "four bytes"), ("90 ffff7f", "over the limit of 1000"),
            ("30 ffffff7f", "over the limit of 1000"),  // 5 bytes more than 256 MiB - 1
            ("32 e907 03e8", "Topic Name"), ("32 e907 03e7" + String(repeating: "61", count: 999), "Packet Identifier"),
        ]
        for (bytes, words) in cases {
            let (peer, server) = try await self.connected()
            try await server.send(bytes + "d000")
            let line = try await peer.log.line(containing: "disconnected")
            #expect(line.contains("the broker sent a malformed packet") && line.contains(words))
            try await peer.log.line(containing: "server lost")
            #expect(peer.log.lines.count { $0.hasPrefix("frame") } == (bytes.hasPrefix("d000") ? 1 : 0))
            #expect(peer.log.lines.count { $0.hasPrefix("disconnected") } == 1)
        }
    }

    @Test("an oversized PUBLISH is told of and skipped, however the stream is cut", arguments: [1, 2, 3, 700, 5000])
    func skips(pieces: Int) async throws {
        let (peer, server) = try await self.connected()
        // 1001 bytes: one more than the limit. Then the same at QoS 0, and one of QoS 1 that ends with its identifier.
        let payload = String(repeating: "30", count: 993)
        let topic = String(repeating: "62", count: 996)
        let stream =
            "d000 32 e607 0001 61 0007" + payload + "d000 31 e607 0001 61" + payload + "3030 d000"
            + "3a e807 03e4" + topic + "ffff 30 04 0001 61 78"
        let bytes = hexBytes(stream)
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            try await server.send(hexText(bytes[start..<min(start + pieces, bytes.count)]))
        }
        try await peer.log.line(containing: "frame 30")
        let lines = peer.log.lines.filter { $0.hasPrefix("frame") || $0.hasPrefix("skipped") || $0.hasPrefix("disc") }
        #expect(
            lines == [
                "frame d0 ", "skipped 32 7 of 1001", "frame d0 ", "skipped 31 0 of 1001", "frame d0 ",
                "skipped 3a 65535 of 1003", "frame 30 00016178",
            ]
        )
    }

    @Test("nothing is kept of a PUBLISH that is skipped, and it is told of before its end")
    func skipsEarly() throws {
        let channel = EmbeddedChannel()
        let delegate = UplinkPeer.Delegate(log: OutputLog())
        let burst = WriteBurst(loop: channel.embeddedEventLoop)
        let uplink = UplinkChannel(address: Self.address(1883), configuration: .init(), burst: burst)
        uplink.attach(delegate)
        try channel.pipeline.syncOperations.addHandler(uplink)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1883)).wait()
        // 100 MiB, of which 5 + 5 bytes come now.
        try channel.writeInbound(ByteBuffer(bytes: hexBytes("32 8080 8032 0001 61 0009")))
        #expect(delegate.log.lines == ["skipped 32 9 of 104857605"])
        #expect(uplink.isSkipping)
        let chunk = ByteBuffer(repeating: 0, count: 1 << 20)
        for _ in 0..<99 {
            try channel.writeInbound(chunk)
            #expect(uplink.partial.count == 0)
        }
        #expect(uplink.isSkipping)
        try channel.writeInbound(ByteBuffer(repeating: 0, count: (1 << 20) - 5))
        #expect(!uplink.isSkipping)
        try channel.writeInbound(ByteBuffer(bytes: hexBytes("d000")))
        #expect(delegate.log.lines.last == "frame d0 ")
        _ = try channel.finish()
    }

    @Test("a delegate that closes when a PUBLISH is skipped hears nothing more")
    func closesInSkip() async throws {
        let (peer, server) = try await self.connected()
        try await peer.with { _, delegate in delegate.onSkipped = { $0.close() } }
        try await server.send("32 e607 0001 61 0007" + String(repeating: "30", count: 993) + "d000")
        try await peer.log.line(containing: "server lost")
        #expect(!peer.log.lines.contains { $0.hasPrefix("frame") || $0.hasPrefix("disconnected") })
    }

    @Test("a delegate that closes while frames are delivered hears nothing more, and what it wrote is sent")
    func closesInFrame() async throws {
        let (peer, server) = try await self.connected()
        try await peer.with { _, delegate in
            delegate.onFrame = { channel, _ in
                channel.write { _ = $0.writeInteger(0xE000, as: UInt16.self) }
                channel.close()
            }
        }
        try await server.send("d000 d000 d000")
        try await peer.log.line(containing: "server got e000")
        try await peer.log.line(containing: "server lost")
        #expect(peer.log.lines.count { $0.hasPrefix("frame") } == 1)
        #expect(!peer.log.lines.contains { $0.hasPrefix("disconnected") })
        try await peer.with { _, delegate in
            #expect(delegate.channel?.isWritable == false)
            delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) }
        }
    }

    @Test("the end of a connection is told once, in words")
    func hangUp() async throws {
        let (peer, server) = try await self.connected()
        try await server.hangUp()
        let line = try await peer.log.line(containing: "disconnected")
        #expect(line == "disconnected: the broker closed the connection")
    }

    @Test("reading pauses and goes on")
    func pauses() async throws {
        let (peer, server) = try await self.connected()
        try await peer.with { _, delegate in
            delegate.onFrame = { channel, frame in if frame.body.readableBytes == 0 { channel.isReading = false } }
        }
        try await server.send("d000")
        try await peer.log.line(containing: "frame d0")
        try await server.send("40020001")
        // A write that arrives proves that the loop has turned since.
        try await peer.with { _, delegate in
            delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) }
        }
        try await peer.log.line(containing: "server got c000")
        #expect(!peer.log.lines.contains { $0.hasPrefix("frame 40") })
        try await peer.with { _, delegate in delegate.channel?.isReading = true }
        try await peer.log.line(containing: "frame 40 0001")
    }

    @Test("a full buffer is told, and so is its end")
    func writability() async throws {
        let (peer, _) = try await self.connected()
        try await peer.with { _, delegate in
            #expect(delegate.channel?.isWritable == true)
            delegate.channel?.write { _ = $0.writeRepeatingByte(0, count: 300 << 10) }
            #expect(delegate.channel?.isWritable == false)
        }
        try await peer.log.line(containing: "writable")
        try await peer.with { _, delegate in #expect(delegate.channel?.isWritable == true) }
    }

    /// Counts how often the socket is asked for bytes.
    private final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var count = 0

        func read(context: ChannelHandlerContext) {
            self.count += 1
            context.read()
        }
    }

    @Test("nothing is read while the broker does not take what it is sent")
    func readsWhileWritable() throws {
        let channel = EmbeddedChannel()
        let reads = Reads()
        let burst = WriteBurst(loop: channel.embeddedEventLoop)
        let uplink = UplinkChannel(address: Self.address(1883), configuration: .init(), burst: burst)
        try channel.pipeline.syncOperations.addHandlers(reads, uplink)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1883)).wait()
        func setWritable(_ isWritable: Bool) {
            channel.isWritable = isWritable
            channel.pipeline.fireChannelWritabilityChanged()
        }
        var expected = reads.count + 1
        channel.read()
        #expect(reads.count == expected)
        setWritable(false)
        channel.read()
        uplink.isReading = false
        uplink.isReading = true
        #expect(reads.count == expected)
        uplink.isReading = false
        setWritable(true)
        #expect(reads.count == expected)
        uplink.isReading = true
        expected += 1
        #expect(reads.count == expected)
        setWritable(false)
        channel.read()
        setWritable(true)
        expected += 1
        #expect(reads.count == expected)
        _ = try channel.finish()
    }

    @Test("the read buffers are as large as a burst of messages needs, and no larger")
    func buffers() async throws {
        let (peer, _) = try await self.connected()
        let maximum = try await peer.with { _, delegate in
            let options = delegate.channel?.context?.channel.syncOptions
            return (try options?.getOption(.recvAllocator) as? AdaptiveRecvByteBufferAllocator)?.maximum
        }
        #expect(maximum == 64 << 10)
    }

    // MARK: Addresses

    @Test("addresses are tried in order, and after a connection that was not accepted the next one comes first")
    func order() async throws {
        let peer = UplinkPeer()
        let dead = try FreePort.Refusing()
        let first = try await peer.serve("first")
        let second = try await peer.serve("second")
        try await peer.use([dead.port, first.port, second.port].map { Self.address($0) })
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(first.port) plain")
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(first.port) plain")
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(second.port) plain")
        try await peer.with { connector, _ in connector.connectionWasAccepted() }
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(first.port) plain")
        withExtendedLifetime(dead) {}
    }

    @Test("when no address answers, each is named with its reason")
    func allFail() async throws {
        let peer = UplinkPeer()
        let dead = try FreePort.Refusing()
        try await peer.use([Self.address(dead.port), Self.address(1883, host: "no-such-host.invalid")])
        let line = try await peer.connect()
        #expect(line.contains("mqtt://127.0.0.1:\(dead.port): connection refused"))
        #expect(line.contains("mqtt://no-such-host.invalid:1883: the name no-such-host.invalid can't be resolved"))
        withExtendedLifetime(dead) {}
    }

    @Test("a name with several addresses is connected to once, and only the answer counts")
    func names() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port, host: "localhost")])
        #expect(try await peer.connect() == "connected mqtt://localhost:\(server.port) plain")
        try await server.send("d000")
        try await peer.log.line(containing: "frame d0")
        #expect(!peer.log.lines.contains { $0.hasPrefix("disconnected") })
    }

    @Test("a cancelled attempt is heard of no more")
    func cancelled() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port)])
        try await peer.with { connector, delegate in
            connector.connect(delegate: delegate)
            connector.cancel()
        }
        try await peer.log.line(containing: "server lost")
        #expect(!peer.log.lines.contains { $0.hasPrefix("connected") || $0.hasPrefix("disconnected") })
    }

    // MARK: TLS

    private static let key: [UInt8] = Array("0123456789abcdef".utf8)

    private static func server(_ version: TLSVersion) throws -> TLSContext {
        let lookup: TLSConfiguration.KeyLookup = { $0 == Array("attic".utf8) ? Self.key : nil }
        return try TLSContext(TLSConfiguration.server(keyLookup: lookup).forcing(version))
    }

    private static func client(key: [UInt8] = key, identity: String = "attic") throws -> TLSContextSource {
        try TLSContextSource(.client(preSharedKey: TLSPreSharedKey(identity: Array(identity.utf8), key: key)))
    }

    @Test("with TLS the channel is up when the handshake is", arguments: TLSVersion.allCases)
    func tls(version: TLSVersion) async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve(tls: try Self.server(version))
        try await peer.use([Self.address(server.port, tls: try Self.client())])
        #expect(try await peer.connect() == "connected mqtts://127.0.0.1:\(server.port) \(version.rawValue)")
        try await peer.with { _, delegate in delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) } }
        try await peer.log.line(containing: "server got c000")
        try await server.send("d000")
        try await peer.log.line(containing: "frame d0")
    }

    @Test("a failed handshake is explained, and the next address is tried", arguments: TLSVersion.allCases)
    func tlsFails(version: TLSVersion) async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve("first", tls: try Self.server(version))
        let other = try await peer.serve("second")
        try await peer.use([Self.address(server.port, tls: try Self.client(key: [1, 2, 3]))])
        let line = try await peer.connect()
        #expect(line.hasPrefix("disconnected: mqtts://127.0.0.1:\(server.port): ") && line.contains("key"))
        try await peer.use([
            Self.address(server.port, tls: try Self.client(identity: "cellar")), Self.address(other.port),
        ])
        #expect(try await peer.connect() == "connected mqtt://127.0.0.1:\(other.port) plain")
    }

    @Test("a server that accepts and never answers the handshake is given up in time")
    func silentTLS() async throws {
        let peer = UplinkPeer()
        let server = try await peer.serve()
        try await peer.use([Self.address(server.port, tls: try Self.client())], timeout: .seconds(3))
        let line = try await peer.connect()
        #expect(line.contains("TLS was not set up within"))
        try await peer.log.line(containing: "server lost")
    }
}
