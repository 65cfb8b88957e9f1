import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

/// The table of malformed inputs, at a server: bytes, and what the RFCs have it answer.
@Suite("Malformed input at a CoAP server")
struct MalformedInputTests {
    /// Type and code that come back; `nil`: nothing does.
    typealias Answer = (type: CoAPMessageType, code: CoAPCode)?

    static let rows: [(name: String, hex: String, answer: Answer)] = [
        ("empty CON (ping)", "40 00 0102", (.reset, .empty)),
        ("empty NON", "50 00 0102", nil),
        ("empty CON with a token", "42 00 0102 AAAA", (.reset, .empty)),
        ("empty CON with trailing bytes", "40 00 0102 FF00", (.reset, .empty)),
        ("TKL 9 on CON", "49 01 0102 000000000000000000", (.reset, .empty)),
        ("TKL 15 on CON", "4F 01 0102", (.reset, .empty)),
        ("delta 15", "40 01 0102 F0", (.reset, .empty)),
        ("length 15", "40 01 0102 BF", (.reset, .empty)),
        ("truncated value", "40 01 0102 B4 61", (.reset, .empty)),
        ("truncated extension", "40 01 0102 BE 01", (.reset, .empty)),
        ("the same on NON", "50 01 0102 BE 01", nil),
        ("payload marker, no payload, CON", "40 02 0102 FF", (.reset, .empty)),
        ("payload marker, no payload, NON", "50 02 0102 FF", nil),
        ("option number over 65535", "40 01 0102 E0 FEF3", (.reset, .empty)),
        ("version 0", "00 01 0102", nil), ("version 2", "80 01 0102", nil),
        ("code class 1, CON", "40 20 0102", (.reset, .empty)), ("code class 6, CON", "40 C0 0102", (.reset, .empty)),
        ("code class 7, CON", "40 E1 0102", (.reset, .empty)), ("code class 7, NON", "50 E1 0102", nil),
        ("unknown critical option, CON", "40 01 0102 E0 2602", (.acknowledgement, .badOption)),
        ("unknown critical option, NON", "50 01 0102 E0 2602", nil),
        ("unknown elective option", "40 01 0102 E0 2603", (.acknowledgement, .content)),
        ("unknown method 0.31", "40 1F 0102", (.acknowledgement, .methodNotAllowed)),
        ("unsolicited CON 2.05", "40 45 0102", (.reset, .empty)), ("unsolicited NON 2.05", "50 45 0102", nil),
        ("ACK carrying a request", "60 01 0102", nil), ("RST with a code", "70 01 0102", nil),
        ("stray ACK", "60 00 0102", nil), ("stray RST", "70 00 0102", nil),
        ("one byte", "40", nil), ("three bytes", "40 01 01", nil), ("no bytes", "", nil),
        (
            "Uri-Path of 256 bytes", "40 01 0102 BD F3" + String(repeating: "61", count: 256),
            (.acknowledgement, .badOption)
        ),
        ("two Uri-Host", "40 01 0102 31 61 01 61", (.acknowledgement, .badOption)),
        ("two Content-Format", "40 02 0102 C0 01 3C", (.acknowledgement, .content)),
        ("Observe of 4 bytes", "40 01 0102 64 00000000", (.acknowledgement, .content)),
        ("Accept 65000", "40 01 0102 D2 04 FDE8", (.acknowledgement, .notAcceptable)),
        ("Block2 with SZX 7", "40 01 0102 D1 0A 07", (.acknowledgement, .badRequest)),
        ("Block2 past the end", "40 01 0102 D1 0A 56", (.acknowledgement, .badRequest)),
        (
            "Block1 begins at 5", "40 03 0102 D1 0E 50 FF" + String(repeating: "61", count: 16),
            (.acknowledgement, .requestEntityIncomplete)
        ),
        ("Block1 with SZX 7", "40 03 0102 D1 0E 07 FF 61", (.acknowledgement, .badRequest)),
        ("Block1 with a block that is not full", "40 03 0102 D1 0E 08 FF 61", (.acknowledgement, .badRequest)),
        ("Proxy-Uri", "40 01 0102 D4 16 636F6170", (.acknowledgement, .proxyingNotSupported)),
        ("Proxy-Scheme", "40 01 0102 D4 1A 636F6170", (.acknowledgement, .proxyingNotSupported)),
        ("OSCORE at a server without it, CON", "44 02 5D1F 00003974 920914 FF 612F", (.acknowledgement, .badOption)),
        ("OSCORE at a server without it, NON", "54 02 5D1F 00003974 920914 FF 612F", nil),
        ("path of ill-formed UTF-8", "40 01 0102 B2 C0AF", (.acknowledgement, .badRequest)),
        ("path with a slash in a segment", "40 01 0102 B3 612F62", (.acknowledgement, .badRequest)),
        ("path with NUL", "40 01 0102 B2 6100", (.acknowledgement, .badRequest)),
        ("Q-Block1", "40 02 0102 D1 06 06", (.acknowledgement, .badOption)),
    ]

    /// What a resource of the gateway does with a request that is well-formed.
    private static func serve(_ request: CoAPRequest) -> CoAPResponse {
        guard (try? CoAPPath.topic(of: request.options)) != nil else { return response(.badRequest) }
        guard [.get, .post, .put].contains(request.method) else { return response(.methodNotAllowed) }
        if let accept = request.read.accept, accept != .textPlain { return response(.notAcceptable) }
        return response(.content, "21.5")
    }

    @Test("each input has the RFC's answer", arguments: rows.indices)
    func answers(index: Int) {
        let row = Self.rows[index]
        let site = Site()
        site.resource = Self.serve
        let replies = site.receive(ByteBuffer(bytes: hexBytes(row.hex)), from: Site.secure)
        #expect(replies.first?.type == row.answer?.type, "\(row.name)")
        #expect(replies.first?.code == row.answer?.code, "\(row.name)")
        #expect(replies.count == (row.answer == nil ? 0 : 1))
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
        #expect(site.server.openCount == 0)
    }

    @Test("to a group no input is answered by anything but a response of success", arguments: rows.indices)
    func multicast(index: Int) {
        let row = Self.rows[index]
        let site = Site()
        site.resource = Self.serve
        site.receive(ByteBuffer(bytes: hexBytes(row.hex)), from: Site.other, multicast: true)
        site.pass(.seconds(300))
        for message in site.take() { #expect(message.type == .nonConfirmable && message.code.isSuccess, "\(row.name)") }
    }

    @Test("noise is answered by nothing larger than three times itself")
    func noise() {
        let site = Site()
        site.resource = Self.serve
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<5000 {
            var bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            if !bytes.isEmpty { bytes[0] = bytes[0] & 0x33 | 0x40 }
            let peer = CoAPPeer(ipv4: UInt32.random(in: 0...50, using: &generator), port: 1)
            site.feed(ByteBuffer(bytes: bytes), from: peer)
            let answered = site.sent.reduce(0) { $0 + $1.bytes.readableBytes }
            if answered > 3 * bytes.count { Issue.record("\(answered) bytes for \(bytes)") }
            _ = site.take()
        }
        site.pass(.seconds(400))
        #expect(site.server.openCount == 0)
    }
}
