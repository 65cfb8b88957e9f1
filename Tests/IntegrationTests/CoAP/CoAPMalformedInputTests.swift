import CoAPCodec
import NIOCore
import TestSupport
import Testing

/// Inputs that no peer should send, at the running gateway, with the answers that the RFCs have for them.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPMalformedInputTests {
    /// Type and code of the answer in hex, as in its first two bytes without the token's length; nil: there is none.
    private struct Row {
        let name: String
        let hex: String
        let type: CoAPMessageType?
        let code: CoAPCode

        init(_ name: String, _ hex: String, _ type: CoAPMessageType?, _ code: CoAPCode = .empty) {
            self.name = name
            self.hex = hex
            self.type = type
            self.code = code
        }
    }

    /// Uri-Path `time`, and `ps/nodes/lamp/t`.
    private static let time = "B4 74696D65"
    private static let topic = "B2 7073 05 6E6F646573 04 6C616D70 01 74"
    private static func text(_ count: Int) -> String { String(repeating: "61", count: count) }

    private static let messages: [Row] = [
        Row("empty CON (ping)", "40 00 0102", .reset), Row("empty NON", "50 00 0102", nil),
        Row("empty CON with a token", "42 00 0102 AAAA", .reset),
        Row("empty CON with trailing bytes", "40 00 0102 FF00", .reset),
        Row("TKL 9 on CON", "49 01 0102 000000000000000000", .reset),
        Row("TKL 13 on CON", "4D 01 0102 00" + text(13), .reset), Row("TKL 15 on CON", "4F 01 0102", .reset),
        Row("TKL 9 on NON", "59 01 0102 000000000000000000", nil),
        Row("delta 15", "40 01 0102 F0", .reset), Row("length 15", "40 01 0102 BF", .reset),
        Row("truncated value", "40 01 0102 B4 61", .reset), Row("truncated extension", "40 01 0102 BE 01", .reset),
        Row("the same on NON", "50 01 0102 BE 01", nil),
        Row("payload marker, no payload, CON", "40 02 0102 FF", .reset),
        Row("payload marker, no payload, NON", "50 02 0102 FF", nil),
        Row("option number over 65535", "40 01 0102 E0 FEF3", .reset),
        Row("version 0", "00 01 0102", nil), Row("version 2", "80 01 0102", nil), Row("version 3", "C0 01 0102", nil),
        Row("code class 1, CON", "40 20 0102", .reset), Row("code class 6, CON", "40 C0 0102", .reset),
        Row("code class 7, CON", "40 E1 0102", .reset), Row("code class 7, NON", "50 E1 0102", nil),
        Row("unsolicited CON 2.05", "40 45 0102", .reset), Row("unsolicited NON 2.05", "50 45 0102", nil),
        Row("ACK carrying a request", "60 01 0102 \(time)", nil), Row("RST with a code", "70 01 0102", nil),
        Row("stray ACK", "60 00 0102", nil), Row("stray RST", "70 00 0102", nil),
        Row("RST of 3 bytes", "70 00 01", nil),
        Row("one byte", "40", nil), Row("three bytes", "40 01 01", nil), Row("no bytes", "", nil),
    ]

    private static let options: [Row] = [
        Row("well-formed", "40 01 0102 \(time)", .acknowledgement, .content),
        Row("unknown critical option, CON", "40 01 0102 \(time) E0 25F7", .acknowledgement, .badOption),
        Row("unknown critical option, NON", "50 01 0102 \(time) E0 25F7", nil),
        Row("unknown elective option", "40 01 0102 \(time) E0 25F8", .acknowledgement, .content),
        Row("unknown method 0.31", "40 1F 0102 \(time)", .acknowledgement, .methodNotAllowed),
        Row("DELETE of the time", "40 04 0102 \(time)", .acknowledgement, .methodNotAllowed),
        Row("Uri-Path of 256 bytes", "40 01 0102 BD F3" + text(256), .acknowledgement, .badOption),
        Row("two Uri-Host", "40 01 0102 31 61 01 61 84 74696D65", .acknowledgement, .badOption),
        Row("two Content-Format", "40 02 0102 \(topic) 10 01 3C FF 31", .acknowledgement, .changed),
        Row("Observe of 4 bytes", "40 01 0102 64 00000000 54 74696D65", .acknowledgement, .content),
        Row("Accept 65000", "40 01 0102 \(time) 62 FDE8", .acknowledgement, .notAcceptable),
        Row("Block2 with SZX 7", "40 01 0102 \(time) C1 07", .acknowledgement, .badRequest),
        Row("Block2 past the end", "40 01 0102 \(time) C1 56", .acknowledgement, .badRequest),
        Row("Block2 of the highest number", "40 01 0102 \(time) C3 FFFFF6", .acknowledgement, .badRequest),
        Row(
            "Block1 begins at 5",
            "40 03 0102 \(topic) D1 03 50 FF" + text(16),
            .acknowledgement,
            .requestEntityIncomplete
        ),
        Row("Block1 with SZX 7", "40 03 0102 \(topic) D1 03 07 FF 61", .acknowledgement, .badRequest),
        Row(
            "Block1 with a block that is not full",
            "40 03 0102 \(topic) D1 03 08 FF 61",
            .acknowledgement,
            .badRequest
        ),
        Row("Proxy-Uri", "40 01 0102 \(time) D4 0B 636F6170", .acknowledgement, .proxyingNotSupported),
        Row("Proxy-Scheme", "40 01 0102 \(time) D4 0F 636F6170", .acknowledgement, .proxyingNotSupported),
        Row(
            "OSCORE of a context that nobody has",
            "44 02 0102 00003974 920914 FF 612F1092F1776F1C1668B3825E",
            .acknowledgement,
            .unauthorized
        ),
        Row("path of ill-formed UTF-8", "40 02 0102 B2 7073 02 C0AF FF 31", .acknowledgement, .badRequest),
        Row("path with a slash in a segment", "40 02 0102 B2 7073 03 612F62 FF 31", .acknowledgement, .badRequest),
        Row("path with NUL", "40 02 0102 B2 7073 02 6100 FF 31", .acknowledgement, .badRequest),
        Row("path with +", "40 02 0102 B2 7073 05 6E6F646573 01 2B FF 31", .acknowledgement, .badRequest),
        Row("path with #", "40 01 0102 B2 7073 01 23", .acknowledgement, .badRequest),
        Row("path with ..", "40 02 0102 B2 7073 02 2E2E FF 31", .acknowledgement, .badRequest),
        Row("Q-Block1", "40 02 0102 \(topic) 81 06 FF 61", .acknowledgement, .badOption),
        Row("a resource that is not there", "40 01 0102 B3 666F6F", .acknowledgement, .notFound),
    ]

    /// What brought other implementations down.
    private static let classes: [Row] = [
        Row("option number wraps (mbed-coap CVE-2020-12887)", "40 01 0102 E0 FFFF E0 FFFF", .reset),
        Row("option length wraps (mbed-coap CVE-2020-12883)", "40 01 0102 BE FFFF" + text(8), .reset),
        Row(
            "sum of many deltas wraps (libcoap CVE-2024-31031)",
            "40 01 0102" + String(repeating: "E0 3FFF ", count: 5),
            .reset
        ),
        Row("extended token length past four bytes (RIOT GHSA-p9hp-2jxm-6rqp)", "4E 01 0102", .reset),
        Row(
            "large token to .well-known/core (RIOT CVE-2026-27703)",
            "48 01 0102 FFFFFFFFFFFFFFFF BB 2E77656C6C2D6B6E6F776E 04 636F7265",
            .acknowledgement,
            .content
        ),
        Row("proxy loop (libcoap#1063)", "40 01 0102 \(time) D0 0B", .acknowledgement, .proxyingNotSupported),
        Row("Hop-Limit 0", "40 01 0102 \(time) 51 00", .acknowledgement, .content),
        Row(
            "OSCORE option: a kid context longer than the option (libcoap CVE-2023-35862)",
            "40 02 0102 93 1914FF FF 6161616161616161616161",
            .acknowledgement,
            .badOption
        ),
        Row(
            "OSCORE option: reserved bits",
            "40 02 0102 92 E914 FF 6161616161616161616161",
            .acknowledgement,
            .badOption
        ),
        Row(
            "OSCORE option: Partial IV of 7 bytes",
            "40 02 0102 98 0F01020304050607 FF 61616161616161616161",
            .acknowledgement,
            .badOption
        ),
        Row("OSCORE without payload", "40 02 0102 92 0914", .acknowledgement, .badRequest),
        Row("nothing but a header (FreeCoAP CVE-2024-31029)", "40 01 0102", .acknowledgement, .notFound),
        Row("a payload of a marker (FreeCoAP CVE-2024-31030)", "40 02 0102 \(topic) FF FF", .acknowledgement, .changed),
        Row(
            "path of the most bytes that an option has (Golioth CVE-2026-23749)",
            "40 01 0102 BD F2" + text(255) + "C1 06",
            .acknowledgement,
            .notFound
        ),
        Row(
            "a message of 4,000 bytes without a path",
            "40 02 0102 FF" + text(4000),
            .acknowledgement,
            .notFound
        ),
        Row(
            "160 empty segments",
            "40 02 0102 B0" + String(repeating: "00", count: 159),
            .acknowledgement,
            .notFound
        ),
        Row("two thousand options", "40 02 0102 B0" + String(repeating: "00", count: 2000), .reset),
    ]

    private func check(_ rows: [Row], _ site: CoAPSite) throws {
        for row in rows {
            // A port of its own, so that nothing is taken for a retransmission.
            let node = try CoAPNode(port: try site.port, messageID: 0x7000)
            try node.send(row.hex)
            if let type = row.type {
                let answer = try node.receive()
                #expect(
                    answer?.type == type && answer?.code == row.code,
                    "\(row.name): \(answer.map { "\($0.type) \($0.code)" } ?? "-")"
                )
                #expect(answer?.messageID == 0x0102, "\(row.name)")
                #expect(answer?.number(.observe) == nil)
            }
            #expect(try node.isSilent(), "\(row.name)")
        }
    }

    @Test("messages")
    func malformedMessages() async throws {
        let site = try await CoAPSite.start()
        try self.check(Self.messages, site)
        try site.serves()
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("options")
    func malformedOptions() async throws {
        let site = try await CoAPSite.start()
        try self.check(Self.options, site)
        try site.serves()
        #expect(try await site.outside.messages(2).map(\.payload) == ["1", "alive"])
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("what brought others down")
    func knownClasses() async throws {
        let site = try await CoAPSite.start()
        try self.check(Self.classes, site)
        try site.serves()
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("an address that is not proven gets at most three times what came from there (IoTivity CVE-2019-9750)")
    func amplification() async throws {
        let site = try await CoAPSite.start()
        let node = try CoAPNode(port: try site.port)
        let large = String(repeating: "large", count: 180)
        let put = node.request(.put, "ps/nodes/lamp/large", ByteBuffer(string: large), query: ["retain"])
        #expect(try node.ask(put)?.code == .changed)
        for hex in [
            "40 01 0102 BB 2E77656C6C2D6B6E6F776E 04 636F7265",
            "40 01 0103 B2 7073 05 6E6F646573 04 6C616D70 05 6C61726765",
        ] {
            let spoofed = try CoAPNode(port: try site.port)
            try spoofed.send(hex)
            var count = 0
            while let answer = try spoofed.socket.receive(within: .milliseconds(300)) { count += answer.count }
            #expect(count > 0 && count <= 3 * hexBytes(hex).count, "\(hex): \(count)")
        }
    }

    /// Records of DTLS that no client sends, to a port where a session lives too.
    private static let records: [(name: String, hex: String)] = [
        ("an epoch that is not there (TinyDTLS CVE-2021-42142)", "17 FEFD FFFF 000000000000 0010" + text(16)),
        ("a hello in a later epoch (TinyDTLS CVE-2021-42141)", "16 FEFD 0001 000000000000 0010" + text(16)),
        ("a record shorter than its header", "16 FEFD 0000 0000"),
        ("a record longer than the datagram", "16 FEFD 0000 000000000000 FFFF 01"),
        ("a ClientHello of no bytes", "16 FEFD 0000 000000000000 000C 01 000000 0000 000000 000000"),
        ("a fragment behind the end", "16 FEFD 0000 000000000000 000D 01 000010 0000 FFFFFF 000001 00"),
        ("ServerHello from a client", "16 FEFD 0000 000000000000 000C 02 000000 0000 000000 000000"),
        ("a fatal alert", "15 FEFD 0000 000000000000 0002 0228"),
        ("close_notify", "15 FEFD 0000 000000000000 0002 0100"),
        ("ChangeCipherSpec", "14 FEFD 0000 000000000000 0001 01"),
        ("a heartbeat", "18 FEFD 0000 000000000000 0003 01FFFF"),
        ("plain CoAP", "40 01 0102 B4 74696D65"), ("a TLS hello", "16 0301 0005 01 000001 00"), ("nothing", ""),
    ]

    @Test("records that no client sends change nothing, neither from a stranger nor from a session's address")
    func dtlsRecords() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.devices += SiteDevices.keyed("hall", key: Array("a key of a node!".utf8))
        let site = try await CoAPSite.start(configuration)
        let relay = try DatagramRelay(to: try site.securePort)
        let suite = DTLSPeer.Program.mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8")
        let peer = try await DTLSPeer(suite, port: relay.port, identity: "hall", key: "a key of a node!")
        try await peer.ready()
        let stranger = try UDPSocket(to: try site.securePort)
        for (number, record) in Self.records.enumerated() {
            try stranger.send(hexBytes(record.hex))
            relay.inject(hexBytes(record.hex))
            let id = String(0x1100 + number, radix: 16)
            try await peer.exchange("4401\(id) 6e6f6465 b4 74696d65", for: "6445\(id)6e6f6465")
        }
        // One that begins anew gets in.
        let next = try await DTLSPeer(suite, port: try site.securePort, identity: "hall", key: "a key of a node!")
        try await next.ready()
        #expect(try await site.gateway.stop() == .status(0))
    }
}
