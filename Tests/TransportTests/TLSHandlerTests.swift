import NIOCore
import NIOEmbedded
import OpenSSL
import Testing

@testable import Transport

@Suite struct TLSHandlerTests {
    private static let key: [UInt8] = Array("0123456789abcdef".utf8)

    /// Keeps what comes up.
    private final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var received = ByteBuffer()
        var reads = 0
        var errors: [any Error] = []
        var peers: [TLSPeer] = []
        var isInactive = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.reads += 1
            self.received.writeImmutableBuffer(Self.unwrapInboundIn(data))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.errors.append(error) }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? TLSHandshakeCompleted { self.peers.append(event.peer) }
        }

        func channelInactive(context: ChannelHandlerContext) { self.isInactive = true }

        var kinds: [TLSError.Kind] { self.errors.compactMap { ($0 as? TLSError)?.kind } }
    }

    /// A client's and a server's channel, joined by hand.
    private final class Pair {
        let client = EmbeddedChannel()
        let server = EmbeddedChannel()
        let clientRecorder = Recorder()
        let serverRecorder = Recorder()
        var writesFromClient = 0
        var writesFromServer = 0

        init(clientKey: [UInt8] = TLSHandlerTests.key, _ version: TLSVersion = .tls13) throws {
            let identity = Array("node".utf8)
            let client = TLSConfiguration.client(preSharedKey: TLSPreSharedKey(identity: identity, key: clientKey))
            let server = TLSConfiguration.server(keyLookup: { $0 == identity ? TLSHandlerTests.key : nil })
            try self.client.pipeline.syncOperations.addHandlers(
                [TLSHandler(context: TLSContext(client)), self.clientRecorder])
            try self.server.pipeline.syncOperations.addHandlers(
                [TLSHandler(context: TLSContext(server.forcing(version))), self.serverRecorder])
        }

        func activate() throws {
            try self.server.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            try self.client.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func connect() throws {
            try self.activate()
            try self.exchange()
        }

        func exchange() throws {
            var moved = true
            while moved {
                moved = false
                while let bytes = try self.client.readOutbound(as: ByteBuffer.self) {
                    moved = true
                    self.writesFromClient += 1
                    self.deliver(bytes, to: self.server)
                }
                while let bytes = try self.server.readOutbound(as: ByteBuffer.self) {
                    moved = true
                    self.writesFromServer += 1
                    self.deliver(bytes, to: self.client)
                }
            }
        }

        private func deliver(_ bytes: ByteBuffer, to channel: EmbeddedChannel) {
            guard channel.isActive else { return }
            channel.pipeline.fireChannelRead(bytes)
            channel.pipeline.fireChannelReadComplete()
        }

        func finish() {
            _ = try? self.client.finish(acceptAlreadyClosed: true)
            _ = try? self.server.finish(acceptAlreadyClosed: true)
        }
    }

    @Test("tells who the peer is, once, before the first plaintext", arguments: TLSVersion.allCases)
    func completed(version: TLSVersion) throws {
        let pair = try Pair(version)
        defer { pair.finish() }
        // Written and flushed before there is a handshake.
        try pair.activate()
        let early = pair.client.writeAndFlush(ByteBuffer(string: "early"))
        try pair.exchange()
        #expect(pair.serverRecorder.peers.map(\.preSharedKeyIdentity) == [Array("node".utf8)])
        #expect(pair.clientRecorder.peers.count == 1)
        #expect(pair.serverRecorder.received == ByteBuffer(string: "early"))
        try early.wait()
    }

    @Test("a burst of writes leaves as one, and all its promises are kept", arguments: TLSVersion.allCases)
    func burst(version: TLSVersion) throws {
        let pair = try Pair(version)
        defer { pair.finish() }
        try pair.connect()
        let before = pair.writesFromServer
        let promises = (0..<10).map { index in
            let promise = pair.server.eventLoop.makePromise(of: Void.self)
            pair.server.write(ByteBuffer(integer: UInt8(index)), promise: index == 3 ? nil : promise)
            if index == 3 { promise.succeed() }
            return promise.futureResult
        }
        try pair.exchange()
        #expect(pair.writesFromServer == before)
        pair.server.flush()
        try pair.exchange()
        #expect(pair.writesFromServer == before + 1)
        #expect(pair.clientRecorder.received == ByteBuffer(bytes: 0..<10))
        #expect(pair.clientRecorder.reads == 1)
        for promise in promises { try promise.wait() }
        // An empty write sends nothing and is kept too.
        try pair.server.writeAndFlush(ByteBuffer()).wait()
    }

    @Test("a failed handshake sends its alert, then the error, then closes", arguments: TLSVersion.allCases)
    func failed(version: TLSVersion) throws {
        let pair = try Pair(clientKey: [1], version)
        defer { pair.finish() }
        try pair.connect()
        #expect(pair.serverRecorder.kinds == [.wrongKey])
        #expect(pair.clientRecorder.kinds == [.wrongKey])
        #expect(!pair.client.isActive && !pair.server.isActive)
        #expect(pair.serverRecorder.isInactive)
        #expect(pair.serverRecorder.peers.isEmpty)
    }

    @Test("a silent peer is cut off at the deadline, and only before the handshake is complete")
    func deadline() throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.activate()
        pair.server.embeddedEventLoop.advanceTime(by: .milliseconds(9_999))
        #expect(pair.server.isActive)
        pair.server.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!pair.server.isActive)
        #expect(pair.serverRecorder.kinds == [.handshakeTimeout])

        let quick = try Pair()
        defer { quick.finish() }
        try quick.connect()
        quick.server.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(quick.server.isActive)
    }

    @Test(
        "close says close_notify after what was written, and the peer closes without an error",
        arguments: TLSVersion.allCases
    )
    func close(version: TLSVersion) throws {
        let pair = try Pair(version)
        defer { pair.finish() }
        try pair.connect()
        pair.client.write(ByteBuffer(string: "bye"), promise: nil)
        pair.client.close(promise: nil)
        try pair.exchange()
        #expect(pair.serverRecorder.received == ByteBuffer(string: "bye"))
        #expect(!pair.server.isActive)
        #expect(pair.serverRecorder.errors.isEmpty && pair.clientRecorder.errors.isEmpty)
        #expect(throws: (any Error).self) { try pair.client.writeAndFlush(ByteBuffer(string: "x")).wait() }
    }

    @Test("an end without close_notify is told as truncation", arguments: [true, false])
    func truncated(isHalfClosed: Bool) throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.connect()
        let unfinished = pair.server.write(ByteBuffer(string: "x"))
        if isHalfClosed {
            pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            pair.server.close(promise: nil)
            pair.client.pipeline.fireChannelInactive()
        }
        #expect(!pair.server.isActive)
        if isHalfClosed {
            #expect(pair.serverRecorder.kinds == [.truncated])
            #expect(throws: (any Error).self) { try unfinished.wait() }
        } else {
            #expect(pair.clientRecorder.kinds == [.truncated])
        }
    }

    @Test("an error of the socket is told, and nothing more is written")
    func broken() throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.connect()
        let unfinished = pair.server.write(ByteBuffer(string: "x"))
        pair.server.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "reset"))
        #expect(pair.serverRecorder.errors.map { $0 is IOError } == [true])
        pair.server.close(promise: nil)
        #expect(try pair.server.readOutbound(as: ByteBuffer.self) == nil)
        #expect(throws: (any Error).self) { try unfinished.wait() }
    }

    @Test("the end of a transport during the handshake is told as such")
    func cutHandshake() throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.activate()
        pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(pair.serverRecorder.kinds == [.peerClosed])
        #expect(!pair.server.isActive)
    }

    @Test("garbage closes the connection and nothing comes up")
    func garbage() throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.activate()
        pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0x10, count: 100_000))
        #expect(pair.serverRecorder.kinds == [.notTLS])
        #expect(pair.serverRecorder.reads == 0)
        #expect(!pair.server.isActive)
    }

    @Test("writes ahead of the handshake are bounded")
    func earlyBound() throws {
        let pair = try Pair()
        defer { pair.finish() }
        try pair.activate()
        let first = pair.client.write(ByteBuffer(repeating: 0, count: 256 << 10))
        #expect(pair.client.isActive)
        pair.client.write(ByteBuffer(repeating: 0, count: 1), promise: nil)
        #expect(pair.clientRecorder.kinds == [.protocolError])
        #expect(!pair.client.isActive)
        #expect(throws: (any Error).self) { try first.wait() }
    }

    @Test("a handler added to an active channel starts at once")
    func late() throws {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let client = TLSConfiguration.client(preSharedKey: TLSPreSharedKey(identity: [1], key: [1]))
        try channel.pipeline.syncOperations.addHandler(TLSHandler(context: TLSContext(client)))
        #expect(try channel.readOutbound(as: ByteBuffer.self) != nil)
    }
}
