import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite struct LingeringCloseTests {
    /// In the place of a socket that can close its output alone, which an embedded channel cannot.
    private final class Socket: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var outputClosed = 0
        var reads = 0

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            guard mode == .output else { return context.close(mode: mode, promise: promise) }
            self.outputClosed += 1
            promise?.succeed()
        }

        func read(context: ChannelHandlerContext) {
            self.reads += 1
            context.read()
        }
    }

    /// Counts what comes through.
    private final class Behind: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var events: [String] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.events.append("read") }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.events.append("error") }
        func channelInactive(context: ChannelHandlerContext) { self.events.append("inactive") }
    }

    private let channel = EmbeddedChannel()
    private let socket = Socket()
    private let lingering = LingeringClose(time: .seconds(2), maxBytes: 1000)
    private let behind = Behind()

    /// The close of a connection has just reached the handler.
    init() throws {
        try self.channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1883)).wait()
        try self.channel.pipeline.syncOperations.addHandlers(self.socket, self.lingering, self.behind)
        self.channel.close(promise: nil)
    }

    private func send(_ count: Int) {
        self.channel.pipeline.fireChannelRead(ByteBuffer(repeating: 0, count: count))
        self.channel.pipeline.fireChannelReadComplete()
    }

    @Test("the output is closed, and what comes is read and thrown away until the peer closes; then no timer runs")
    func peerCloses() throws {
        #expect(self.channel.isActive && self.socket.outputClosed == 1 && self.socket.reads == 1)
        self.send(400)
        self.send(600)
        self.channel.close(promise: nil)  // Another handler gives up.
        #expect(self.channel.isActive && self.socket.outputClosed == 1 && self.socket.reads == 3)
        #expect(self.lingering.isWaiting && self.behind.events.isEmpty)
        self.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!self.channel.isActive && !self.lingering.isWaiting)
        #expect(self.behind.events == ["inactive"])
        _ = try self.channel.finish(acceptAlreadyClosed: true)
    }

    @Test("the wait ends with its time, not before")
    func time() throws {
        self.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1999))
        #expect(self.channel.isActive)
        self.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!self.channel.isActive && !self.lingering.isWaiting)
        _ = try self.channel.finish(acceptAlreadyClosed: true)
    }

    @Test("the wait ends with the bytes that the peer may send, in whatever pieces", arguments: [1, 7, 1001])
    func bytes(size: Int) throws {
        for _ in 0..<1000 / size { self.send(size) }
        #expect(self.channel.isActive)
        self.send(size)
        #expect(!self.channel.isActive && !self.lingering.isWaiting)
        _ = try self.channel.finish(acceptAlreadyClosed: true)
    }

    @Test("an error of the socket ends the wait, and goes no further")
    func error() throws {
        self.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "reset"))
        #expect(!self.channel.isActive && self.behind.events == ["inactive"])
        _ = try self.channel.finish(acceptAlreadyClosed: true)
    }

    @Test("whoever needs the place ends the wait")
    func cut() throws {
        self.lingering.cut()
        self.lingering.cut()
        #expect(!self.channel.isActive && !self.lingering.isWaiting)
        _ = try self.channel.finish(acceptAlreadyClosed: true)
    }
}
