import CoAPCodec
import NIOCore
import Sealing
import TestSupport
import Testing

/// What a POST promises, and what of it nobody else can spoil.
@Suite("Publishing over CoAP", .ownThread, .inTurn, .timeLimit(.minutes(5)))
struct CoAPPublishingTests {
    private static let senML: UInt16 = 110

    private func pack(_ node: CoAPNode, _ text: String, query: [String] = []) throws -> CoAPMessage? {
        let request = node.request(.post, "ps/nodes/lamp", ByteBuffer(string: text), query: query) {
            $0.append(.contentFormat, uint: Self.senML)
        }
        return try node.ask(request)
    }

    /// The uplink is there, and has subscribed: nothing that is sent outside now passes the gateway by.
    private func isOutside(_ site: CoAPSite) async throws {
        try site.serves("first")
        try await site.outside.message(payload: "first")
    }

    private static func records(_ count: Int) -> String {
        "[" + (0..<count).map { "{\"n\":\"r\($0)\",\"v\":\($0)}" }.joined(separator: ",") + "]"
    }

    @Test("each record of a pack is a message, at QoS 0 too, and the pack is answered once")
    func records() async throws {
        let site = try await CoAPSite.start(.init(plain: ["senml = \"values\""]))
        let node = try CoAPNode(port: try site.port)
        #expect(try self.pack(node, Self.records(3))?.code == .changed)
        for number in 0..<20 {  // More than may be open at a time.
            #expect(try self.pack(node, Self.records(2), query: ["qos=0"])?.code == .changed, "\(number)")
        }
        let messages = try await site.outside.messages(43)
        #expect(messages.prefix(3).map(\.topic) == (0..<3).map { "sites/attic/lamp/r\($0)" })
        #expect(messages.prefix(3).map(\.payload) == ["0", "1", "2"])
    }

    @Test(
        "a pack is taken as a whole or not at all",
        arguments: [
            ("[{\"n\":\"a\",\"v\":1},{\"n\":\"private/b\",\"v\":2}]", CoAPCode.forbidden),
            ("[{\"n\":\"a\",\"v\":1},{\"n\":\"b\"", .badRequest),
            ("[]", .badRequest),
            ("[{\"n\":\"a\",\"v\":1},{\"n\":\"+/b\",\"v\":2}]", .badRequest),
        ]
    )
    func whole(pack: String, code: CoAPCode) async throws {
        let site = try await CoAPSite.start(.init(plain: ["senml = \"records\""]))
        let node = try CoAPNode(port: try site.port)
        #expect(try self.pack(node, pack)?.code == code)
        try site.serves("last")
        #expect(try await site.outside.messages(1).map(\.payload) == ["last"])
    }

    @Test("a pack that the spool has no room for is refused as a whole")
    func spool() async throws {
        let site = try await CoAPSite.start(
            .init(plain: ["senml = \"values\""], uplink: ["spool = { max_messages = 100, when_full = \"reject\" }"]),
            hasUplink: false
        )
        let node = try CoAPNode(port: try site.port)
        #expect(try self.pack(node, Self.records(60))?.code == .changed)
        for _ in 0..<3 {
            let answer = try self.pack(node, Self.records(60))
            #expect(answer?.code == .serviceUnavailable && answer?.number(.maxAge) != nil)
        }
        // So none of its records took the room of this one.
        #expect(try self.pack(node, Self.records(40))?.code == .changed)
        #expect(try self.pack(node, Self.records(1))?.code == .serviceUnavailable)
    }

    @Test("a pack that is to be retained, and can't be as a whole, is refused as a whole")
    func retained() async throws {
        let site = try await CoAPSite.start(.init(plain: ["senml = \"values\""], limits: ["max_retained = 2"]))
        let node = try CoAPNode(port: try site.port)
        #expect(try node.post("nodes/lamp/first", "0", query: ["retain"])?.code == .changed)
        for _ in 0..<2 { #expect(try self.pack(node, Self.records(2), query: ["retain"])?.code == .serviceUnavailable) }
        #expect(try self.pack(node, Self.records(1), query: ["retain"])?.code == .changed)
        #expect(try await site.outside.messages(2).map(\.payload) == ["0", "0"])
    }

    @Test("bad seals in the name of an address that was once proven do not lock its node out")
    func forgedFailures() async throws {
        let site = try await CoAPSite.start(
            .init(
                limits: ["failure_rate = \"10/min\""],
                devices: SiteDevices.plain("lamp") + SiteDevices.sealed("kitchen", nodeID: "11", secret: 1)
            )
        )
        // A node that has shown that it receives: from its port, which a forger can write on a datagram too.
        let node = try CoAPNode(port: try site.port)
        let observed = try node.ask(node.observation(of: "ps/nodes/lamp/x"))
        #expect(observed?.code == .content)
        for _ in 0..<40 { #expect(try node.post("nodes/kitchen/data", "no seal")?.code == .unauthorized) }
        let keys = SealedNode.keys(secret: 1)
        let session = try #require(try node.get("sid", query: ["d=kitchen"])?.text)
        let sealed = try V1Cipher.seal(
            ByteBuffer(string: "still here"),
            keys: V1Keys(
                staticIV: keys.staticIV,
                ivKey: keys.ivKey,
                dataKey: keys.dataKey,
                passphrase: keys.passphrase
            ),
            nodeID: Array("11".utf8),
            sessionID: Array(session.utf8)
        )
        let request = node.request(.post, "ps/nodes/kitchen/data", sealed)
        #expect(try node.ask(request)?.code == .changed)
        #expect(try await site.outside.messages(1).map(\.payload) == ["still here"])
    }

    @Test("If-Match and If-None-Match tell nothing to who may not read the topic")
    func preconditions() async throws {
        let site = try await CoAPSite.start()
        let node = try CoAPNode(port: try site.port)
        #expect(try node.post("nodes/lamp/mode", "1", query: ["retain"])?.code == .changed)
        func put(_ topic: String) throws -> CoAPCode? {
            try node.ask(node.request(.put, "ps/" + topic, ByteBuffer(string: "2")) { $0.append(.ifNoneMatch) })?.code
        }
        #expect(try put("nodes/lamp/mode") == .preconditionFailed)
        #expect(try put("nodes/lamp/other") == .changed)
        // There and not there look alike.
        #expect(try put("$SYS/broker/version") == put("$SYS/broker/nothing"))
        #expect(try put("sealgate/attic/bridge/state") == put("sealgate/attic/bridge/nothing"))
    }

    @Test("a command that the answer can't take is not lost: it comes with an answer that can")
    func largeCommand() async throws {
        let site = try await CoAPSite.start(.init(plain: ["piggyback_commands = true"]))
        let node = try CoAPNode(port: try site.port)
        let command = String(repeating: "c", count: 200)
        try await self.isOutside(site)
        try await site.command(command, to: "lamp/cmd/light")
        try await site.command("next", to: "lamp/cmd/light")
        // The one that fits is not held up by the one that does not.
        var carried: String? = ""
        try await eventually {
            carried = try node.post("nodes/lamp/data", "short")?.text
            return carried != ""
        }
        #expect(carried == "next")
        for number in 0..<3 { #expect(try node.post("nodes/lamp/data", "\(number)")?.text == "") }
        let long = String(repeating: "d", count: 200)
        #expect(try node.post("nodes/lamp/data", long)?.text == command)
    }

    @Test("No-Response takes no command along")
    func noResponse() async throws {
        let site = try await CoAPSite.start(.init(plain: ["piggyback_commands = true"]))
        let node = try CoAPNode(port: try site.port)
        try await self.isOutside(site)
        try await site.command("on", to: "lamp/cmd/light")
        for _ in 0..<3 {
            let request = node.request(.post, "ps/nodes/lamp/data", ByteBuffer(string: "quiet")) {
                $0.append(.noResponse, uint: 2 as UInt8)
            }
            try node.send(request)
            #expect(try node.receive()?.code == .empty)
        }
        var carried: String? = ""
        try await eventually {
            carried = try node.post("nodes/lamp/data", "1")?.text
            return carried != ""
        }
        #expect(carried == "on")
    }
}
