import Foundation
import TestSupport
import Testing

/// DTLS with pre-shared keys, with the implementations that nodes and their makers have.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct CoAPSecureTests {
    private static let key = "a key of a node!"
    /// GET of /time; CON POST to /ps/nodes/hall/data. Lines without zeroes, as gnutls-cli takes nothing else.
    private static let time = "44011a1b 6e6f6465 b4 74696d65 41 0a"
    private static let post = "44021a1c 6e6f6465 b2 7073 05 6e6f646573 04 68616c6c 04 64617461 ff 31 0a"

    private func site(more: String = "") async throws -> CoAPSite {
        var configuration = CoAPSite.Configuration()
        configuration.devices = SiteDevices.keyed("hall", key: Array(Self.key.utf8)) + SiteDevices.plain("lamp") + more
        return try await CoAPSite.start(configuration)
    }

    private func peer(
        _ program: DTLSPeer.Program,
        _ port: Int,
        identity: String = "hall",
        key: String = Self.key,
        save: String? = nil,
        resume: String? = nil
    ) async throws -> DTLSPeer {
        try await DTLSPeer(program, port: port, identity: identity, key: key, save: save, resume: resume)
    }

    @Test(
        "libcoap posts, gets, observes and sends blocks",
        arguments: [CoAPClient.Program.openssl, .gnutls]
    )
    func libcoap(program: CoAPClient.Program) async throws {
        let site = try await self.site()
        let client = CoAPClient(program, port: try site.securePort, identity: "hall", key: Self.key)
        #expect(try await client.post("/ps/nodes/hall/temp?retain", "21.5").code == "2.04")
        let got = try await client.run("get", "/ps/nodes/hall/temp")
        #expect(got.code == "2.05" && got.text == "21.5", "\(got)")
        // Its own topics only.
        #expect(try await client.post("/ps/nodes/lamp/temp", "1").code == "4.03")
        let watching = try client.start("get", "/ps/nodes/hall/temp", ["-s", "60"])
        try await watching.output.line("first value") { $0.contains("c:2.05") && $0.hasSuffix(":: '21.5'") }
        #expect(try await client.post("/ps/nodes/hall/temp?retain", "22").code == "2.04")
        try await watching.output.line("second value") { $0.contains("c:2.05") && $0.hasSuffix(":: '22'") }
        let directory = try TemporaryDirectory()
        let body = String(repeating: "0123456789", count: 500)
        let file = try directory.write("body", body)
        #expect(try await client.run("put", "/ps/nodes/hall/log?retain", ["-b", "256", "-f", file]).code == "2.04")
        let out = directory.file("out")
        #expect(try await client.run("get", "/ps/nodes/hall/log", ["-b", "256", "-o", out]).code == "2.05")
        #expect(try String(contentsOfFile: out, encoding: .utf8) == body)
        #expect(try await site.outside.messages(3).map(\.payload) == ["21.5", "22", body])
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("TinyDTLS, which has CCM_8 only, posts, gets and observes")
    func tinyDTLS() async throws {
        let site = try await self.site()
        let peer = try AiocoapPeer(port: try site.securePort, .preSharedKey(identity: "hall", key: Self.key))
        #expect(try await peer.post("/ps/nodes/hall/temp", "1", query: ["retain"]).code == "2.04")
        #expect(try await peer.request("GET", "/ps/nodes/hall/temp").text == "1")
        let observation = try peer.begin("GET", "/ps/nodes/hall/temp", [], ["\"observe\": true"])
        #expect(try await peer.answer(to: observation).text == "1")
        #expect(try await peer.post("/ps/nodes/hall/temp", "2", query: ["retain"]).code == "2.04")
        #expect(try await peer.answers(to: observation, 2).last?.text == "2")
        #expect(try await site.outside.messages(2).map(\.payload) == ["1", "2"])
    }

    static let programs: [DTLSPeer.Program] = [
        .mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8"), .mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM"),
        .mbedTLS(suite: "TLS-PSK-WITH-AES-128-GCM-SHA256"), .mbedTLS(suite: "TLS-PSK-WITH-CHACHA20-POLY1305-SHA256"),
        .mbedTLS(suite: "TLS-ECDHE-PSK-WITH-CHACHA20-POLY1305-SHA256"),
        .mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8", mtu: 128),
        .mbedTLS(suite: "TLS-ECDHE-PSK-WITH-CHACHA20-POLY1305-SHA256", mtu: 256),
        .openSSL(suite: "PSK-AES128-CCM8"), .openSSL(suite: "PSK-AES128-CCM"), .openSSL(suite: "PSK-AES128-GCM-SHA256"),
        .openSSL(suite: "ECDHE-PSK-CHACHA20-POLY1305"), .gnuTLS(cipher: "AES-128-CCM-8"),
        .gnuTLS(cipher: "AES-128-GCM"), .gnuTLS(cipher: "CHACHA20-POLY1305"),
    ]

    @Test("mbedTLS as on an ESP32, s_client and gnutls-cli post with each suite")
    func suites() async throws {
        let site = try await self.site()
        for program in Self.programs {
            let peer = try await self.peer(program, try site.securePort)
            try await peer.ready()
            try await peer.exchange(Self.time, for: "64451a1b6e6f6465")
            try await peer.exchange(Self.post, for: "64441a1c6e6f6465")
            try await peer.leave()
        }
        let arrived = try await site.outside.messages(Self.programs.count)
        #expect(arrived.count == Self.programs.count && Set(arrived.map(\.payload)) == ["1\n"])
    }

    @Test("suites that nobody should use are refused", arguments: ["PSK-NULL-SHA256", "PSK-AES128-CBC-SHA256"])
    func weakSuites(suite: String) async throws {
        let site = try await self.site()
        let peer = try await self.peer(.openSSL(suite: suite), try site.securePort)
        try await peer.ended()
        #expect(!peer.words.contains("Cipher is \(suite)"))
        try site.serves()
    }

    @Test(
        "a session is resumed after the gateway was started again, and not for a device that is revoked",
        arguments: [SIGTERM, SIGKILL]
    )
    func resumption(ending: Int32) async throws {
        let site = try await self.site()
        let directory = try TemporaryDirectory()
        let suite = DTLSPeer.Program.openSSL(suite: "PSK-AES128-GCM-SHA256")
        let file = directory.file("session")
        let first = try await self.peer(suite, try site.securePort, save: file)
        try await first.ready()
        try await first.exchange(Self.post, for: "64441a1c6e6f6465")
        #expect(!first.words.contains("Reused, "))
        try await first.leave()
        site.gateway.signal(ending)
        _ = try await site.gateway.waitForExit()
        let again = site.with(try await site.gateway.restart())
        let second = try await self.peer(suite, try again.securePort, resume: file)
        try await second.ready()
        #expect(second.words.contains("Reused, "))
        try await second.exchange(Self.post, for: "64441a1c6e6f6465")

        try await again.run("device", "revoke", "hall")
        // The session that is there is closed, and no other comes about.
        try await second.ended()
        let third = try await self.peer(suite, try again.securePort, resume: file)
        third.send(Self.post)
        let stranger = try await self.peer(suite, try again.securePort)
        stranger.send(Self.post)
        try again.serves()
        try await site.outside.message(payload: "alive")
        let arrived = site.outside.received.count { $0.payload == "1\n" }
        // What the gateway was killed over may come twice.
        #expect(ending == SIGKILL ? (2...3).contains(arrived) : arrived == 2)
        #expect(!third.output.lines.contains { $0.contains("64441a1c6e6f6465") })
    }

    @Test("a session of mbedTLS is resumed too")
    func resumptionOfMbedTLS() async throws {
        let site = try await self.site()
        let directory = try TemporaryDirectory()
        let suite = DTLSPeer.Program.mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8")
        for step in 0..<3 {
            let peer = try await self.peer(
                suite,
                try site.securePort,
                save: directory.file("session\(step)"),
                resume: step == 0 ? nil : directory.file("session\(step - 1)")
            )
            try await peer.ready()
            try await peer.exchange(Self.post, for: "64441a1c6e6f6465")
            try await peer.leave()
        }
        try await site.gateway.logged("resumed=true", "hall")
        #expect(try await site.outside.messages(3).count == 3)
    }

    @Test("a record that was recorded is worth nothing")
    func replayedRecord() async throws {
        let site = try await self.site()
        let relay = try DatagramRelay(to: try site.securePort, isRecording: true)
        let peer = try await self.peer(.mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8"), relay.port)
        try await peer.ready()
        try await peer.exchange(Self.post, for: "64441a1c6e6f6465")
        let record = try #require(relay.passed.last { $0.isToServer && $0.bytes.first == 23 }).bytes
        // From elsewhere there is no session; through the relay there is one, and it has seen it.
        let thief = try UDPSocket(to: try site.securePort)
        try thief.send(record)
        try await peer.exchange(Self.time, for: "64451a1b6e6f6465")
        #expect(thief.receiveNow() == nil)
        #expect(try await site.outside.messages(1).count == 1)
    }
}
