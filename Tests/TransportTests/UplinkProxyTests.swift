import NIOCore
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// Through an HTTP proxy, which the tests script byte by byte.
@Suite struct UplinkProxyTests {
    private static let established = "HTTP/1.1 200 Connection established\r\n\r\n"

    private static func hex(_ text: String) -> String { hexText(Array(text.utf8)) }

    /// An attempt at `broker.test:8883` through a proxy that answers the request with this.
    private func outcome(
        _ answer: String,
        authorization: String? = nil,
        webSocket: Bool = false,
        timeout: Duration = .patience
    ) async throws -> (UplinkPeer, line: String, request: String) {
        let peer = UplinkPeer()
        let server = try await peer.serve("proxy", answer: Self.hex(answer))
        let address = UplinkAddress(host: "broker.test", port: 8883, tls: nil, webSocketPath: webSocket ? "/mqtt" : nil)
        let proxy = HTTPProxy(host: "127.0.0.1", port: server.port) { authorization }
        try await peer.use([address], timeout: timeout, proxy: proxy)
        let line = try await peer.connect()
        let got = peer.log.lines.first { $0.hasPrefix("proxy got ") }?.dropFirst(10) ?? ""
        let request = String(decoding: hexBytes(String(got)), as: UTF8.self)
        return (peer, line.replacing("127.0.0.1:\(server.port)", with: "PROXY"), request)
    }

    @Test("a tunnel is asked for by CONNECT, and carries what follows")
    func tunnel() async throws {
        for answer in [Self.established, "HTTP/1.0 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\n"] {
            let (peer, line, request) = try await self.outcome(answer)
            #expect(line == "connected mqtt://broker.test:8883 plain")
            #expect(request == "CONNECT broker.test:8883 HTTP/1.1\r\nHost: broker.test:8883\r\n\r\n")
            try await peer.with { _, delegate in
                delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) }
            }
            try await peer.log.line(containing: "proxy got c000")
        }
    }

    @Test("user name and password go to the proxy, and into no message")
    func authorization() async throws {
        let (_, line, request) = try await self.outcome(Self.established, authorization: "Basic c2VjcmV0")
        #expect(line.hasPrefix("connected"))
        #expect(request.contains("\r\nProxy-Authorization: Basic c2VjcmV0\r\n"))
        let refused = try await self.outcome("HTTP/1.1 407 No\r\n\r\n", authorization: "Basic c2VjcmV0")
        #expect(refused.line.contains("does not take proxy_username and its password (407)"))
        #expect(!refused.line.contains("c2VjcmV0"))
    }

    @Test(
        "an answer that opens nothing is explained",
        arguments: [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "asks for a user name and a password (407)"),
            (
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999\r\n\r\nabc",
                "does not allow connections to broker.test:8883 (403)"
            ),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "can't reach broker.test:8883 (502)"),
            ("HTTP/1.1 301 Moved\r\n\r\n", "it answered with status 301"),
            (
                "HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 9000) + "\r\n\r\n",
                "an answer of more than 8192 bytes"
            ),
            ("SSH-2.0-OpenSSH_9\r\n", "what is no answer of HTTP"), ("\u{16}\u{3}\u{1}", "what is no answer of HTTP"),
            ("HTTP/2.0 200 OK\r\n\r\n", "what is no answer of HTTP"),
            (established + "more", "what is no answer of HTTP"), ("close", "closed the connection without an answer"),
            ("HTTP/1.1 200 OK\r\nX: close", "closed the connection without an answer"),
        ]
    )
    func refused(answer: String, words: String) async throws {
        let (peer, line, _) = try await self.outcome(answer)
        #expect(
            line.hasPrefix("disconnected: mqtt://broker.test:8883: the proxy http://PROXY ") && line.contains(words),
            "\(line)"
        )
        try await peer.log.line(containing: "proxy lost")
    }

    @Test(
        "a proxy that says nothing, or nothing but that it is at it, is given up in time",
        arguments: ["", "HTTP/1.1 100 Continue\r\n\r\n"]
    )
    func silent(answer: String) async throws {
        let (peer, line, _) = try await self.outcome(answer, timeout: .seconds(3))
        #expect(line.contains("the tunnel through the proxy was not set up within"))
        try await peer.log.line(containing: "proxy lost")
    }

    @Test("TLS goes through the tunnel to the broker", arguments: TLSVersion.allCases)
    func tls(version: TLSVersion) async throws {
        let peer = UplinkPeer()
        let key: [UInt8] = Array("0123456789abcdef".utf8)
        let server = try await peer.serve(
            tls: try TLSContext(TLSConfiguration.server(keyLookup: { _ in key }).forcing(version))
        )
        let relay = try await HTTPRelay.start(on: peer.loop, to: server.port)
        let context = try TLSContextSource(
            .client(preSharedKey: TLSPreSharedKey(identity: Array("attic".utf8), key: key))
        )
        try await peer.use(
            [UplinkAddress(host: "broker.test", port: 8883, tls: context)],
            proxy: HTTPProxy(host: "127.0.0.1", port: relay.port)
        )
        #expect(try await peer.connect() == "connected mqtts://broker.test:8883 \(version.rawValue)")
        try await peer.with { _, delegate in delegate.channel?.write { _ = $0.writeInteger(0xC000, as: UInt16.self) } }
        try await peer.log.line(containing: "server got c000")
        #expect(relay.requests.lines == ["CONNECT broker.test:8883 HTTP/1.1"])
    }
}
