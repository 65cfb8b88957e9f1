import Foundation
import TestSupport

/// A program that does DTLS with a pre-shared key, and between which and the test messages of CoAP go in hex.
final class DTLSPeer: Sendable {
    /// Which one.
    enum Program: Sendable, CustomStringConvertible {
        /// With the suite's name in mbedTLS.
        case mbedTLS(suite: String, mtu: Int = 0)
        /// openssl s_client, with the suite's name in OpenSSL.
        case openSSL(suite: String)
        /// gnutls-cli, with the cipher's name in GnuTLS.
        case gnuTLS(cipher: String)

        var description: String {
            switch self {
            case .mbedTLS(let suite, let mtu): "mbedTLS \(suite)\(mtu == 0 ? "" : ", MTU \(mtu)")"
            case .openSSL(let suite): "s_client \(suite)"
            case .gnuTLS(let cipher): "gnutls-cli \(cipher)"
            }
        }
    }

    private let process: ChildProcess
    private let program: Program

    /// What it prints: hex, or words of the program.
    var output: OutputLog { self.process.output }

    /// - Parameters:
    ///   - port: The gateway's, or that of a relay.
    ///   - own: Its own port; 0: the system's choice.
    ///   - save: The file to which the session goes, for another one to resume.
    ///   - resume: The file with a session.
    ///   - vanishes: Whether it leaves without a word, as without power. (Of mbedTLS.)
    init(
        _ program: Program,
        port: Int,
        identity: String,
        key: String,
        own: UInt16 = 0,
        save: String? = nil,
        resume: String? = nil,
        vanishes: Bool = false
    ) async throws {
        let hex = hexText(Array(key.utf8))
        self.program = program
        switch program {
        case .mbedTLS(let suite, let mtu):
            let options = [
                mtu == 0 ? nil : "mtu=\(mtu)", own == 0 ? nil : "bind=\(own)", save.map { "save=" + $0 },
                resume.map { "resume=" + $0 }, vanishes ? "vanish" : nil,
            ]
            self.process = try ChildProcess(
                try await PeerPrograms.mbedTLS(),
                ["\(port)", identity, hex, suite] + options.compactMap(\.self)
            )
        case .openSSL(let suite):
            var arguments = [
                "openssl", "s_client", "-dtls1_2", "-psk", hex, "-psk_identity", identity, "-cipher",
                suite + ":@SECLEVEL=0", "-connect", "127.0.0.1:\(port)", "-nocommands", "-ign_eof",
            ]
            if own != 0 { arguments += ["-bind", "127.0.0.1:\(own)"] }
            if let save { arguments += ["-sess_out", save] }
            if let resume { arguments += ["-sess_in", resume] }
            self.process = try PeerPrograms.python("datagram_pipe.py", arguments)
        case .gnuTLS(let cipher):
            let priority = "NONE:+VERS-DTLS1.2:+PSK:+\(cipher):+AEAD:+COMP-NULL:+SIGN-ALL:+GROUP-ALL"
            self.process = try PeerPrograms.python(
                "datagram_pipe.py",
                [
                    "gnutls-cli", "--udp", "--pskusername", identity, "--pskkey", hex, "--priority", priority, "-p",
                    "\(port)", "127.0.0.1",
                ]
            )
        }
    }

    /// Waits until the session is there.
    func ready(within limit: Duration = .patience) async throws {
        _ = try await self.output.line("handshake of \(self.program)", within: limit) { line in
            line.hasPrefix("READY ") || line.contains(hexText("Cipher is ".utf8))
                || line.contains(hexText("Handshake was completed".utf8)) || line.hasPrefix("FAILED")
        }
        if let failed = self.output.lines.first(where: { $0.hasPrefix("FAILED") }) {
            throw MQTTPeer.Unexpected(description: "\(self.program): \(failed)")
        }
    }

    /// What the program says in words, as far as it says it in hex.
    var words: String {
        guard let line = self.output.lines.last(where: { $0.count.isMultiple(of: 2) && $0.allSatisfy(\.isHexDigit) })
        else { return "" }
        return String(decoding: hexBytes(line), as: UTF8.self)
    }

    /// Sends a message in hex.
    func send(_ hex: String) { self.process.write(hex.filter { !$0.isWhitespace } + "\n") }

    /// Sends a message, and waits for one that begins with these bytes.
    func exchange(_ hex: String, for answer: String, within limit: Duration = .patience) async throws {
        self.send(hex)
        try await self.receive(answer, within: limit)
    }

    /// Waits for a message that begins with these bytes. A response in an acknowledgement may also come apart from it, with a
    /// Message ID of its own, when the machine is busy.
    func receive(_ answer: String, within limit: Duration = .patience) async throws {
        let digits = answer.filter { !$0.isWhitespace }.lowercased()
        let (code, token) = (String(digits.dropFirst(2).prefix(2)), String(digits.dropFirst(8)))
        try await self.output.line("answer \(answer)", within: limit) { line in
            line.contains(digits) || Self.holds(line, separate: code, token)
        }
    }

    /// Whether there is a confirmable response with this code and token, whose length is four.
    private static func holds(_ line: String, separate code: String, _ token: String) -> Bool {
        line.ranges(of: token).contains { line[..<$0.lowerBound].suffix(8).hasPrefix("44" + code) }
    }

    /// Waits until the other side has ended the session.
    func ended(within limit: Duration = .patience) async throws {
        try await self.output.line("end of \(self.program)", within: limit) { $0.hasPrefix("ENDED") }
    }

    /// The end of its input: it says goodbye, or vanishes.
    func leave() async throws {
        self.process.closeInput()
        guard case .mbedTLS = self.program else { return self.process.signal(SIGKILL) }
        try await self.process.waitForExit()
    }
}
