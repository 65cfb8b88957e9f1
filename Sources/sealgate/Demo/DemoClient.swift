import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import Transport

/// A small MQTT 3.1.1 client over TCP or TLS with a pre-shared key: a node of the demo, and its eyes and hands outside.
///
/// May be used from any task; the work is done on its loop. A task that is cancelled while it waits closes the connection.
struct DemoClient: Sendable {
    typealias Answer = DemoClientHandler.Answer

    let name: String
    /// How the connection is protected: "TLS 1.3, TLS_CHACHA20_POLY1305_SHA256"; nil without TLS.
    let protection: String?
    private let channel: any Channel
    private let handler: NIOLoopBound<DemoClientHandler>

    /// Connects to a port of this machine, and waits for CONNACK.
    ///
    /// - Parameter key: The name and key that prove the client over TLS; nil for plain TCP.
    /// - Throws: ``DemoFailure``, also when the broker turns the client away.
    static func connect(
        _ name: String,
        port: Int,
        key: TLSPreSharedKey? = nil,
        on loop: any EventLoop
    ) async throws -> DemoClient {
        let tls = try key.map { try TLSContext(.client(preSharedKey: $0)) }
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(DemoClientHandler.timeLimit)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if let tls { try pipeline.addHandler(try TLSHandler(context: tls)) }
                        try pipeline.addHandler(DemoClientHandler(name: name, loop: channel.eventLoop))
                    }
                }
                .connect(host: "127.0.0.1", port: port)
                .get()
        } catch {
            throw DemoFailure("\(name) can't connect to port \(port): \(TransportWords.describe(error))")
        }
        let handler = try await loop.submit {
            let handler = try channel.pipeline.syncOperations.handler(type: DemoClientHandler.self)
            return NIOLoopBound(handler, eventLoop: loop)
        }.get()
        try await loop.flatSubmit { handler.value.connect() }.get()
        let protection = try await loop.submit { () -> String? in
            guard tls != nil else { return nil }
            let peer = try channel.pipeline.syncOperations.handler(type: TLSHandler.self).peer
            return peer.map { "TLS \($0.version.rawValue), \($0.cipher)" }
        }.get()
        return DemoClient(name: name, protection: protection, channel: channel, handler: handler)
    }

    /// Subscribes at QoS 1.
    ///
    /// - Returns: Whether the broker granted it.
    func subscribe(_ filter: TopicFilter) async throws -> Bool {
        try await self.wait { $0.subscribe(filter) }
    }

    /// Sends a message at QoS 1 and waits for what becomes of it.
    ///
    /// - Parameter isRepetition: As a node sends it whose PUBACK was lost: DUP, and the packet identifier of the last one.
    func publish(_ message: DemoMessage, isRepetition: Bool = false) async throws -> Answer {
        try await self.wait { $0.publish(message, isRepetition: isRepetition) }
    }

    /// Takes the first message of that kind that was not taken yet, and waits for it if need be.
    ///
    /// - Parameter what: What is waited for, for the failure.
    func take(_ what: String, where isWanted: @escaping @Sendable (DemoMessage) -> Bool) async throws -> DemoMessage {
        try await self.wait { $0.take(what, where: isWanted) }
    }

    /// What came and was not taken.
    func unread() async throws -> [DemoMessage] {
        try await self.channel.eventLoop.submit { self.handler.value.unread }.get()
    }

    /// Begins something on the loop and waits for its end.
    private func wait<Value: Sendable>(
        _ begin: @escaping @Sendable (DemoClientHandler) -> EventLoopFuture<Value>
    ) async throws -> Value {
        try Task.checkCancellation()
        return try await withTaskCancellationHandler {
            try await self.channel.eventLoop.flatSubmit { begin(self.handler.value) }.get()
        } onCancel: {
            self.channel.close(promise: nil)
        }
    }
}
