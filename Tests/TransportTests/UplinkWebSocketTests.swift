import Foundation
import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// MQTT in WebSocket frames, seen from the client.
@Suite struct UplinkWebSocketTests {
    private typealias Frames = WebSocketFrames

    /// A connection in memory: what the client sends, and the answers that a test makes up.
    private final class Wire {
        let channel = EmbeddedChannel()
        let delegate = UplinkPeer.Delegate(log: OutputLog())
        let uplink: UplinkChannel
        private(set) var outcome: String?

        init(port: Int = 80, path: String = "/mqtt") throws {
            let address = UplinkAddress(host: "broker.test", port: port, tls: nil, webSocketPath: path)
            let burst = WriteBurst(loop: self.channel.embeddedEventLoop)
            self.uplink = UplinkChannel(address: address, configuration: .init(), burst: burst)
            let purpose = HTTPOpening.Purpose.webSocket(WebSocketOffer(address, path: path), maxFrameBytes: 1 << 20)
            try HTTPOpening.add(purpose, startsAfterTLS: false, to: self.channel.pipeline.syncOperations)
            try self.channel.pipeline.syncOperations.addHandler(self.uplink)
            self.uplink.awaitReady { outcome in
                switch outcome {
                case .ready:
                    self.outcome = "ready"
                    self.uplink.attach(self.delegate)
                case .failed(let reason): self.outcome = reason
                }
            }
            try self.channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: port)).wait()
        }

        /// RFC 6455 §4.2.2.
        private static func accepted(_ key: String) -> String {
            let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
            var digest = [UInt8](repeating: 0, count: 20)
            digest.withUnsafeMutableBytes { target in
                text.withUnsafeBytes { Digest.Context(.sha1).hash($0, into: target) }
            }
            return Data(digest).base64EncodedString()
        }

        /// Everything that was sent since the last time.
        func sent() throws -> [UInt8] {
            self.channel.embeddedEventLoop.run()
            var bytes: [UInt8] = []
            while let part = try self.channel.readOutbound(as: ByteBuffer.self) { bytes += part.readableBytesView }
            return bytes
        }

        func receive(_ bytes: [UInt8], by size: Int = .max) throws {
            for start in stride(from: 0, to: bytes.count, by: min(size, bytes.count)) {
                let part = bytes[start..<min(start + min(size, bytes.count), bytes.count)]
                try self.channel.writeInbound(ByteBuffer(bytes: part))
            }
            self.channel.embeddedEventLoop.run()
        }

        /// The broker's answer, with these lines changed: nil leaves one out.
        func answer(_ changes: [String: String?] = [:], status: String = "101 Switching Protocols") throws -> [UInt8] {
            let request = String(decoding: try self.sent(), as: UTF8.self)
            let key =
                request.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }?.dropFirst(19) ?? ""
            var lines: [String: String] = [
                "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "mqtt",
                "Sec-WebSocket-Accept": Self.accepted(String(key)),
            ]
            for (name, value) in changes { lines[name] = value }
            let text = lines.map { "\($0.key): \($0.value)\r\n" }.sorted().joined()
            return Array("HTTP/1.1 \(status)\r\n\(text)\r\n".utf8)
        }

        /// The payloads of the frames that the client sent, with their first bytes; each must be masked.
        func frames() throws -> [(first: UInt8, payload: [UInt8])] {
            var bytes = try self.sent()[...]
            var frames: [(UInt8, [UInt8])] = []
            while let first = bytes.popFirst() {
                let second = bytes.popFirst() ?? 0
                try #require(second & 0x80 != 0)
                var length = Int(second & 0x7F)
                let more = length == 126 ? 2 : length == 127 ? 8 : 0
                if more > 0 { length = bytes.prefix(more).reduce(0) { $0 << 8 | Int($1) } }
                bytes = bytes.dropFirst(more)
                let key = Array(bytes.prefix(4))
                let payload = bytes.dropFirst(4).prefix(length).enumerated().map { $1 ^ key[$0 % 4] }
                bytes = bytes.dropFirst(4 + length)
                frames.append((first, payload))
            }
            return frames
        }
    }

    private func open() throws -> Wire {
        let wire = try Wire()
        try wire.receive(try wire.answer())
        #expect(wire.outcome == "ready")
        return wire
    }

    @Test("asks for the path with the subprotocol mqtt")
    func request() throws {
        for (port, path, host) in [(80, "/mqtt", "broker.test"), (8083, "/a?b=c", "broker.test:8083")] {
            let lines = String(decoding: try Wire(port: port, path: path).sent(), as: UTF8.self).split(
                separator: "\r\n"
            )
            #expect(lines.first == "GET \(path) HTTP/1.1")
            #expect(lines.contains("Host: \(host)") && lines.contains("Sec-WebSocket-Protocol: mqtt"))
            #expect(lines.contains("Sec-WebSocket-Version: 13") && lines.contains("Upgrade: websocket"))
            #expect(lines.contains { $0.hasPrefix("Sec-WebSocket-Key: ") && $0.utf8.count == 19 + 24 })
        }
    }

    @Test("the answer opens it, however it is cut, and frames may come right behind", arguments: [1, 7, 1000])
    func opens(size: Int) throws {
        let wire = try Wire()
        let frame = Frames.frame(Frames.binary, [0xD0, 0x00], isMasked: false)
        try wire.receive(try wire.answer() + (size == 1000 ? [] : frame), by: size)
        #expect(wire.outcome == "ready")
        if size == 1000 { try wire.receive(frame, by: 1) }
        _ = try wire.channel.pipeline.syncOperations.handler(type: WebSocketHandler.self)
        #expect(throws: (any Error).self) { try wire.channel.pipeline.syncOperations.handler(type: HTTPOpening.self) }
    }

    @Test("packets go out in masked frames with another key each, and come in")
    func packets() throws {
        let wire = try self.open()
        for size in [2, 125, 126, 65_535, 65_536] {
            let packet = [UInt8](repeating: 0x5A, count: size)
            wire.uplink.write { _ = $0.writeBytes(packet) }
            let frames = try wire.frames()
            #expect(frames.count == 1 && frames[0].first == 0x82 && frames[0].payload == packet)
        }
        for size in [1, 3, 1000] {
            let packet: [UInt8] = [0x30, 0x05, 0, 1, 0x61, 0x78, 0x79]
            let bytes =
                Frames.frame(0x02, Array(packet[..<3]), isMasked: false) + Frames.frame(0x89, [7], isMasked: false)
                + Frames.frame(0x80, Array(packet[3...]), isMasked: false)
            try wire.receive(bytes, by: size)
            #expect(wire.delegate.log.lines.last == "frame 30 0001617879")
            let pong = try wire.frames()
            #expect(pong.count == 1 && pong[0].first == 0x8A && pong[0].payload == [7])
        }
    }

    @Test(
        "an answer that is not what was asked for is refused",
        arguments: [
            (["Upgrade": "h2c"], "is none"), (["Upgrade": nil], "is none"), (["Connection": "close"], "is none"),
            (["Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="], "is none"),
            (["Sec-WebSocket-Accept": nil], "is none"),
            (["Sec-WebSocket-Extensions": "permessage-deflate"], "is none"),
            (["Sec-WebSocket-Protocol": nil], "did not choose the subprotocol"),
            (["Sec-WebSocket-Protocol": "chat"], "did not choose the subprotocol"),
            (["X-Long": String(repeating: "x", count: 9000)], "an answer of more than 8192 bytes"),
        ] as [([String: String?], String)]
    )
    func wrongAnswer(changes: [String: String?], words: String) throws {
        let wire = try Wire()
        try wire.receive(try wire.answer(changes))
        #expect(wire.outcome?.contains(words) == true, "\(wire.outcome ?? "")")
        #expect(!wire.channel.isActive)
    }

    @Test(
        "another status is explained",
        arguments: [
            ("404 Not Found", "there is none at /mqtt"), ("403 Forbidden", "does not allow it"),
            ("302 Found", "redirects"),
            ("200 OK", "check that its port speaks WebSocket"), ("426 Upgrade Required", "another version"),
        ]
    )
    func status(status: String, words: String) throws {
        let wire = try Wire()
        try wire.receive(try wire.answer(status: status))
        #expect(wire.outcome?.contains("the broker opened no WebSocket (status \(status.prefix(3)))") == true)
        #expect(wire.outcome?.contains(words) == true, "\(wire.outcome ?? "")")
    }

    @Test("frames that no server may send end the connection, with a reason and a Close frame")
    func wrongFrames() throws {
        for (frame, words, code) in [
            (Frames.frame(Frames.binary, [1, 2]), "a frame that is masked, of a server", 1002),
            (Frames.frame(0x81, [0x61], isMasked: false), "a text frame", 1003),
            (Frames.header(0x82, (1 << 20) + 1, isMasked: false), "are taken", 1009),
        ] {
            let wire = try self.open()
            try wire.receive(frame)
            #expect(wire.delegate.log.lines.last?.contains(words) == true, "\(wire.delegate.log.lines)")
            let frames = try wire.frames()
            #expect(frames.map(\.first) == [0x88] && frames[0].payload == [UInt8(code >> 8), UInt8(code & 0xFF)])
            #expect(!wire.channel.isActive)
        }
    }

    @Test("a Close frame of the broker is answered, and its code told")
    func closed() throws {
        for (payload, words) in [
            ([UInt8](), "the broker closed the connection"), ([0x03, 0xE8], "the broker closed the connection"),
            ([0x03, 0xF0], "the broker closed the WebSocket with status code 1008"),
        ] {
            let wire = try self.open()
            try wire.receive(Frames.frame(0x88, payload, isMasked: false))
            #expect(wire.delegate.log.lines == ["disconnected: " + words])
            #expect(try wire.frames().map(\.first) == [0x88])
        }
    }

    @Test("the gateway's own listener and its client understand each other", arguments: [false, true])
    func bothSides(isTLS: Bool) async throws {
        let site = try await SocketSite.Server(isTLS ? .webSocketTLS : .webSocket)
        let key = TLSPreSharedKey(identity: Array("node".utf8), key: SocketSite.key)
        let tls = try isTLS ? TLSContextSource(.client(preSharedKey: key)) : nil
        let peer = UplinkPeer()
        try await peer.use([UplinkAddress(host: "127.0.0.1", port: site.port, tls: tls, webSocketPath: "/mqtt")])
        let scheme = isTLS ? "wss" : "ws"
        #expect(
            try await peer.connect() == "connected \(scheme)://127.0.0.1:\(site.port)/mqtt \(isTLS ? "1.3" : "plain")"
        )
        let connect = hexBytes("10 0d 0004 4d515454 04 02 003c 0001 61")
        try await peer.with { _, delegate in delegate.channel?.write { _ = $0.writeBytes(connect) } }
        try await peer.log.line(containing: "frame 20 0000")
    }
}
