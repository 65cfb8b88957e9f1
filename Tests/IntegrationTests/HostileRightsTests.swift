import Foundation
import TestSupport
import Testing

/// Tricks to be somebody else, or to read and write more than one may, against a running gateway.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct HostileRightsTests {
    /// A device that may everything.
    private static let writer = """
        [profile.writer]
        publish = ["#"]
        subscribe = ["#"]
        rate = "100000/s"
        """

    private func home(_ text: String = OpenSite.text(extra: writer)) async throws -> GatewayProcess.Home {
        try await OpenSite.home(text, devices: ["writer", "lamp", "pump"])
    }

    /// Takes over a changed gateway.conf.
    private func reload(_ gateway: GatewayProcess, _ home: GatewayProcess.Home, without line: String) async throws {
        let text = OpenSite.text(extra: Self.writer)
        try #require(text.contains(line))
        try home.configure(text.replacingOccurrences(of: line, with: ""))
        gateway.signal(SIGHUP)
        try await gateway.logged("configuration reloaded")
    }

    /// The code of a PUBLISH at QoS 1.
    private func publish(_ peer: MQTTPeer, _ topic: String, _ payload: String = "x", retain: Bool = false) throws
        -> UInt8
    {
        try peer.publish(topic, payload, id: 1, retain: retain)
        let answer = try peer.next()
        #expect(answer.first == 0x40)
        return answer.code
    }

    // MARK: Identity

    @Test("client ids and user names with wildcards are no pattern (CVE-2017-7650)")
    func patterns() async throws {
        var configuration = SiteConfiguration.plain(port: 1)
        configuration.extra = """
            [profile.named]
            seal = "none"
            plaintext = true
            identify_by = "client_id"
            publish = ["named/%d/#"]
            subscribe = ["named/%d/#"]
            """
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(
            ["x", "y"].map { "[[device]]\nid = \"\($0)\"\nprofile = \"named\"\n\n" }.joined()
        )
        let gateway = try await home.start()
        let right = try MQTTPeer(port: try gateway.port(), .init(id: "x"))
        #expect(try right.subscribe("named/x/#") == [2])
        for id in ["#", "+", "x/#", "+/x", "x/y", "x/../y", "X", "x ", "%d", "\u{1}x", "x*"] {
            let peer = try MQTTPeer(port: try gateway.port(), answerTo: .init(id: id, user: id, password: id))
            guard peer.code == 0 else { continue }
            let filters = ["#", "named/#", "named/+/#", "named/x/#", "named/y/t", "named/\(id)/#"]
            for filter in filters where !filter.contains("#/") {
                // What is no filter at all ends the connection.
                let codes = try? peer.subscribe(filter)
                #expect(codes == nil || codes == [0x87] || codes == [0x8F], "\(id): \(filter)")
                if codes == nil { break }
            }
            let other = try MQTTPeer(port: try gateway.port(), answerTo: .init(id: id))
            #expect(try self.publish(other, "named/x/t") == 0x87)
        }
        try right.publish("named/x/t", "x", id: nil)
        #expect(try right.message().payload == "x")
    }

    @Test(
        "nobody gets at a device by its client id: its connection stays, its messages wait for it, its name is refused"
    )
    func collision() async throws {
        let gateway = try await self.home().start()
        let port = try gateway.port()
        var kept = MQTTPeer.Opening.device("pump")
        (kept.clean, kept.expiry) = (false, 3_600)
        let pump = try MQTTPeer(port: port, kept)
        try pump.subscribe("nodes/pump/#", qos: 1)
        try pump.disconnect()
        let writer = try MQTTPeer(port: port, .device("writer"))
        #expect(try self.publish(writer, "nodes/pump/cmd", "for the pump") == 0)
        // Another device, and a guest, with its client id, and with a clean session.
        for level in [4, 5] as [UInt8] {
            for opening in [
                .device("lamp", id: "of-pump", level: level), .init(id: "of-pump", level: level),
                MQTTPeer.Opening(id: "of-pump", level: level, clean: false, user: "lamp", password: OpenSite.password),
            ] {
                let thief = try MQTTPeer(port: port, opening)
                #expect(!thief.isPresent)
                try thief.expectNothing()
            }
            // The name of a device is its own.
            let opening = MQTTPeer.Opening.device("lamp", id: "pump", level: level)
            #expect(try MQTTPeer(port: port, answerTo: opening).code == (level == 5 ? 0x85 : 2))
        }
        let back = try MQTTPeer(port: port, kept)
        #expect(back.isPresent)
        #expect(try back.takeMessages(1).map(\.payload) == ["for the pump"])
        _ = try MQTTPeer(port: port, .device("lamp", id: "of-pump"))
        _ = try MQTTPeer(port: port, .init(id: "of-pump"))
        try back.expectNothing()
    }

    @Test("every login that fails gets the same answer", arguments: [4, 5] as [UInt8])
    func logins(level: UInt8) async throws {
        let gateway = try await self.home().start()
        let logins: [(String?, String?)] = [
            ("lamp", "a long secreT"), ("lamp", "a long secret\0"), ("lamp", "\0a long secret"), ("lamp", ""),
            ("lamp", nil), ("LAMP", OpenSite.password), ("nobody", OpenSite.password), ("", OpenSite.password),
            ("lamp ", OpenSite.password), ("#", OpenSite.password), ("+", OpenSite.password),
            ("lamp/#", OpenSite.password),
            ("la\u{6D}\u{301}p", OpenSite.password), (String(repeating: "l", count: 10_000), OpenSite.password),
        ]
        var answers: Set<[UInt8]> = []
        for (user, password) in logins {
            let opening = MQTTPeer.Opening(id: "x", level: level, user: user, password: password)
            let peer = try MQTTPeer(port: try gateway.port(), answerTo: opening)
            #expect(peer.code == (level == 5 ? 0x86 : 4), "\(user ?? "-")")
            answers.insert(peer.connack)
            try peer.raw.expectClose()
        }
        #expect(answers.count == 1)
        // With NUL a user name is no text.
        let peer = try RawMQTTClient(port: try gateway.port())
        try peer.send(MQTTPeer.connect(.init(id: "x", level: level, user: "lamp\0", password: OpenSite.password)))
        #expect(try peer.receivePacketBytes()?.dropFirst(3).first != 0)
        _ = try MQTTPeer(port: try gateway.port(), .device("lamp", level: level))
    }

    // MARK: Wills

    @Test(
        "a will on a forbidden topic is refused at CONNECT, retained or delayed as well",
        arguments: [4, 5] as [UInt8]
    )
    func wills(level: UInt8) async throws {
        let gateway = try await self.home().start()
        for topic in ["nodes/pump/x", "nodes/lamp/private/x", "news/x", "$SYS/x", "log/pump"] {
            for (retain, delay) in [(false, 0), (true, 0), (false, 5), (true, 5)] as [(Bool, UInt32)] {
                var opening = MQTTPeer.Opening.device("lamp", level: level)
                opening.will = .init(topic: topic, payload: "x", retain: retain, delay: delay)
                let peer = try MQTTPeer(port: try gateway.port(), answerTo: opening)
                #expect(peer.code == (level == 5 ? 0x87 : 5), "\(topic)")
                try peer.raw.expectClose()
            }
        }
    }

    @Test("a will whose right was taken away is not sent: at once, retained, delayed, at a takeover, or after SIGKILL")
    func willsLater() async throws {
        let home = try await self.home()
        var gateway = try await home.start()
        func opening(_ id: String, delay: UInt32 = 0, retain: Bool = false, expiry: UInt32 = 0) -> MQTTPeer.Opening {
            var opening = MQTTPeer.Opening.device("lamp", id: id)
            opening.expiry = expiry
            opening.clean = expiry == 0
            opening.will = .init(topic: "log/lamp", payload: id, retain: retain, delay: delay)
            return opening
        }
        var port = try gateway.port()
        let watcher = try MQTTPeer(port: port, .device("writer"))
        try watcher.subscribe("log/#")
        do {
            // While it has the right, it is sent.
            let peer = try MQTTPeer(port: port, opening("good"))
            try peer.expectNothing()
        }
        #expect(try watcher.takeMessages(1).map(\.payload) == ["good"])
        var peers = [
            try MQTTPeer(port: port, opening("at-once")), try MQTTPeer(port: port, opening("retained", retain: true)),
            try MQTTPeer(port: port, opening("delayed", delay: 1, expiry: 60)),
        ]
        let taken = try MQTTPeer(port: port, opening("taken"))
        let killed = try MQTTPeer(port: port, opening("killed", delay: 1, expiry: 60))
        try killed.subscribe("nodes/lamp/x")
        try await self.reload(gateway, home, without: ", \"log/%d\"")
        _ = try MQTTPeer(port: port, .device("lamp", id: "taken"))
        try taken.expectEnd()
        peers = []
        #expect(peers.isEmpty)
        // Of four; the same is told once a minute only.
        try await gateway.logged("refused", "log/lamp")
        try await Task.sleep(for: .seconds(2))
        try watcher.expectNothing()
        try await gateway.kill()
        gateway = try await home.start()
        port = try gateway.port()
        let later = try MQTTPeer(port: port, .device("writer"))
        try later.subscribe("log/#")
        try await gateway.logged("refused", "log/lamp")
        try later.expectNothing()
        withExtendedLifetime(killed) {}
    }

    @Test("the will of a device that is revoked is not sent")
    func willOfRevoked() async throws {
        let home = try await self.home()
        let gateway = try await home.start()
        let watcher = try MQTTPeer(port: try gateway.port(), .device("writer"))
        try watcher.subscribe("log/#")
        var opening = MQTTPeer.Opening.device("lamp")
        opening.will = .init(topic: "log/lamp", payload: "no")
        let lamp = try MQTTPeer(port: try gateway.port(), opening)
        #expect(try await home.run(["device", "revoke", "lamp"]).exit == .status(0))
        try lamp.expectEnd()
        try watcher.expectNothing()
    }

    // MARK: Rights that were taken away

    @Test(
        "what was retained by somebody who may not publish there any more is not served, nor after a restart (CVE-2018-12546)"
    )
    func retained() async throws {
        let home = try await self.home()
        var gateway = try await home.start()
        for (name, topic) in [("lamp", "log/lamp"), ("lamp", "nodes/lamp/a"), ("pump", "nodes/pump/a")] {
            let peer = try MQTTPeer(port: try gateway.port(), .device(name))
            #expect(try self.publish(peer, topic, retain: true) == 0)
        }
        let guest = try MQTTPeer(port: try gateway.port(), .init(id: "guest"))
        #expect(try self.publish(guest, "guests/a", retain: true) == 0)
        func served() throws -> [String] {
            let reader = try MQTTPeer(port: try gateway.port(), .init(id: "reader"))
            try reader.subscribe("log/#", "nodes/#", "guests/#", qos: 0)
            try reader.raw.send("c0 00")
            var topics: [String] = []
            while let message = reader.message(try reader.next()) { topics.append(message.topic) }
            return topics.sorted()
        }
        #expect(try served() == ["guests/a", "log/lamp", "nodes/lamp/a", "nodes/pump/a"])
        #expect(try await home.run(["device", "revoke", "pump"]).exit == .status(0))
        try await gateway.logged("devices changed")
        #expect(try served() == ["guests/a", "log/lamp", "nodes/lamp/a"])
        try await self.reload(gateway, home, without: ", \"log/%d\"")
        #expect(try served() == ["guests/a", "nodes/lamp/a"])
        try await gateway.kill()
        gateway = try await home.start()
        #expect(try served() == ["guests/a", "nodes/lamp/a"])
        // Nor what guests left who may not publish any more.
        try await gateway.kill()
        let text = OpenSite.text(extra: Self.writer).replacingOccurrences(
            of: "[profile.guest]\npublish = [\"#\"]",
            with: "[profile.guest]"
        )
        try home.configure(text)
        gateway = try await home.start()
        #expect(try served() == ["log/lamp", "nodes/lamp/a"])
    }

    @Test("a subscription that is older than the revocation gets nothing more, nor what waits for it (CVE-2021-34434)")
    func subscriptions() async throws {
        let home = try await self.home()
        var gateway = try await home.start()
        var kept = MQTTPeer.Opening.device("pump")
        (kept.clean, kept.expiry) = (false, 3_600)
        let here = try MQTTPeer(port: try gateway.port(), .device("lamp"))
        let away = try MQTTPeer(port: try gateway.port(), kept)
        for peer in [here, away] { #expect(try peer.subscribe("news/#", "nodes/+/x", qos: 1).first == 1) }
        #expect(try away.subscribe("nodes/pump/#", qos: 1) == [1])
        try away.disconnect()
        let writer = try MQTTPeer(port: try gateway.port(), .device("writer"))
        #expect(try self.publish(writer, "news/1", "before") == 0)
        #expect(try here.takeMessages(1).map(\.payload) == ["before"])
        #expect(try self.publish(writer, "nodes/pump/1", "own") == 0)
        try await self.reload(gateway, home, without: ", \"news/#\"")
        #expect(try self.publish(writer, "news/1", "after") == 0)
        try here.expectNothing()
        let back = try MQTTPeer(port: try gateway.port(), kept)
        #expect(back.isPresent)
        #expect(try back.takeMessages(1).map(\.payload) == ["own"])
        try back.expectNothing()
        // The same with a restart between.
        try home.configure(OpenSite.text(extra: Self.writer))
        gateway.signal(SIGHUP)
        _ = try await gateway.log.lines(count: 2) { $0.contains("configuration reloaded") }
        try back.disconnect()
        #expect(try self.publish(writer, "news/1", "again") == 0)
        #expect(try self.publish(writer, "nodes/pump/1", "own again") == 0)
        try await gateway.kill()
        try home.configure(OpenSite.text(extra: Self.writer).replacingOccurrences(of: ", \"news/#\"", with: ""))
        gateway = try await home.start()
        let last = try MQTTPeer(port: try gateway.port(), kept)
        #expect(last.isPresent)
        #expect(try last.takeMessages(1).map(\.payload) == ["own again"])
        try last.expectNothing()
    }

    // MARK: Filters and topics

    @Test(
        "a shared subscription is decided by the filter behind it, which the log names",
        arguments: ["forbidden", "g"]
    )
    func shared(group: String) async throws {
        let gateway = try await self.home().start()
        let guest = try MQTTPeer(port: try gateway.port(), .init(id: "guest"))
        #expect(try guest.subscribe("$share/\(group)/denied/x", "$share/\(group)/denied/#") == [0x87, 0x87])
        try await gateway.logged("refused", "denied/x")
        let lamp = try MQTTPeer(port: try gateway.port(), .device("lamp"))
        #expect(
            try lamp.subscribe("$share/nodes/lamp/#", "$share/nodes/#", "$share/g/nodes/lamp/#") == [0x87, 0x87, 2]
        )
        // One that is wider than its right in part gets the rest.
        #expect(try guest.subscribe("$share/\(group)/#") == [2])
        let writer = try MQTTPeer(port: try gateway.port(), .device("writer"))
        #expect(try self.publish(writer, "denied/x") == 0 && self.publish(writer, "news/x") == 0)
        #expect(try guest.takeMessages(1).map(\.topic) == ["news/x"])
        try guest.expectNothing()
    }

    @Test("a wildcard never reaches further than the grant")
    func wildcards() async throws {
        let gateway = try await self.home().start()
        let lamp = try MQTTPeer(port: try gateway.port(), .device("lamp"))
        for filter in [
            "#", "+/#", "nodes/#", "nodes/+/x", "+/lamp/#", "+/+", "+", "nodes/pump/#", "$SYS/#", "nodes/lam+",
        ] {
            guard filter != "nodes/lam+" else { continue }
            #expect(try lamp.subscribe(filter) == [0x87], "\(filter)")
        }
        #expect(try lamp.subscribe("nodes/lamp/#", "nodes/lamp/private/#", "nodes/lamp/+") == [2, 0x87, 2])
        let guest = try MQTTPeer(port: try gateway.port(), .init(id: "guest"))
        #expect(try guest.subscribe("#", "+/+", "+/x", "denied/#") == [2, 2, 2, 0x87])
        let writer = try MQTTPeer(port: try gateway.port(), .device("writer"))
        for topic in ["denied/x", "denied", "nodes/lamp/private/x", "nodes/pump/x", "nodes/lamp/x"] {
            #expect(try self.publish(writer, topic) == 0)
        }
        #expect(try guest.takeMessages(3).map(\.topic) == ["nodes/lamp/private/x", "nodes/pump/x", "nodes/lamp/x"])
        try guest.expectNothing()
        #expect(try lamp.takeMessages(1).map(\.topic) == ["nodes/lamp/x"])
        try lamp.expectNothing()
    }

    @Test("a mixed SUBSCRIBE gets its codes in order: 0x80 in 3.1.1, 0x87 in 5.0", arguments: [4, 5] as [UInt8])
    func mixed(level: UInt8) async throws {
        let gateway = try await self.home().start()
        let lamp = try MQTTPeer(port: try gateway.port(), .device("lamp", level: level))
        let refused: UInt8 = level == 5 ? 0x87 : 0x80
        let codes = try lamp.subscribe("news/a", "nodes/pump/x", "nodes/lamp/x", "#", "news/#", qos: 1)
        #expect(codes == [1, refused, 1, refused, 1])
    }

    @Test("an alias that was set on an allowed topic carries no other one")
    func alias() async throws {
        let gateway = try await self.home().start()
        let watcher = try MQTTPeer(port: try gateway.port(), .device("writer"))
        try watcher.subscribe("#")
        let lamp = try MQTTPeer(port: try gateway.port(), .device("lamp"))
        let alias: [UInt8] = [0x23, 0, 1]
        for (topic, code) in [
            ("nodes/lamp/a", 0), ("", 0), ("nodes/pump/a", 0x87), ("", 0x87), ("nodes/lamp/b", 0), ("", 0),
        ] {
            try lamp.publish(topic, "x", id: 1, properties: alias)
            #expect(try Int(lamp.next().code) == code)
        }
        #expect(
            try watcher.takeMessages(4).map(\.topic) == [
                "nodes/lamp/a", "nodes/lamp/a", "nodes/lamp/b", "nodes/lamp/b",
            ]
        )
        try watcher.expectNothing()
    }

    @Test("a publish to a topic that begins with $ is nobody's right, and no wildcard finds it (CVE-2018-12543)")
    func dollar() async throws {
        let gateway = try await self.home().start()
        let watcher = try MQTTPeer(port: try gateway.port(), .init(id: "watcher"))
        #expect(try watcher.subscribe("#", "+/x", "+") == [2, 2, 2])
        let writer = try MQTTPeer(port: try gateway.port(), .device("writer"))
        for topic in ["$x", "$", "$/x", "$SYS/x", "$SYS/broker/version", "$share/g/x", "$share", "$\u{FEFF}"] {
            #expect(try self.publish(writer, topic, retain: true) == 0x87, "\(topic)")
            try writer.publish(topic, "x", id: nil)
        }
        try writer.expectNothing()
        try watcher.expectNothing()
    }

    // MARK: Files

    @Test("no rule means no right, and a file that can't be used changes nothing (CVE-2018-12550, -12551, -20145)")
    func files() async throws {
        let home = try await self.home(OpenSite.text(extra: Self.writer + "\n[profile.pump]\n"))
        let gateway = try await home.start()
        let port = try gateway.port()
        let pump = try MQTTPeer(port: port, .device("pump"))
        #expect(try pump.subscribe("nodes/pump/#", "#", "news/x") == [0x87, 0x87, 0x87])
        #expect(try self.publish(pump, "nodes/pump/x") == 0x87)
        let guest = try MQTTPeer(port: port, .init(id: "guest"))
        let good = OpenSite.text()
        let bad = [
            "", "[profile.guest]\npublish = [\"#\"]", good + "\n[profile.guest",
            good + "\n[profile.other]\npublish = \"#\"",
            good.replacingOccurrences(of: "deny", with: "denny"),
            good.replacingOccurrences(of: "denied/#", with: "denied/#/x"),
        ]
        for (index, text) in bad.enumerated() {
            try home.configure(text)
            gateway.signal(SIGHUP)
            _ = try await gateway.log.lines(count: index + 1) { $0.contains("the old configuration stays") }
            #expect(try self.publish(guest, "denied/x") == 0x87)
            let refused = try await home.run(["run"])
            #expect(refused.exit != .status(0) && !refused.all.contains(" listening"), "\(refused.all)")
        }
    }
}
