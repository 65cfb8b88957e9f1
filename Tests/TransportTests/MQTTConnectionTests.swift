import MQTTCodec
import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

@Suite struct MQTTConnectionTests {
    /// Counts how often the socket is asked for bytes.
    private final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var count = 0

        func read(context: ChannelHandlerContext) {
            self.count += 1
            context.read()
        }
    }

    /// Lets everybody in.
    private final class Delegate: MQTTConnectionDelegate {
        var connection: MQTTConnection?
        var isCongested = false
        var published = 0
        var subscribed = 0
        var end: MQTTConnection.End?

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }
        func received(_ connect: Connect) { self.connection?.accept(connect, sessionPresent: false) }
        func received(_ publish: Publish) { self.published += 1 }
        func received(_ subscribe: Subscribe) { self.subscribed += 1 }
        func received(_ unsubscribe: Unsubscribe) {}
        func acknowledged(packetID: UInt16) {}
        func released(packetID: UInt16) {}
        func hasRoomAgain() {}
        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
            self.connection = nil
            self.end = end
        }
    }

    /// A connected client and its time.
    private final class Client {
        let channel = EmbeddedChannel()
        let reads = Reads()
        let delegate = Delegate()
        let connection: MQTTConnection
        var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

        /// - Parameter keepAlive: Four digits of hex, in seconds.
        init(keepAlive: String = "0000", _ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }) throws {
            var configuration = MQTTConnection.Configuration()
            configure(&configuration)
            self.connection = MQTTConnection(
                configuration: configuration,
                delegate: self.delegate,
                burst: WriteBurst(loop: self.channel.embeddedEventLoop),
                expectsTLS: false
            )
            try self.channel.pipeline.syncOperations.addHandlers(self.reads, self.connection)
            try self.channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1883)).wait()
            try self.send("10 10 0004 4d515454 04 02 \(keepAlive) 0004 6e6f6465")
        }

        deinit {
            _ = try? self.channel.finish()
        }

        func send(_ hex: String) throws {
            try self.channel.writeInbound(ByteBuffer(bytes: hexBytes(hex)))
            self.loop.run()
        }

        func setWritable(_ isWritable: Bool) {
            self.channel.isWritable = isWritable
            self.channel.pipeline.fireChannelWritabilityChanged()
        }

        /// Whether a wish to read comes through to the socket.
        func canRead() -> Bool {
            let before = self.reads.count
            self.channel.read()
            return self.reads.count > before
        }
    }

    // MARK: Slow readers

    @Test("a client that takes nothing for too long is cut off")
    func slowReader() throws {
        let client = try Client()
        client.setWritable(false)
        client.loop.advanceTime(by: .seconds(30) - .nanoseconds(1))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(client.delegate.end?.reason == "too slow a reader")
    }

    @Test("a client that takes what waits in time stays, however often it is slow")
    func slowButAlive() throws {
        let client = try Client { $0.slowReaderTimeout = .seconds(10) }
        for _ in 0..<5 {
            client.setWritable(false)
            client.loop.advanceTime(by: .seconds(9))
            client.setWritable(true)
            client.loop.advanceTime(by: .seconds(9))
        }
        #expect(client.delegate.end == nil)
    }

    // MARK: Pauses

    @Test("a pause ends after a minute at most")
    func pause() throws {
        let client = try Client()
        #expect(client.canRead())
        client.connection.pauseReading(for: .hours(1))
        #expect(!client.canRead())
        client.loop.advanceTime(by: .minutes(1) - .nanoseconds(1))
        #expect(!client.canRead())
        let before = client.reads.count
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(client.reads.count == before + 1)
        client.connection.pauseReading(for: .seconds(1))
        #expect(!client.canRead())
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.canRead())
    }

    @Test("a connection that ends leaves no timer behind")
    func timersEnd() throws {
        weak var left: MQTTConnection?
        let channel: EmbeddedChannel
        do {
            let client = try Client(keepAlive: "0e10")
            channel = client.channel
            client.connection.pauseReading(for: .seconds(5))
            client.setWritable(false)
            left = client.connection
            client.connection.close(reason: "test")
            client.loop.run()
            #expect(client.delegate.end?.reason == "test")
        }
        #expect(left == nil)
        channel.embeddedEventLoop.advanceTime(by: .hours(2))
    }

    // MARK: Keep alive

    @Test("the keep alive ends a silent client")
    func keepAlive() throws {
        let client = try Client(keepAlive: "000a")
        client.loop.advanceTime(by: .seconds(14))
        try client.send("c000")
        client.loop.advanceTime(by: .seconds(14))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.delegate.end?.reason == "nothing received for 1.5 times the keep alive")
    }

    @Test("the keep alive does not run against a client that the gateway does not read")
    func keepAliveWhileCongested() throws {
        let client = try Client(keepAlive: "000a")
        client.delegate.isCongested = true
        #expect(!client.canRead())
        client.loop.advanceTime(by: .seconds(100))
        #expect(client.delegate.end == nil)
        client.delegate.isCongested = false
        client.connection.resumeReading()
        client.loop.advanceTime(by: .seconds(14))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.delegate.end != nil)
    }

    @Test("a keep alive shorter than the pauses does not end a client over its rate")
    func keepAliveWhilePaused() throws {
        let client = try Client(keepAlive: "0001")
        for _ in 0..<5 {
            client.connection.pauseReading(for: .seconds(5))
            #expect(!client.canRead())
            client.loop.advanceTime(by: .seconds(5))
            client.loop.advanceTime(by: .milliseconds(1499))
            #expect(client.delegate.end == nil)
        }
        client.loop.advanceTime(by: .milliseconds(1))
        #expect(client.delegate.end != nil)
    }

    // MARK: Packets

    @Test("a packet with more filters than one may have ends the connection")
    func filters() throws {
        let client = try Client { $0.maxFiltersPerPacket = 2 }
        try client.send("82 0a 0001 0001 61 00 0001 62 00")
        #expect(client.delegate.subscribed == 1)
        try client.send("82 0e 0001 0001 61 00 0001 62 00 0001 63 00")
        #expect(client.delegate.subscribed == 1)
        #expect(client.delegate.end?.kind == .misbehaved)
        #expect(client.delegate.end?.reason == "protocol error: more filters than 2 in one packet")
    }
}
