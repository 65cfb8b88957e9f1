import Broker
import MQTTCodec
import NIOCore
import NIOEmbedded
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// The whole pipeline of a `ws` connection but for its socket.
@Suite struct WebSocketTests {
    private typealias Frames = WebSocketFrames

    /// Lets everybody in.
    private final class Delegate: MQTTConnectionDelegate {
        var connection: MQTTConnection?
        var isCongested = false
        var published: [Int] = []
        var end: MQTTConnection.End?

        func opened(_ connection: MQTTConnection, peer: TLSPeer?) { self.connection = connection }
        func received(_ connect: Connect) { self.connection?.accept(connect, Acceptance()) }
        func received(_ publish: Publish) { self.published.append(publish.payload.readableBytes) }
        func received(_ subscribe: Subscribe) {}
        func received(_ unsubscribe: Unsubscribe) {}
        func acknowledged(packetID: UInt16, code: ReasonCode) {}
        func recorded(packetID: UInt16, code: ReasonCode) {}
        func completed(packetID: UInt16, code: ReasonCode) {}
        func released(packetID: UInt16) {}
        func hasRoomAgain() {}
        func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?) {
            self.connection = nil
            self.end = end
        }
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

    private final class Client {
        let channel = EmbeddedChannel()
        let reads = Reads()
        let delegate = Delegate()

        init(origins: [String]? = nil) throws {
            let pipeline = self.channel.pipeline.syncOperations
            try pipeline.addHandler(self.reads)
            let request = WebSocketRequest(path: "/mqtt", origins: origins)
            try WebSocketGate.add(to: pipeline, request: request, maxFrameBytes: 100_000)
            try pipeline.addHandler(
                MQTTConnection(
                    configuration: .init(),
                    delegate: self.delegate,
                    burst: WriteBurst(loop: self.channel.embeddedEventLoop),
                    expectsTLS: false
                )
            )
            try self.channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1883)).wait()
        }

        deinit {
            _ = try? self.channel.finish(acceptAlreadyClosed: true)
        }

        /// Errors have told what they tell by then.
        func send(_ bytes: [UInt8], by size: Int = .max) {
            for start in stride(from: 0, to: bytes.count, by: min(size, bytes.count)) {
                let end = min(start + min(size, bytes.count), bytes.count)
                _ = try? self.channel.writeInbound(ByteBuffer(bytes: bytes[start..<end]))
            }
            self.channel.embeddedEventLoop.run()
        }

        func send(_ text: String, by size: Int = .max) { self.send(Array(text.utf8), by: size) }

        /// All that the gateway sent since the last time.
        func received() throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let buffer = try self.channel.readOutbound(as: ByteBuffer.self) {
                bytes += Array(buffer.readableBytesView)
            }
            return bytes
        }

        func receivedText() throws -> String { String(decoding: try self.received(), as: UTF8.self) }

        /// A WebSocket with a connected client.
        static func connected() throws -> Client {
            let client = try Client()
            client.send(WebSocketTests.request())
            _ = try client.received()
            client.send(Frames.frame(Frames.binary, WebSocketTests.connect))
            #expect(try client.received() == [0x82, 4, 0x20, 2, 0, 0])
            return client
        }
    }

    private static let connect = hexBytes("10 10 0004 4d515454 04 02 0000 0004 6e6f6465")

    /// A request as browsers send it; `changes` replaces lines, or takes them out, by name.
    private static func request(
        line: String = "GET /mqtt HTTP/1.1",
        _ changes: [String: String?] = [:]
    ) -> String {
        var headers: [(String, String?)] = [
            ("Host", "192.0.2.9:8080"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Protocol", "mqtt"),
        ]
        for (name, value) in changes {
            if let index = headers.firstIndex(where: { $0.0 == name }) {
                headers[index].1 = value
            } else {
                headers.append((name, value))
            }
        }
        return ([line] + headers.compactMap { name, value in value.map { "\(name): \($0)" } }).joined(separator: "\r\n")
            + "\r\n\r\n"
    }

    // MARK: The request

    @Test(
        "a request is upgraded, in one piece and byte by byte, and leaves no HTTP handler behind",
        arguments: [1, 1000]
    )
    func upgrade(size: Int) throws {
        let client = try Client()
        client.send(Self.request(), by: size)
        let response = try client.receivedText().lowercased()
        #expect(response.hasPrefix("http/1.1 101 "))
        // RFC 6455 §1.3 has the key and its answer.
        #expect(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"))
        #expect(response.contains("sec-websocket-protocol: mqtt\r\n") && response.hasSuffix("\r\n\r\n"))
        #expect(throws: (any Error).self) {
            try client.channel.pipeline.syncOperations.handler(type: WebSocketGate.self)
        }
        client.send(Frames.frame(Frames.binary, Self.connect), by: size)
        #expect(try client.received() == [0x82, 4, 0x20, 2, 0, 0])
    }

    @Test("frames that come with the request are not lost")
    func eager() throws {
        let client = try Client()
        client.send(Array(Self.request().utf8) + Frames.frame(Frames.binary, Self.connect))
        let received = try client.received()
        #expect(received.suffix(6) == [0x82, 4, 0x20, 2, 0, 0])
        #expect(client.delegate.end == nil)
    }

    @Test(
        "the answer names the subprotocol that the client offered [MQTT-6.0.0-4]",
        arguments: [
            ("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("mqttv3.1, mqtt", "mqtt"), ("chat,mqtt ", "mqtt"),
        ]
    )
    func subprotocol(offered: String, chosen: String) throws {
        let client = try Client()
        client.send(Self.request(["Sec-WebSocket-Protocol": offered]))
        #expect(try client.receivedText().contains("Sec-WebSocket-Protocol: \(chosen)\r\n"))
    }

    private static let fine: [(String, String)] = [
        ("a query", request(line: "GET /mqtt?token=x HTTP/1.1")),
        ("upper case", request(["Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"])),
        ("an extension, which is not taken", request(["Sec-WebSocket-Extensions": "permessage-deflate"])),
        ("no origin", request()),
        ("an origin of the list", request(["Origin": "https://home.example:8123"])),
    ]

    @Test("requests that differ within the rules are upgraded", arguments: fine.indices)
    func upgraded(index: Int) throws {
        let client = try Client(origins: ["http://a.example", "https://home.example:8123"])
        client.send(Self.fine[index].1)
        let response = try client.receivedText()
        #expect(response.hasPrefix("HTTP/1.1 101 ") && !response.contains("Extensions"), "\(Self.fine[index].0)")
    }

    /// Not one byte of `SECRET` may come back.
    private static let refused: [(String, String, Int)] = [
        ("another path", request(line: "GET /SECRET HTTP/1.1"), 404),
        ("a path that begins alike", request(line: "GET /mqttSECRET HTTP/1.1"), 404),
        ("a path in other letters", request(line: "GET /MQTT HTTP/1.1"), 404),
        ("a path with the name of a host", request(line: "GET http://SECRET/mqtt HTTP/1.1"), 404),
        ("no upgrade", "GET /mqtt HTTP/1.1\r\nHost: SECRET\r\n\r\n", 426),
        ("another upgrade", request(["Upgrade": "h2c"]), 426),
        ("no Connection: Upgrade", request(["Connection": "keep-alive"]), 426),
        ("POST", "POST /mqtt HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nSECRET", 405),
        ("HEAD", "HEAD /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("OPTIONS with an upgrade", request(line: "OPTIONS /mqtt HTTP/1.1"), 405),
        ("HTTP/1.0", request(line: "GET /mqtt HTTP/1.0"), 400),
        ("a body", request(["Content-Length": "6"]) + "SECRET", 400),
        ("a body in chunks", request(["Transfer-Encoding": "chunked"]) + "6\r\nSECRET\r\n0\r\n\r\n", 400),
        ("no key", request(["Sec-WebSocket-Key": nil]), 400),
        ("a short key", request(["Sec-WebSocket-Key": "SECRET=="]), 400),
        ("two keys", request(["X": "y\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]), 400),
        ("no version", request(["Sec-WebSocket-Version": nil]), 426),
        ("version 8", request(["Sec-WebSocket-Version": "8"]), 426),
        ("no subprotocol [MQTT-6.0.0-3]", request(["Sec-WebSocket-Protocol": nil]), 400),
        ("another subprotocol [MQTT-6.0.0-3]", request(["Sec-WebSocket-Protocol": "SECRET, mqttv5, MQTT"]), 400),
        ("an origin that is not in the list", request(["Origin": "https://SECRET"]), 403),
        ("two origins", request(["Origin": "http://a.example\r\nOrigin: http://a.example"]), 403),
        ("no HTTP at all", "SECRET\r\n\r\n", 400),
        ("MQTT", "\u{10}\u{10}\0\u{4}MQTT\u{4}\u{2}\0\0\0\u{4}node", 400),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\0\u{1}", 400),
        ("a line without a name", "GET /mqtt HTTP/1.1\r\n: SECRET\r\n\r\n", 400),
        ("a lone LF in a value", "GET /mqtt HTTP/1.1\r\nA: b\rSECRET\r\n\r\n", 400),
        ("a long path", request(line: "GET /" + String(repeating: "SECRET", count: 2000) + " HTTP/1.1"), 431),
        ("a long header", request(["X": String(repeating: "SECRET", count: 2000)]), 431),
        ("many headers", request(["X": "y" + String(repeating: "\r\nSECRET: y", count: 70)]), 431),
        (
            "long headers",
            request(["X": "y" + String(repeating: "\r\nX: " + String(repeating: "z", count: 300), count: 30)]), 431
        ),
    ]

    @Test(
        "other requests get a short answer that repeats nothing, then the end",
        arguments: refused.indices,
        [1, 100_000]
    )
    func answered(index: Int, size: Int) throws {
        let (name, request, status) = Self.refused[index]
        let client = try Client(origins: ["http://a.example"])
        client.send(request, by: size)
        let response = try client.receivedText()
        #expect(response.hasPrefix("HTTP/1.1 \(status) "), "\(name): \(response)")
        #expect(response.contains("Connection: close\r\n") && !response.contains("SECRET"), "\(name)")
        #expect(response.utf8.count < 400, "\(name)")
        #expect(!client.channel.isActive && client.delegate.end != nil, "\(name)")
        #expect(client.delegate.end?.reason.contains("SECRET") == false, "\(name)")
    }

    /// Counts what the handlers before the gate have found wrong.
    private final class Complaints: ChannelInboundHandler {
        typealias InboundIn = NIOAny

        var count = 0

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.count += 1
            context.fireErrorCaught(error)
        }
    }

    private static let long: [(String, String, Int)] = [
        ("websocket", "Upgrade", 790), ("websocket", "Upgrade", 8), ("h2c", "Upgrade", 2000), ("", "Upgrade", 7000),
        ("upgrade", "Connection", 790), ("chat", "Sec-WebSocket-Protocol", 1500), ("websocket", "Upgrade", 7),
    ]

    @Test("a list of protocols is judged once however long it is, also without a subprotocol", arguments: long.indices)
    func longLists(index: Int) throws {
        let (item, name, count) = Self.long[index]
        let client = try Client()
        let complaints = Complaints()
        let pipeline = client.channel.pipeline.syncOperations
        let gate = try pipeline.handler(type: WebSocketGate.self)
        try pipeline.addHandler(complaints, position: .before(gate))
        var changes: [String: String?] = ["Sec-WebSocket-Protocol": nil]
        changes[name] = Array(repeating: item, count: count).joined(separator: ",")
        client.send(Self.request(changes) + Self.request())
        let response = try client.receivedText()
        #expect(response.hasPrefix("HTTP/1.1 400 ") && response.utf8.count < 400, "\(response)")
        #expect(complaints.count == 1)
        #expect(!client.channel.isActive && client.delegate.end != nil)
    }

    @Test("what is upgraded may come with other protocols")
    func otherProtocols() throws {
        let client = try Client()
        client.send(Self.request(["Upgrade": "h2c, websocket, websocket", "Connection": "keep-alive, Upgrade"]))
        #expect(try client.receivedText().hasPrefix("HTTP/1.1 101 "))
    }

    @Test("with no origin allowed, pages are refused and other clients let in")
    func noOrigins() throws {
        let browser = try Client(origins: [])
        browser.send(Self.request(["Origin": "null"]))
        #expect(try browser.receivedText().hasPrefix("HTTP/1.1 403 "))
        let other = try Client(origins: [])
        other.send(Self.request())
        #expect(try other.receivedText().hasPrefix("HTTP/1.1 101 "))
    }

    @Test("the time for CONNECT runs from the beginning: a byte of the request now and then does not help")
    func slowRequest() throws {
        let client = try Client()
        for byte in Self.request().utf8.prefix(49) {
            client.send([byte])
            client.channel.embeddedEventLoop.advanceTime(by: .milliseconds(100))
        }
        #expect(client.channel.isActive)
        client.channel.embeddedEventLoop.advanceTime(by: .milliseconds(100))
        #expect(!client.channel.isActive && client.delegate.end != nil)
    }

    @Test("the time for CONNECT does not begin again with the upgrade")
    func slowConnect() throws {
        let client = try Client()
        client.channel.embeddedEventLoop.advanceTime(by: .seconds(4))
        client.send(Self.request())
        client.channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
        #expect(client.channel.isActive)
        client.channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!client.channel.isActive)
    }

    // MARK: Frames

    /// QoS 0, 3 bytes.
    private static let publish = hexBytes("30 08 0003 612f62 010203")

    // [MQTT-6.0.0-2]
    @Test("three packets in one frame, and a packet over five frames with a ping between")
    func packets() throws {
        let client = try Client.connected()
        client.send(Frames.frame(Frames.binary, Self.publish + Self.publish + Self.publish))
        #expect(client.delegate.published == [3, 3, 3])
        let packet = Self.publish
        client.send(Frames.frame(0x02, Array(packet[..<1])) + Frames.frame(0x00, Array(packet[1..<2])))
        client.send(Frames.frame(0x89, [7, 8]))
        #expect(try client.received() == [0x8A, 2, 7, 8])
        client.send(Frames.frame(0x00, Array(packet[2..<5])) + Frames.frame(0x8A, [1]))
        client.send(Frames.frame(0x00, Array(packet[5..<9])) + Frames.frame(0x80, Array(packet[9...])))
        #expect(client.delegate.published == [3, 3, 3, 3])
        #expect(try client.received().isEmpty)
    }

    @Test("answers of one burst leave in one frame, and long ones have a long length")
    func burst() throws {
        let client = try Client.connected()
        client.send(Frames.frame(Frames.binary, hexBytes("c000 c000 c000")))
        #expect(try client.received() == [0x82, 6, 0xD0, 0, 0xD0, 0, 0xD0, 0])
        for (count, header) in [(126, [0x82, 126, 0, 126]), (70_000, [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70])] {
            client.channel.writeAndFlush(ByteBuffer(repeating: 7, count: count), promise: nil)
            let bytes = try client.received()
            #expect(bytes.prefix(header.count).map(Int.init) == header && bytes.count == header.count + count)
        }
    }

    @Test("a Close frame is answered with its code, and ends the connection", arguments: [1000, 1001, 4000])
    func close(code: Int) throws {
        let client = try Client.connected()
        client.send(Frames.frame(0x88, [UInt8(code >> 8), UInt8(code & 0xFF)]))
        #expect(try client.received() == Frames.closed(UInt16(code)))
        #expect(!client.channel.isActive && client.delegate.end != nil)
    }

    @Test("a connection that the gateway ends says so in a Close frame, behind all that was written")
    func ended() throws {
        let client = try Client.connected()
        client.send(Frames.frame(Frames.binary, hexBytes("c000 e000")))
        #expect(try client.received() == [0x82, 2, 0xD0, 0] + Frames.closed(1000))
        #expect(!client.channel.isActive)
    }

    @Test(
        "a frame against the rules is answered with its code; nothing behind it is read [MQTT-6.0.0-1]",
        arguments: [
            (Frames.frame(0x81, publish), 1003), (Frames.frame(0x82, publish, isMasked: false), 1002),
            (Frames.header(0x82, 100_001), 1009), (Frames.frame(0x80, publish), 1002),
        ] as [([UInt8], UInt16)]
    )
    func violation(bytes: [UInt8], code: UInt16) throws {
        let client = try Client.connected()
        client.send(bytes + Frames.frame(Frames.binary, Self.publish))
        #expect(try client.received() == Frames.closed(code))
        #expect(!client.channel.isActive && client.delegate.published.isEmpty)
        #expect(client.delegate.end?.reason.contains("frame") == true)
    }

    @Test("a packet that is too large is refused by its header, within a frame that has not come yet")
    func largePacket() throws {
        let client = try Client()
        client.send(Self.request())
        _ = try client.received()
        // 70,000 bytes of CONNECT are announced; five have come.
        client.send(Frames.header(0x82, 70_000) + [0, 0, 0, 0] + hexBytes("10 f0a204 00"))
        #expect(!client.channel.isActive)
    }

    @Test("a congested gateway reads nothing, neither frames nor the request")
    func reading() throws {
        let client = try Client.connected()
        client.delegate.isCongested = true
        let before = client.reads.count
        client.channel.read()
        client.send(Frames.frame(0x89, [1]) + Frames.frame(Frames.binary, Array(Self.publish.prefix(4))))
        #expect(client.reads.count == before)
        client.delegate.isCongested = false
        client.delegate.connection?.resumeReading()
        #expect(client.reads.count == before + 1)
        let other = try Client()
        other.delegate.isCongested = true
        let started = other.reads.count
        other.send(Self.request(), by: 10)
        #expect(other.reads.count == started)
    }
}
