import CoAPCodec
import Foundation
import NIOCore
import Sealing
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
}
