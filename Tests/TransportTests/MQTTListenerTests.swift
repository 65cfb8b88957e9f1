import Broker
import Logging
import MQTTCodec
import NIOCore
import NIOEmbedded
import NIOPosix
import OpenSSL
import Synchronization
import TestSupport
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(5))) struct MQTTListenerTests {
    /// Lets everybody in, and writes down how large the buffers of the connection may become.
    private final class Delegate: MQTTConnectionDelegate {
        let log: OutputLog
        var connection: MQTTConnection?
        let isCongested = false

        init(log: OutputLog) { self.log = log }

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) {
            self.connection = connection
            let options = connection.context?.channel.syncOptions
            let allocator = try? options?.getOption(.recvAllocator) as? ReadBufferAllocator
            self.log.append("opened, buffers up to \(allocator?.maximum ?? 0)")
        }

        func received(_ connect: Connect) { self.connection?.accept(connect, Acceptance()) }
        func received(_ publish: Publish) {}
        func received(_ subscribe: Subscribe) {}
        func received(_ unsubscribe: Unsubscribe) {}
        func acknowledged(packetID: UInt16, code: ReasonCode) {}
        func recorded(packetID: UInt16, code: ReasonCode) {}
        func completed(packetID: UInt16, code: ReasonCode) {}
        func released(packetID: UInt16) {}
        func hasRoomAgain() {}
        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) { self.connection = nil }
    }

    /// Writes the messages of a logger to an ``OutputLog``.
    private struct Recorder: LogHandler {
        let log: OutputLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(log: OutputLog) { self.log = log }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.log.append("\(event.level) \(event.message) \(event.metadata ?? [:])")
        }
    }

    private func start(
        _ limits: ConnectionLimiter.Limits,
        log: OutputLog,
        maxQueuedBytes: Int = 1 << 20
    ) async throws -> any Channel {
        var configuration = MQTTListener.Configuration(host: "127.0.0.1", port: 0)
        configuration.connection.maxQueuedBytes = maxQueuedBytes
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try await loop.flatSubmit { [configuration] in
            MQTTListener(
                configuration: configuration,
                tls: nil,
                burst: WriteBurst(loop: loop),
                limiter: ConnectionLimiter(limits: limits),
                handshakes: HandshakeQueue(loop: loop),
                logger: Logger(label: "test") { _ in Recorder(log: log) },
                makeDelegate: { Delegate(log: log) }
            ).start(on: loop)
        }.get()
    }

    @Test("a connection over a limit is closed at once, and the others are served on")
    func limits() async throws {
        let log = OutputLog()
        let listener = try await self.start(.init(perAddress: 1), log: log)
        let port = try #require(listener.localAddress?.port)
        do {
            let first = try RawMQTTClient(port: port, clientID: "first")
            for _ in 0..<3 { try RawMQTTClient(port: port).expectClose() }
            try first.send("c000")
            try first.expect("d000")
        }
        try await eventually {
            (try? RawMQTTClient(port: port, clientID: "second")) != nil
        }
        #expect(!log.lines.contains { $0.hasPrefix("error") })
        try await listener.close()
    }

    @Test("one address that connects too fast is closed at once")
    func rate() async throws {
        let log = OutputLog()
        let listener = try await self.start(.init(ratePerSecond: 1, burst: 2), log: log)
        let port = try #require(listener.localAddress?.port)
        _ = try RawMQTTClient(port: port, clientID: "first")
        _ = try RawMQTTClient(port: port, clientID: "second")
        try RawMQTTClient(port: port).expectClose()
        try await listener.close()
    }

    @Test("the read buffers of a connection stay small")
    func buffers() async throws {
        let log = OutputLog()
        let listener = try await self.start(.init(), log: log)
        _ = try RawMQTTClient(port: try #require(listener.localAddress?.port), clientID: "node")
        #expect(log.lines.contains("opened, buffers up to \(16 << 10)"))
        try await listener.close()
    }

    @Test("a listener with few bytes for each reader starts and serves", arguments: [4_096, 16 << 10, 32 << 10])
    func smallQueue(bytes: Int) async throws {
        let listener = try await self.start(.init(), log: OutputLog(), maxQueuedBytes: bytes)
        let client = try RawMQTTClient(port: try #require(listener.localAddress?.port), clientID: "node")
        try client.send("c000")
        try client.expect("d000")
        try await listener.close()
    }

    @Test("a listener that is closed says nothing")
    func closed() async throws {
        let log = OutputLog()
        let listener = try await self.start(.init(), log: log)
        try await listener.close()
        #expect(log.lines.isEmpty)
    }

    @Test("a listener that closes by itself is an error, told with its address")
    func closedByItself() async throws {
        let log = OutputLog()
        let listener = try await self.start(.init(), log: log)
        let port = try #require(listener.localAddress?.port)
        // What NIO does when the socket fails: nobody calls close().
        listener.pipeline.fireChannelInactive()
        let line = try await log.line(containing: "a listener has closed by itself")
        #expect(line.hasPrefix("error") && line.contains(":\(port)"))
        try await listener.close()
        #expect(log.lines.count == 1)
    }
}
