import TestSupport
import Testing

/// An outside broker that breaks the protocol: the gateway leaves it and comes back, and its nodes notice nothing.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct HostileBrokerTests {
    /// Accepts the gateway's connection as a broker does, and takes its SUBSCRIBE.
    private func accept(_ listener: RawMQTTClient.Listener) throws -> RawMQTTClient {
        let gateway = try listener.accept()
        let connect = try gateway.receivePacket()
        #expect(connect.firstByte == 0x10)
        try gateway.send("20 02 00 00")
        var packet = try gateway.receivePacket()
        #expect(packet.firstByte == 0x82)
        while packet.firstByte != 0x82 { packet = try gateway.receivePacket() }
        try gateway.send("90 03" + hexText(packet.body[..<2]) + "01")
        return gateway
    }

    @Test(
        "a crafted packet ends that connection only, and what is not acknowledged is sent again",
        arguments: [
            ("PUBLISH whose topic ends beyond the packet", "30 04 00ff 61 78"),
            ("PUBLISH with an empty topic", "30 03 0000 78"),
            ("PUBLISH with a wildcard", "32 07 0003 612f23 0001"),
            ("PUBACK of an unknown identifier", "40 02 1234"),
            ("SUBACK of a wrong length", "90 04 ffff 00 00"),
            ("a packet of 256 MB", "30 ffffff7f 0001 61"),
            ("a length of five bytes", "30 ffffffff7f"),
            ("CONNECT", "10 0d 0004 4d515454 04 02 003c 0001 61"),
        ]
    )
    func crafted(name: String, hex: String) async throws {
        let listener = try RawMQTTClient.Listener()
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: listener.port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        let port = try gateway.port()
        let node = try RawMQTTClient(port: port, clientID: "lamp")
        let first = try self.accept(listener)
        try node.send("32 16 000f" + hexText("nodes/lamp/data".utf8) + "0001" + hexText("abc".utf8))
        try node.expect("40 02 0001")
        let sent = try first.receivePacket()
        #expect(sent.firstByte & 0xF6 == 0x32)
        #expect(sent.body.suffix(3) == Array("abc".utf8)[...])
        try first.send(hex)
        try first.expectClose()
        try await gateway.logged("uplink down", "the broker")
        // The node is still connected and served.
        try node.send("c0 00")
        try node.expect("d0 00")
        let second = try self.accept(listener)
        let again = try second.receivePacket()
        #expect(again.body.suffix(3) == Array("abc".utf8)[...])
        #expect(again.body == sent.body, "the same packet identifier, topic and payload")
    }

    @Test("messages on topics that no route takes, or that no device could have, go nowhere")
    func unrouted() async throws {
        let listener = try RawMQTTClient.Listener()
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: listener.port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        let broker = try self.accept(listener)
        let node = try await MosquittoSubscriber.start(.init(port: try gateway.port()), topics: ["nodes/lamp/cmd/#"])
        for topic in [
            "sites/attic/lamp/cmd", "sites/attic//cmd/x", "sites/attic/../cmd/x", "sites/attic/l\u{e4}mp/cmd/x",
            "$SYS/x",
            "elsewhere", "sites/cellar/lamp/cmd/x", "nodes/lamp/cmd/x",
        ] {
            let bytes = Array(topic.utf8)
            try broker.send([0x30, UInt8(bytes.count + 3), 0, UInt8(bytes.count)] + bytes + [0x78])
        }
        let bytes = Array("sites/attic/lamp/cmd/x".utf8)
        try broker.send([0x32, UInt8(bytes.count + 5), 0, UInt8(bytes.count)] + bytes + [0, 9, 0x79])
        try broker.expect("40 02 0009")
        try await node.message(payload: "y")
        #expect(node.received.map(\.topic).allSatisfy { $0 == "nodes/lamp/cmd/x" || $0 == "nodes/lamp/cmd" })
        #expect(!node.received.contains { $0.topic == "nodes/lamp/cmd/x" && $0.payload == "x" })
    }

    @Test("a broker that refuses is explained, and tried again")
    func refuses() async throws {
        let listener = try RawMQTTClient.Listener()
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: listener.port).text)
        let gateway = try await home.start()
        let connection = try listener.accept()
        _ = try connection.receivePacket()
        try connection.send("20 02 00 05")
        try connection.expectClose()
        try await gateway.logged("uplink down", "not authorized")
        _ = try listener.accept()
    }
}
