import Foundation
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// Our handler on real sockets with OpenSSL's own programs and Mosquitto at the other end.
@Suite(.serialized) struct TLSRealPeerTests {
    private static let openssl = "/usr/bin/openssl"
    private static let mosquitto = "/usr/sbin/mosquitto"
    private static let mosquittoPub = "/usr/bin/mosquitto_pub"
    private static let key: [UInt8] = Array(1...16)
    private static let keyHex = "0102030405060708090a0b0c0d0e0f10"

    private static func isInstalled(_ path: String) -> Bool { FileManager.default.isExecutableFile(atPath: path) }

    /// Sends everything back, and keeps the outcome of the handshake.
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let outcome: EventLoopPromise<TLSPeer>

        init(_ outcome: EventLoopPromise<TLSPeer>) { self.outcome = outcome }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
        func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.outcome.fail(error) }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? TLSHandshakeCompleted { self.outcome.succeed(event.peer) }
        }
    }

    /// Sends `greeting` once it may, and keeps the first answer.
    private final class Caller: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let greeting: [UInt8]
        private let answer: EventLoopPromise<[UInt8]>

        init(_ greeting: [UInt8], _ answer: EventLoopPromise<[UInt8]>) {
            self.greeting = greeting
            self.answer = answer
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard let completed = event as? TLSHandshakeCompleted else { return }
            // Without a greeting, the application protocol.
            let name = Array((completed.peer.applicationProtocol ?? "none").utf8) + [0x0A]
            let greeting = self.greeting.isEmpty ? name : self.greeting
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: greeting)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.answer.succeed(Array(Self.unwrapInboundIn(data).readableBytesView))
            context.close(promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.answer.fail(error) }
        func channelInactive(context: ChannelHandlerContext) { self.answer.fail(ChannelError.eof) }
    }

    /// A listener on a free port that takes one identity, "attic".
    private static func serve(
        _ configuration: TLSConfiguration,
        _ body: (_ port: Int, _ outcome: EventLoopFuture<TLSPeer>) throws -> Void
    ) throws {
        let context = try TLSContext(configuration)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let outcome = loop.makePromise(of: TLSPeer.self)
        let listener = try ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([TLSHandler(context: context), Echo(outcome)])
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        defer {
            outcome.fail(ChannelError.eof)
            try? listener.close().wait()
        }
        try body(listener.localAddress?.port ?? 0, outcome.futureResult)
    }

    private static func call(port: Int, _ configuration: TLSConfiguration, greeting: [UInt8]) throws -> [UInt8] {
        let context = try TLSContext(configuration)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: [UInt8].self)
        let channel = try ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        [TLSHandler(context: context, serverName: "localhost"), Caller(greeting, answer)])
                }
            }
            .connect(host: "127.0.0.1", port: port).wait()
        defer { try? channel.closeFuture.wait() }
        return try answer.futureResult.wait()
    }

    private static func server(_ version: TLSVersion? = nil) -> TLSConfiguration {
        let configuration = TLSConfiguration.server(keyLookup: { $0 == Array("attic".utf8) ? Self.key : nil })
        return version.map { configuration.forcing($0) } ?? configuration
    }

    private static func client(
        identity: String = "attic",
        key: [UInt8] = Self.key,
        _ version: TLSVersion
    ) -> TLSConfiguration {
        .client(preSharedKey: TLSPreSharedKey(identity: Array(identity.utf8), key: key)).forcing(version)
    }

    struct Offer: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var cipher: String
        var hasForwardSecrecy: Bool
        var testDescription: String { self.arguments.joined(separator: " ") }

        init(_ arguments: String, _ cipher: String, hasForwardSecrecy: Bool = true) {
            self.arguments = arguments.split(separator: " ").map(String.init)
            self.cipher = cipher
            self.hasForwardSecrecy = hasForwardSecrecy
        }
    }

    static let offers = [
        Offer("-tls1_2", "ECDHE-PSK-CHACHA20-POLY1305"),
        Offer("-tls1_2 -cipher ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-GCM-SHA256", "ECDHE-PSK-AES128-CBC-SHA256"),
        Offer("-tls1_2 -cipher PSK-AES128-GCM-SHA256:DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-AES128-GCM-SHA256"),
        Offer("-tls1_2 -cipher PSK-AES128-GCM-SHA256", "PSK-AES128-GCM-SHA256", hasForwardSecrecy: false),
        Offer("-tls1_3", "TLS_AES_128_GCM_SHA256"),
        Offer("-tls1_3 -allow_no_dhe_kex", "TLS_AES_128_GCM_SHA256"),
        Offer(
            "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256"
        ),
        // Our first key share group isn't among theirs: HelloRetryRequest.
        Offer("-tls1_3 -groups X448:P-384", "TLS_AES_128_GCM_SHA256"),
    ]

    @Test(
        "openssl s_client with a key is let in, with the best that it offers",
        .enabled(if: isInstalled(openssl)),
        arguments: offers
    )
    func opensslClient(offer: Offer) throws {
        try Self.serve(Self.server()) { port, outcome in
            let peer = try TLSRealPeer(
                Self.openssl,
                ["s_client", "-connect", "127.0.0.1:\(port)", "-psk", Self.keyHex, "-psk_identity", "attic", "-quiet"]
                    + offer.arguments
            )
            try peer.send("hello\n")
            #expect(peer.wait(for: "hello") != nil)
            let proven = try outcome.wait()
            #expect(proven.preSharedKeyIdentity == Array("attic".utf8))
            #expect(proven.cipher == offer.cipher)
            #expect(proven.hasForwardSecrecy == offer.hasForwardSecrecy)
        }
    }

    @Test(
        "openssl s_client gets the same alert for a wrong key and an unknown identity",
        .enabled(if: isInstalled(openssl)),
        arguments: TLSVersion.allCases
    )
    func opensslClientRefused(version: TLSVersion) throws {
        for (identity, key, kind) in [
            ("attic", "ff", TLSError.Kind.wrongKey), ("cellar", Self.keyHex, .unknownIdentity),
        ] {
            try Self.serve(Self.server(version)) { port, outcome in
                let peer = try TLSRealPeer(
                    Self.openssl,
                    ["s_client", "-connect", "127.0.0.1:\(port)", "-psk", key, "-psk_identity", identity]
                )
                let error = #expect(throws: TLSError.self) { try outcome.wait() }
                #expect(error?.kind == kind)
                let result = try peer.finish()
                #expect(result.status != 0)
                #expect(result.text.contains(version == .tls12 ? "SSL alert number 20" : "SSL alert number 47"))
            }
        }
    }

    @Test("openssl s_server picks an application protocol of ours, or refuses us", .enabled(if: isInstalled(openssl)))
    func applicationProtocols() throws {
        for (offered, reversed) in [(["x", "mqtt"], "ttqm"), ([], "enon"), (["x"], nil)] as [([String], String?)] {
            let port = try FreePort.next()
            let peer = try TLSRealPeer(
                Self.openssl,
                [
                    "s_server", "-accept", "127.0.0.1:\(port)", "-nocert", "-psk", Self.keyHex, "-psk_identity",
                    "attic", "-alpn", "mqtt,h2", "-rev",
                ]
            )
            try #require(peer.wait(for: "ACCEPT") != nil)
            var client = Self.client(.tls13)
            client.applicationProtocols = offered
            if let reversed {
                #expect(try Self.call(port: port, client, greeting: []) == Array("\(reversed)\n".utf8))
                continue
            }
            let error = #expect(throws: TLSError.self) { try Self.call(port: port, client, greeting: []) }
            #expect(error?.kind == .noApplicationProtocol)
        }
    }

    @Test("openssl s_server with a key takes us", .enabled(if: isInstalled(openssl)), arguments: TLSVersion.allCases)
    func opensslServer(version: TLSVersion) throws {
        let port = try FreePort.next()
        let peer = try TLSRealPeer(
            Self.openssl,
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-nocert", "-psk", Self.keyHex, "-psk_identity", "attic",
                "-rev",
            ]
        )
        try #require(peer.wait(for: "ACCEPT") != nil)
        #expect(
            try Self.call(port: port, Self.client(version), greeting: Array("hello\n".utf8)) == Array("olleh\n".utf8)
        )
    }

    @Test("a key update that asks for another is answered", .enabled(if: isInstalled(openssl)))
    func keyUpdate() throws {
        try Self.serve(Self.server()) { port, outcome in
            let peer = try TLSRealPeer(
                Self.openssl,
                ["s_client", "-connect", "127.0.0.1:\(port)", "-psk", Self.keyHex, "-psk_identity", "attic"]
            )
            _ = try outcome.wait()
            // One after the other: s_client takes a command only at the head of a read, and drops the rest of that.
            for (line, answer) in [("first\n", "first"), ("K\n", "KEYUPDATE"), ("second\n", "second")] {
                try peer.send(line)
                #expect(peer.wait(for: answer) != nil)
            }
        }
    }

    // MARK: Mosquitto

    private static func withMosquitto(_ version: TLSVersion?, _ body: (_ port: Int) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("sealgate-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let port = try FreePort.next()
        let keys = directory.appendingPathComponent("keys")
        try "attic:\(Self.keyHex)\n".write(to: keys, atomically: false, encoding: .utf8)
        let configuration = directory.appendingPathComponent("mosquitto.conf")
        try """
        user root
        listener \(port) 127.0.0.1
        psk_hint hint
        psk_file \(keys.path)
        use_identity_as_username true
        allow_anonymous false
        \(version.map { "tls_version tlsv\($0.rawValue)" } ?? "")

        """.write(to: configuration, atomically: false, encoding: .utf8)
        let broker = try TLSRealPeer(Self.mosquitto, ["-v", "-c", configuration.path])
        try #require(broker.wait(for: " running") != nil)
        try body(port)
    }

    private static let connect: [UInt8] = [0x10, 0x0D, 0, 4] + Array("MQTT".utf8) + [4, 2, 0, 60, 0, 1, 0x61]

    @Test("mosquitto with a psk_file takes us", .enabled(if: isInstalled(mosquitto)), arguments: TLSVersion.allCases)
    func mosquittoServer(version: TLSVersion) throws {
        try Self.withMosquitto(version) { port in
            let answer = try Self.call(port: port, Self.client(version), greeting: Self.connect)
            #expect(answer == [0x20, 2, 0, 0])
            let both = TLSConfiguration.client(
                preSharedKey: TLSPreSharedKey(identity: Array("attic".utf8), key: Self.key)
            )
            let answerToBoth = try Self.call(port: port, both, greeting: Self.connect)
            #expect(answerToBoth == [0x20, 2, 0, 0])
        }
    }

    @Test("a refusal by mosquitto is explained", .enabled(if: isInstalled(mosquitto)), arguments: TLSVersion.allCases)
    func mosquittoRefuses(version: TLSVersion) throws {
        try Self.withMosquitto(version) { port in
            let wrong = #expect(throws: TLSError.self) {
                try Self.call(port: port, Self.client(key: [9], version), greeting: Self.connect)
            }
            #expect(wrong?.kind == .wrongKey)
            let unknown = #expect(throws: TLSError.self) {
                try Self.call(port: port, Self.client(identity: "cellar", version), greeting: Self.connect)
            }
            #expect(unknown?.kind == .unknownIdentity)
            #expect(unknown?.message.contains("\"cellar\"") == true)
            // Mosquitto's tls_version is the least one.
            guard version == .tls13 else { return }
            let old = #expect(throws: TLSError.self) {
                try Self.call(port: port, Self.client(.tls12), greeting: Self.connect)
            }
            #expect(old?.kind == .noCommonVersion)
        }
    }

    @Test("mosquitto_pub with a key is let in", .enabled(if: isInstalled(mosquittoPub)), arguments: TLSVersion.allCases)
    func mosquittoPublisher(version: TLSVersion) throws {
        // With a certificate at hand too: the key must be what counts.
        let now = Int64(Date().timeIntervalSince1970)
        let authority = try CertificateAuthority(commonName: "CA", validity: .days(1, from: now))
        let issued = try authority.issueServer(names: ["localhost"], validity: .days(1, from: now))
        let identity = TLSIdentity.pem(certificateChain: issued.certificate, privateKey: issued.privateKey)
        for identity in [identity, nil] {
            var configuration = Self.server(version)
            configuration.identity = identity
            try Self.serve(configuration) { port, outcome in
                let peer = try TLSRealPeer(
                    Self.mosquittoPub,
                    [
                        "-h", "127.0.0.1", "-p", "\(port)", "--psk", Self.keyHex, "--psk-identity", "attic", "-t", "t",
                        "-m", "m", "--tls-version", "tlsv\(version.rawValue)",
                    ]
                )
                let proven = try outcome.wait()
                #expect(proven.preSharedKeyIdentity == Array("attic".utf8))
                #expect(proven.version == version)
                #expect(proven.hasForwardSecrecy)
                _ = peer
            }
        }
    }
}
