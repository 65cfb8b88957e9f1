import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

@Suite struct HandshakeQueueTests {
    private static let identity = Array("node".utf8)
    private static let key: [UInt8] = Array(1...16)

    /// Keeps what comes up.
    private final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var events: [String] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.events.append(String(buffer: Self.unwrapInboundIn(data)))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.events.append((error as? TLSError).map { "\($0.kind)" } ?? "\(error)")
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is TLSHandshakeCompleted { self.events.append("open") }
        }

        func channelInactive(context: ChannelHandlerContext) { self.events.append("inactive") }
    }

    /// One client's connection and the server's side of it, joined by hand.
    private final class Pair {
        let client = EmbeddedChannel()
        let server: EmbeddedChannel
        let reads = EmbeddedClient.Reads()
        let recorder = Recorder()

        init(_ queue: HandshakeQueue, _ loop: EmbeddedEventLoop, timeout: TimeAmount = .seconds(10)) throws {
            self.server = EmbeddedChannel(loop: loop)
            let key = TLSPreSharedKey(identity: HandshakeQueueTests.identity, key: HandshakeQueueTests.key)
            let context = try TLSContext(
                .server(keyLookup: { $0 == HandshakeQueueTests.identity ? HandshakeQueueTests.key : nil })
            )
            try self.client.pipeline.syncOperations.addHandler(
                TLSHandler(context: TLSContext(.client(preSharedKey: key)))
            )
            try self.server.pipeline.syncOperations.addHandlers(
                [self.reads, TLSHandler(context: context, handshakeTimeout: timeout, queue: queue), self.recorder]
            )
            for channel in [self.client, self.server] {
                try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            }
        }

        deinit {
            _ = try? self.client.finish(acceptAlreadyClosed: true)
            _ = try? self.server.finish(acceptAlreadyClosed: true)
        }

        /// Hands over what the client has sent, as a channel with automatic reading does.
        func sendToServer() throws {
            while let bytes = try self.client.readOutbound(as: ByteBuffer.self) {
                self.server.pipeline.fireChannelRead(bytes)
            }
            self.server.pipeline.fireChannelReadComplete()
            self.server.read()
        }

        /// Whether there was anything.
        @discardableResult
        func sendToClient() throws -> Bool {
            var isAnswered = false
            while let bytes = try self.server.readOutbound(as: ByteBuffer.self) {
                isAnswered = true
                try self.client.writeInbound(bytes)
            }
            return isAnswered
        }
    }

    private let loop = EmbeddedEventLoop()

    private func nextTurn() { self.loop.advanceTime(by: .microseconds(100)) }

    @Test("so many steps are taken in a turn, and the others in later ones, in order of arrival")
    func turns() throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 2)
        let pairs = try (0..<5).map { _ in try Pair(queue, self.loop) }
        for pair in pairs { try pair.sendToServer() }
        #expect(try pairs.map { try $0.sendToClient() } == [true, true, false, false, false])
        #expect(queue.waitingCount == 3)
        self.nextTurn()
        #expect(try pairs.map { try $0.sendToClient() } == [false, false, true, true, false])
        // Those that go on do not overtake.
        try pairs[0].sendToServer()
        #expect(pairs[0].recorder.events.isEmpty && queue.waitingCount == 2)
        self.nextTurn()
        #expect(try pairs[4].sendToClient())
        #expect(pairs[0].recorder.events == ["open"])
        // A turn that is not used up leaves nothing behind.
        self.nextTurn()
        for pair in pairs[1...2] { try pair.sendToServer() }
        #expect(pairs.map(\.recorder.events) == [["open"], ["open"], ["open"], [], []])
        #expect(queue.waitingCount == 0)
        // A connection that is open needs no turn.
        for number in 0..<5 {
            try pairs[0].client.writeOutbound(ByteBuffer(string: "\(number)"))
            try pairs[0].sendToServer()
        }
        #expect(pairs[0].recorder.events == ["open", "0", "1", "2", "3", "4"])
    }

    @Test("nothing is read while a handshake waits, and everything after it")
    func reading() throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 1)
        let pairs = try (0..<2).map { _ in try Pair(queue, self.loop) }
        for pair in pairs { try pair.sendToServer() }
        #expect(pairs[0].reads.count > 0 && pairs[1].reads.count == 0)
        self.nextTurn()
        #expect(pairs[1].reads.count > 0)
        // The client's Finished and its first message wait together; the wish to read comes through behind them.
        try pairs[0].sendToClient()
        try pairs[1].sendToClient()
        try pairs[1].client.writeOutbound(ByteBuffer(string: "hello"))
        try pairs[0].sendToServer()
        let before = pairs[1].reads.count
        try pairs[1].sendToServer()
        #expect(pairs[1].recorder.events.isEmpty && pairs[1].reads.count == before)
        self.nextTurn()
        self.nextTurn()
        #expect(pairs[1].recorder.events == ["open", "hello"] && pairs[1].reads.count == before + 1)
    }

    @Test("a handshake that waits is cut off at its deadline, and costs no turn any more")
    func deadline() throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 0)
        let pair = try Pair(queue, self.loop, timeout: .milliseconds(1))
        try pair.sendToServer()
        self.loop.advanceTime(by: .milliseconds(1))
        #expect(!pair.server.isActive && pair.recorder.events == ["handshakeTimeout", "inactive"])

        let other = HandshakeQueue(loop: self.loop, stepsPerTurn: 1)
        let pairs = try (0..<3).map { _ in try Pair(other, self.loop) }
        for pair in pairs { try pair.sendToServer() }
        pairs[1].server.close(promise: nil)
        self.nextTurn()
        #expect(try pairs.map { try $0.sendToClient() } == [true, false, true])
        #expect(other.waitingCount == 0)
    }

    @Test("a client that was answered, sent all it has and closed is heard; one that only began is not")
    func closed() throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 1)
        let pairs = try (0..<2).map { _ in try Pair(queue, self.loop) }
        try pairs[0].sendToServer()
        try pairs[0].sendToClient()
        try pairs[0].client.writeOutbound(ByteBuffer(string: "hello"))
        pairs[0].client.close(promise: nil)
        for pair in pairs {
            try pair.sendToServer()
            #expect(pair.recorder.events.isEmpty)
            pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        #expect(pairs[0].recorder.events == ["open", "hello", "inactive"])
        #expect(pairs[1].recorder.events == ["peerClosed", "inactive"])
    }

    @Test("the ends of connections that their clients close all at once wait too", arguments: [true, false])
    func ends(isTold: Bool) throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 2)
        let pairs = try (0..<5).map { _ in try Pair(queue, self.loop) }
        for pair in pairs {
            for _ in 0..<2 {
                self.nextTurn()
                try pair.sendToServer()
                try pair.sendToClient()
            }
        }
        self.nextTurn()
        for pair in pairs {
            try pair.client.writeOutbound(ByteBuffer(string: "last"))
            if isTold { pair.client.close(promise: nil) }
            try pair.sendToServer()
            pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        // What came before the end is there at once.
        let end = isTold ? ["open", "last", "inactive"] : ["open", "last", "truncated", "inactive"]
        func ended() -> [Bool] {
            pairs.map { $0.recorder.events == end && !$0.server.isActive }
        }
        #expect(pairs.allSatisfy { $0.recorder.events.starts(with: ["open", "last"]) })
        #expect(ended() == [true, true, false, false, false])
        self.nextTurn()
        #expect(ended() == [true, true, true, true, false])
        // A reset does not wait.
        pairs[4].server.close(promise: nil)
        #expect(pairs[4].recorder.events.last == "inactive")
        self.nextTurn()
        #expect(queue.waitingCount == 0)
    }

    @Test("what a client sends ahead of its turn is bounded")
    func bounded() throws {
        let queue = HandshakeQueue(loop: self.loop, stepsPerTurn: 0)
        let pair = try Pair(queue, self.loop)
        try pair.sendToServer()
        for _ in 0..<15 { pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0, count: 16 << 10)) }
        #expect(pair.server.isActive)
        pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0, count: 16 << 10))
        #expect(!pair.server.isActive && pair.recorder.events == ["protocolError", "inactive"])
    }

    @Test("all who come at once on real sockets get in", .timeLimit(.minutes(5)))
    func sockets() async throws {
        let server = try await SocketSite.Server(.tls, stepsPerTurn: 1)
        let port = server.port
        try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<40 {
                group.addTask {
                    try await SocketSite.flood(.tls, port: port, hexBytes(EmbeddedClient.v311 + "c000 e000"))
                }
            }
            for try await received in group { #expect(received == hexBytes("20020000 d000")) }
        }
        try await server.listener.close()
    }
}
