import CoAPCodec
import Foundation
import NIOCore
import TestSupport
import Testing

/// What a person who tries something out over CoAP, and is refused, finds in the answer and in the log.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPRefusalWordsTests {
    private func site(_ change: (inout CoAPSite.Configuration) -> Void = { _ in }) async throws -> CoAPSite {
        var configuration = CoAPSite.Configuration()
        change(&configuration)
        return try await CoAPSite.start(configuration, hasUplink: false)
    }

    @Test("OSCORE at a listener without it is not understood, and the log says so")
    func oscoreTurnedOff() async throws {
        let site = try await self.site { $0.coap += ["oscore = false"] }
        let node = try CoAPNode(port: try site.port)
        func request(_ type: CoAPMessageType) -> CoAPMessage {
            node.request(.post, "ps/nodes/lamp/temp", ByteBuffer(string: "sealed"), type: type) {
                $0.append(.oscore, ByteBuffer(bytes: [0x09, 0x00, 0x01]))
            }
        }
        #expect(try node.ask(request(.confirmable))?.code == .badOption)
        try await site.gateway.logged("refused", "not proven", "OSCORE, and this listener has oscore = false")
        try node.send(request(.nonConfirmable))
        #expect(try node.isSilent())
        let status = try await site.run("status", "--json").text
        let refused = (try JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any])?["refused"]
        #expect((refused as? [String: Int])?["not proven"] == 2, "\(status)")
        try site.serves()
    }

    @Test("a device that proves nothing is told of the ways that CoAP has")
    func needOfProof() async throws {
        let site = try await self.site { $0.devices += "[[device]]\nid = \"vault\"\nprofile = \"strict\"\n\n" }
        let node = try CoAPNode(port: try site.port)
        #expect(try node.post("nodes/vault/temp", "1")?.code == .unauthorized)
        try await site.gateway.logged("nodes/vault/temp", "vault must prove itself: by DTLS, OSCORE, a seal, or")
    }

    @Test("a device that is not there is named in the log, with the one that was meant, and the sender learns nothing")
    func missingDevice() async throws {
        let site = try await self.site()
        let node = try CoAPNode(port: try site.port)
        let wrong = try #require(try node.post("nodes/lmap/temp", "1"))
        #expect(wrong.code == .unauthorized && wrong.text == "")
        try await site.gateway.logged("nodes/lmap/temp", "there is no device lmap; did you mean", "lamp")
        #expect(try node.post("elsewhere/temp", "1")?.code == .unauthorized)
        try await site.gateway.logged("elsewhere/temp", "no device's profile fits this topic, and the request proves")
    }

    @Test("a line end behind a sealed payload is seen")
    func lineEnd() async throws {
        let site = try await self.site { $0.devices += SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 7) }
        let node = try CoAPNode(port: try site.port)
        let session = String(buffer: try #require(try node.get("sid", query: ["d=kitchen"])).payload)
        let sealed = try SealedNode.seal("21.5", session: session, nodeID: "11242238", secret: 7)
        #expect(try node.post("nodes/kitchen/one", sealed + "\n")?.code == .unauthorized)
        try await site.gateway.logged("nodes/kitchen/one", "not a v1 payload: a line end follows it")
        #expect(try node.post("nodes/kitchen/two", "21.5\n")?.code == .unauthorized)
        let other = try await site.gateway.logged("nodes/kitchen/two", "not a v1 payload")
        #expect(!other.contains("line end"))
        #expect(try node.post("nodes/kitchen/one", sealed)?.code == .changed)
    }

    @Test("who posts beside the topics is told where they are, if the answer may be so long")
    func besidePrefix() async throws {
        let site = try await self.site { $0.coap += ["prefix = \"/things\""] }
        let node = try CoAPNode(port: try site.port)
        let code: [CoAPCode] = [.post, .put, .delete, .get]
        for code in code {
            let answer = try #require(try node.ask(node.request(code, "nodes/lamp/temp")))
            #expect(answer.code == .notFound && answer.text == "topics are below /things", "\(code)")
        }
        try await site.gateway.logged("no resource has this path", "nodes/lamp/temp")
        // Four bytes and two; three times that is what it may be.
        let short = try #require(try node.ask(node.request(.post, "x", token: "")))
        #expect(short.code == .notFound && short.text == "")
    }

    @Test("a pack that is not taken is answered with what is wrong with it")
    func pack() async throws {
        let site = try await self.site { $0.plain = ["senml = \"values\""] }
        let node = try CoAPNode(port: try site.port)
        func post(_ pack: String) throws -> CoAPMessage? {
            try node.ask(
                node.request(.post, "ps/nodes/lamp", ByteBuffer(string: pack)) {
                    $0.append(.contentFormat, uint: UInt16(110))
                }
            )
        }
        let wrong = try #require(try post("[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":\"x\"}]"))
        #expect(wrong.code == .badRequest)
        #expect(wrong.text.hasPrefix("SenML record 2, v, byte ") && wrong.text.hasSuffix(": a value of another type"))
        try await site.gateway.logged("refused", "reason=payload", wrong.text)
    }

    @Test("a path that no topic can be is not said to be over the limits; one that is too long is")
    func paths() async throws {
        let site = try await self.site { $0.limits += ["max_topic_length = \"1KiB\""] }
        let node = try CoAPNode(port: try site.port)
        #expect(try node.post("nodes/lamp/#", "1")?.text == "the path holds + or #")
        try await site.gateway.logged("refused", "protocol error", "its path holds + or #")
        let long = String(repeating: "/" + String(repeating: "x", count: 255), count: 4)
        #expect(try node.post("nodes/lamp" + long, "1")?.text == "the path is longer than 1024 bytes")
        try await site.gateway.logged("refused", "topic over the limits", "its path is longer than 1024 bytes")
    }

    @Test("DTLS where there is none, and CoAP without it where there is, is one line in the log and no answer")
    func wrongListener() async throws {
        let site = try await self.site()
        let plain = try CoAPNode(port: try site.port)
        for number in 0..<3 { try plain.send("16 FEFD 0000 00000000000\(number) 0003 010203") }
        #expect(try plain.isSilent())
        try await site.gateway.logged("looks like DTLS: this listener is coap", "127.0.0.1")
        let secure = try CoAPNode(port: try site.securePort)
        for _ in 0..<3 { try secure.send(secure.request(.get, "time")) }
        try await site.gateway.logged("looks like CoAP without DTLS: this listener is coaps", "127.0.0.1")
        #expect(try secure.receive(within: .milliseconds(200)) == nil)
        #expect(site.gateway.log.lines.count { $0.contains("looks like") } == 2)
    }
}
