import CoAPCodec
import Foundation
import NIOCore
import TestSupport
import Testing

/// OSCORE with aiocoap, whose context is the one that the gateway derives from the device's secret.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPOSCORETests {
    /// A gateway behind a relay, so that a node does not see that its port changes when it is started again.
    private struct Stage {
        var site: CoAPSite
        let relay: DatagramRelay
        let peer: AiocoapPeer
        let directory: TemporaryDirectory

        /// Requests that the node has sent so far; one that it sent again is the same.
        var sent: Int {
            let requests = self.relay.passed.filter { $0.isToServer && $0.bytes.count > 4 && $0.bytes[0] & 0x30 == 0 }
            return Set(requests.map { $0.bytes[2...3] }).count
        }

        /// All datagrams, for a test that fails.
        var story: String {
            let lines = self.relay.passed.map { ($0.isToServer ? "> " : "< ") + hexText($0.bytes.prefix(40)) }
            return lines.joined(separator: "\n")
        }

        /// The gateway ends by a signal, and another one is there.
        mutating func restart(_ signal: Int32) async throws {
            self.site.gateway.signal(signal)
            _ = try await self.site.gateway.waitForExit()
            self.site = self.site.with(try await self.site.gateway.restart())
            self.relay.connect(to: try self.site.port)
        }
    }

    private func stage() async throws -> Stage {
        var configuration = CoAPSite.Configuration()
        configuration.coap = []
        let site = try await CoAPSite.start(configuration) { home in
            let added = try await home.run(["device", "add", "vault", "--profile", "strict"])
            try #require(added.exit == .status(0), "\(added.all)")
        }
        let directory = try TemporaryDirectory()
        let settings = try await site.run("device", "show", "vault", "--oscore", "--json")
        try directory.write("settings.json", settings.text)
        let relay = try DatagramRelay(to: try site.port, isRecording: true)
        let peer = try AiocoapPeer(port: relay.port, .oscore(directory: directory.path))
        return Stage(site: site, relay: relay, peer: peer, directory: directory)
    }

    @Test("posts, gets, observes, and puts and gets 5,000 bytes; on the wire there is nothing of it")
    func requests() async throws {
        let stage = try await self.stage()
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "secret-1", query: ["retain"]).code == "2.04")
        let got = try await stage.peer.request("GET", "/ps/nodes/vault/temp")
        #expect(got.code == "2.05" && got.text == "secret-1")
        let observation = try stage.peer.begin("GET", "/ps/nodes/vault/temp", [], ["\"observe\": true"])
        #expect(try await stage.peer.answer(to: observation).text == "secret-1")
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "secret-2", query: ["retain"]).code == "2.04")
        #expect(try await stage.peer.answers(to: observation, 2).last?.text == "secret-2")
        try await stage.site.command("secret-3", to: "vault/cmd/x")
        let body = (0..<500).map { "secret\($0 % 10)\n\n\n" }.joined()
        let put = try await stage.peer.request("PUT", "/ps/nodes/vault/log", Array(body.utf8), query: ["retain"])
        #expect(put.code == "2.04", "\(put)")
        #expect(try await stage.peer.request("GET", "/ps/nodes/vault/log").text == body)
        #expect(try await stage.peer.post("/ps/nodes/other/temp", "1").code == "4.03")
        let arrived = try await stage.site.outside.messages(4).filter { !$0.topic.contains("/cmd/") }
        #expect(arrived.map(\.payload) == ["secret-1", "secret-2", body])
        for datagram in stage.relay.passed {
            let text = String(decoding: datagram.bytes, as: UTF8.self)
            #expect(!text.contains("secret") && !text.contains("vault"))
        }
        try await stage.peer.stop()
        #expect(try await stage.site.gateway.stop() == .status(0))
    }

    @Test("without OSCORE nothing is taken where nothing else proves anybody; nor under a context that nobody has")
    func unprotected() async throws {
        let stage = try await self.stage()
        let node = try CoAPNode(port: try stage.site.port)
        #expect(try node.post("nodes/vault/temp", "1")?.code == .unauthorized)
        #expect(try node.get("ps/nodes/vault/temp")?.code == .unauthorized)
        // OSCORE's own refusals come in the clear (RFC 8613 §8.2).
        #expect(
            try node.exchange("44025d1f00003974 920914 ff 612f1092f1776f1c1668b3825e")?.hasPrefix("64815d1f") == true
        )
        // The right IDs with another secret.
        let file = URL(fileURLWithPath: stage.directory.file("settings.json"))
        var settings = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        #expect(settings["secret_hex"] != nil, "\(settings.keys)")
        settings["secret_hex"] = String(repeating: "5a", count: 16)
        let wrong = try TemporaryDirectory()
        let text = try JSONSerialization.data(withJSONObject: settings)
        try wrong.write("settings.json", String(decoding: text, as: UTF8.self))
        let thief = try AiocoapPeer(port: try stage.site.port, .oscore(directory: wrong.path))
        #expect(try await thief.post("/ps/nodes/vault/temp", "1").code?.hasPrefix("2") != true)
        try await stage.site.gateway.logged("refused", "vault")
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "mine").code == "2.04")
        #expect(try await stage.site.outside.messages(1).map(\.payload) == ["mine"])
    }

    /// The last post's datagram, under another Message ID.
    private func recorded(_ stage: Stage) throws -> [UInt8] {
        let last = stage.relay.passed.last { $0.isToServer }
        var bytes = try #require(last).bytes
        bytes[2] ^= 0x55
        return bytes
    }

    @Test(
        "a recorded request is refused from anywhere, also after the gateway was started again",
        arguments: [SIGTERM, SIGKILL]
    )
    func replay(ending: Int32) async throws {
        var stage = try await self.stage()
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "1").code == "2.04")
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "2").code == "2.04")
        let recorded = try self.recorded(stage)
        let thief = try CoAPNode(port: try stage.site.port)
        #expect(try thief.exchange(hexText(recorded))?.dropFirst(2).hasPrefix("81") == true)
        try await stage.site.gateway.logged("refused", "replay")
        try await stage.restart(ending)
        let later = try CoAPNode(port: try stage.site.port)
        #expect(try later.exchange(hexText(recorded))?.dropFirst(2).hasPrefix("81") == true)
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "3").code == "2.04")
        try await stage.site.outside.message(payload: "3")
        let arrived = stage.site.outside.received.map(\.payload)
        // What the gateway was killed over may come twice.
        #expect(ending == SIGKILL ? Set(arrived) == ["1", "2", "3"] : arrived == ["1", "2", "3"])
    }

    @Test("started again after a clean end it goes on at once; after a crash it asks for an Echo first, once")
    func restarts() async throws {
        var stage = try await self.stage()
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "1").code == "2.04")
        var before = stage.sent
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "2").code == "2.04")
        #expect(stage.sent - before == 1, "\(stage.story)")
        try await stage.restart(SIGTERM)
        before = stage.sent
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "3").code == "2.04")
        #expect(stage.sent - before == 1, "\(stage.story)")
        try await stage.restart(SIGKILL)
        before = stage.sent
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "4").code == "2.04")
        #expect(stage.sent - before == 2, "\(stage.story)")
        before = stage.sent
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "5").code == "2.04")
        #expect(stage.sent - before == 1, "\(stage.story)")
        try await stage.site.outside.message(payload: "5")
        // What the gateway was killed over may come twice.
        #expect(Set(stage.site.outside.received.map(\.payload)) == ["1", "2", "3", "4", "5"])
    }

    @Test("a node that was started again, with its sequence on disk, goes on; one that is revoked does not")
    func nodeRestarts() async throws {
        let stage = try await self.stage()
        #expect(try await stage.peer.post("/ps/nodes/vault/temp", "1").code == "2.04")
        try await stage.peer.stop()
        let again = try AiocoapPeer(port: stage.relay.port, .oscore(directory: stage.directory.path))
        #expect(try await again.post("/ps/nodes/vault/temp", "2").code == "2.04")
        try await stage.site.run("device", "revoke", "vault")
        try await stage.site.gateway.logged("revoked=1")
        #expect(try await again.post("/ps/nodes/vault/temp", "3").code != "2.04")
        #expect(try await stage.site.outside.messages(2).map(\.payload) == ["1", "2"])
    }
}
