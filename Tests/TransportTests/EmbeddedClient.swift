import Broker
import MQTTCodec
import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// A client on a channel without a socket, and its time.
final class EmbeddedClient {
    /// Counts how often the socket is asked for bytes.
    final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var count = 0

        func read(context: ChannelHandlerContext) {
            self.count += 1
            context.read()
        }
    }

    /// Lets everybody in, at once or when the test says so, and writes down what comes.
    final class Delegate: MQTTConnectionDelegate {
        var connection: MQTTConnection?
        var isCongested = false
        /// Nil: the test decides.
        var acceptance: Acceptance? = Acceptance()
        var connect: Connect?
        var events: [String] = []
        var end: MQTTConnection.End?
        var will: Will?

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }

        func received(_ connect: Connect) {
            self.connect = connect
            if let acceptance { self.connection?.accept(connect, acceptance) }
        }

        func received(_ publish: Publish) {
            self.events.append("publish \(publish.topic) \(String(buffer: publish.payload))")
        }

        func received(_ subscribe: Subscribe) { self.events.append("subscribe") }
        func received(_ unsubscribe: Unsubscribe) { self.events.append("unsubscribe") }
        func acknowledged(packetID: UInt16, code: ReasonCode) { self.events.append("acknowledged \(packetID) \(code)") }
        func recorded(packetID: UInt16, code: ReasonCode) { self.events.append("recorded \(packetID) \(code)") }
        func completed(packetID: UInt16, code: ReasonCode) { self.events.append("completed \(packetID) \(code)") }
        func released(packetID: UInt16) { self.events.append("released \(packetID)") }
        func hasRoomAgain() {}

        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
            self.connection = nil
            self.end = end
            self.will = will
        }
    }

    static let v311 = "10 10 0004 4d515454 04 02 0000 0004 6e6f6465"
    static let v5 = "10 11 0004 4d515454 05 02 0000 00 0004 6e6f6465"

    let channel = EmbeddedChannel()
    let reads = Reads()
    let delegate = Delegate()
    let connection: MQTTConnection
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

    /// A connection on which nothing has come.
    init(_ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }) throws {
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
    }

    /// A connected client; its CONNACK is read already.
    convenience init(
        connect: String,
        _ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }
    ) throws {
        try self.init(configure)
        try self.send(connect)
        _ = try self.received()
    }

    /// A connected client of 3.1.1.
    ///
    /// - Parameter keepAlive: Four digits of hex, in seconds.
    convenience init(
        keepAlive: String,
        _ configure: (inout MQTTConnection.Configuration) -> Void = { _ in }
    ) throws {
        try self.init(connect: "10 10 0004 4d515454 04 02 \(keepAlive) 0004 6e6f6465", configure)
    }

    deinit {
        _ = try? self.channel.finish()
    }

    func send(_ hex: String) throws {
        try self.send(hexBytes(hex))
    }

    func send(_ bytes: some Collection<UInt8>) throws {
        try self.channel.writeInbound(ByteBuffer(bytes: bytes))
        self.loop.run()
    }

    /// What was sent to the client since the last time, in hex.
    func received() throws -> String {
        self.loop.run()
        var hex = ""
        while let buffer = try self.channel.readOutbound(as: ByteBuffer.self) {
            hex += hexText(buffer.readableBytesView)
        }
        return hex
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
