import TestSupport

/// ClientHellos put together by the test (RFC 6347 §4.2.1), with the suites PSK-AES128-CCM8 and PSK-AES128-GCM-SHA256.
enum ClientHello {
    /// - Parameters:
    ///   - cookie: Of the HelloVerifyRequest; none: the first hello.
    ///   - session: A session ID to resume.
    static func record(random: [UInt8], cookie: [UInt8] = [], session: [UInt8] = []) -> [UInt8] {
        precondition(random.count == 32)
        let suites = hexBytes("c0a8 00a8 00ff")
        var body = hexBytes("fefd") + random + [UInt8(session.count)] + session + [UInt8(cookie.count)] + cookie
        body += [0, UInt8(suites.count)] + suites + [1, 0]
        let number: UInt8 = cookie.isEmpty ? 0 : 1
        let length = [0, UInt8(body.count >> 8), UInt8(body.count & 0xFF)]
        let handshake = [1] + length + [0, number] + [0, 0, 0] + length + body
        return hexBytes("16fefd 0000 0000000000") + [number] + Self.two(handshake.count) + handshake
    }

    /// The cookie of a HelloVerifyRequest; nil if it is something else.
    static func cookie(in datagram: [UInt8]) -> [UInt8]? {
        guard datagram.count > 28, datagram[0] == 22, datagram[13] == 3 else { return nil }
        return Array(datagram[28...].prefix(Int(datagram[27])))
    }

    private static func two(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
}
