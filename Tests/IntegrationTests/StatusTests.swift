import Foundation
import TestSupport
import Testing

/// `sealgate status` and `sealgate dead`, with the gateway that they are about.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct StatusTests {
    private func home(_ configuration: SiteConfiguration) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        return home
    }

    private func json(_ finished: ChildProcess.Finished) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(finished.text.utf8))
    }

    private func status(_ home: GatewayProcess.Home) async throws -> [String: Any] {
        let finished = try await home.run(["status", "--json"])
        try #require(finished.exit == .status(0), "\(finished.all)")
        return try #require(try self.json(finished) as? [String: Any])
    }

    private func uplink(_ home: GatewayProcess.Home) async throws -> [String: Any] {
        try #require((try await self.status(home)["uplinks"] as? [[String: Any]])?.first)
    }

    @Test("says that no gateway runs, before the first start, after the end and after a crash")
    func absent() async throws {
        let home = try await self.home(.plain(port: 1))
        func expectAbsence() async throws {
            let finished = try await home.run(["status"])
            #expect(finished.exit == .status(1))
            #expect(finished.errors.joined().contains("the gateway is not running"))
        }
        try await expectAbsence()
        var gateway = try await home.start()
        #expect(try await home.run(["status"]).exit == .status(0))
        #expect(try await gateway.stop() == .status(0))
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("state/control.sock")))
        try await expectAbsence()
        gateway = try await home.start()
        try await gateway.kill()
        try await expectAbsence()
        gateway = try await home.start()
        #expect(try await self.status(home)["name"] as? String == "attic")
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("tells of clients, refusals, the clock and each uplink")
    func content() async throws {
        let broker = try await Mosquitto.start()
        let home = try await self.home(.plain(port: broker.port))
        let gateway = try await home.start()
        try await gateway.logged("uplink subscribed")
        let node = MosquittoTarget(port: try gateway.port())
        for topic in ["nodes/lamp/a", "nodes/nobody/a"] {
            _ = try await MosquittoPublisher.publish(node, topic: topic, payload: "on")
        }
        try await eventually { try await self.uplink(home)["delivered"] as? Int == 1 }
        let status = try await self.status(home)
        #expect((status["clock"] as? [String: Any])?["set"] as? Bool == true)
        #expect((status["refused"] as? [String: Int])?["not proven"] ?? 0 >= 1, "\(status)")
        #expect(status["devices"] as? Int == 1)
        let uplink = try await self.uplink(home)
        #expect(uplink["state"] as? String == "connected")
        #expect(uplink["acknowledged_seconds"] is Int)
        let text = try await home.run(["status"])
        #expect(
            text.output.contains { $0.hasPrefix("uplink        cloud: connected to mqtt://127.0.0.1:") },
            "\(text.all)"
        )
        try await broker.kill()
        try await gateway.logged("uplink down")
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/a", payload: "off")
        try await eventually {
            (try await self.uplink(home)["spool"] as? [String: Any])?["messages"] as? Int == 1
        }
        #expect(try await self.uplink(home)["last_error"] is String)
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("a message over a limit of the provider is listed, shown, sent again when that is mended, and dropped")
    func deadLetters() async throws {
        let broker = try await Mosquitto.start()
        var configuration = SiteConfiguration.plain(port: broker.port)
        configuration.uplink.append("max_payload = \"20B\"")
        let home = try await self.home(configuration)
        var gateway = try await home.start()
        let listener = try await MosquittoSubscriber.start(.init(port: broker.port), topics: ["sites/#"])
        var node = MosquittoTarget(port: try gateway.port())
        let long = "a payload of more than twenty bytes"
        for payload in [long, "short", long + " too"] {
            _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: payload)
        }
        try await listener.message(payload: "short")
        let list = try await home.run(["dead", "list", "--json"])
        let letters = try #require(try self.json(list) as? [[String: Any]], "\(list.all)")
        #expect(letters.map { $0["size"] as? Int } == [long.utf8.count, long.utf8.count + 4])
        #expect(letters.allSatisfy { $0["reason"] as? String == "payload-too-large" })
        let ids = letters.compactMap { $0["id"] as? Int }
        try #require(ids.count == 2)
        let table = try await home.run(["dead", "list", "--uplink", "cloud", "--device", "lamp"])
        #expect(table.output.count == 3 && table.text.contains("larger than the outside broker takes"), "\(table.all)")
        #expect(try await home.run(["dead", "list", "--uplink", "other"]).output.isEmpty)

        let shown = try await home.run(["dead", "show", "\(ids[0])"])
        #expect(shown.output.last == long && shown.text.contains("sites/attic/lamp/state"), "\(shown.all)")
        #expect(try await home.run(["dead", "show", "\(ids[0])", "--raw"]).text == long)
        #expect(try await home.run(["dead", "show", "999"]).exit == .status(1))

        // Not mended yet: it is back under another number.
        #expect(try await home.run(["dead", "resend", "\(ids[0])"]).exit == .status(0))
        try await eventually {
            let now = try self.json(try await home.run(["dead", "list", "--json"])) as? [[String: Any]]
            return now?.count == 2 && now?.contains { $0["id"] as? Int == ids[0] } == false
        }
        #expect(try await gateway.stop() == .status(0))

        configuration.uplink.removeLast()
        try home.configure(configuration.text)
        gateway = try await home.start()
        node = MosquittoTarget(port: try gateway.port())
        #expect(try await home.run(["dead", "resend", "--all"]).exit == .status(0))
        try await listener.message(payload: long)
        try await listener.message(payload: long + " too")
        try await eventually { try await home.run(["dead", "list"]).output.isEmpty }
        #expect(listener.received.count == 3)
        #expect(try await gateway.stop() == .status(0))
    }

    @Test("dead letters are dropped, and stay if gateway.conf has their uplink no more")
    func dropping() async throws {
        var configuration = SiteConfiguration.plain(port: 1)
        configuration.uplink.append("max_payload = \"1B\"")
        let home = try await self.home(configuration)
        let gateway = try await home.start()
        let node = MosquittoTarget(port: try gateway.port())
        for payload in ["one", "two", "three"] {
            _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/state", payload: payload)
        }
        #expect(try await gateway.stop() == .status(0))
        let letters = try self.json(try await home.run(["dead", "list", "--json"])) as? [[String: Any]]
        let ids = try #require(letters).compactMap { $0["id"] as? Int }
        try #require(ids.count == 3)
        #expect(try await home.run(["dead", "drop", "\(ids[1])"]).output == ["1 message dropped"])
        #expect(try await home.run(["dead", "drop", "\(ids[1])"]).exit == .status(1))
        #expect(try await home.run(["dead", "drop"]).exit == .status(2))

        try home.configure(
            configuration.text.replacing("uplink.cloud", with: "uplink.other").replacing(
                "uplink = \"cloud\"",
                with: "uplink = \"other\""
            )
        )
        let resent = try await home.run(["dead", "resend", "--all"])
        #expect(resent.exit == .status(1) && resent.errors.joined().contains("no uplink cloud"), "\(resent.all)")
        #expect(try await home.run(["dead", "list"]).output.count == 3)

        // Marked while the uplink was there: they wait for it to come back.
        let renamed = try String(contentsOfFile: home.directory.file("gateway.conf"), encoding: .utf8)
        try home.configure(configuration.text)
        #expect(try await home.run(["dead", "resend", "--all"]).exit == .status(0))
        try home.configure(renamed)
        let other = try await home.start()
        try await other.logged("dead letters can't be sent again")
        #expect(try await other.stop() == .status(0))
        #expect(try await home.run(["dead", "list"]).output.count { $0.contains("about to be sent again") } == 2)
        #expect(try await home.run(["dead", "drop", "--device", "lamp"]).output == ["2 messages dropped"])
        #expect(try await home.run(["dead", "list"]).errors == ["no dead letters"])
    }
}
