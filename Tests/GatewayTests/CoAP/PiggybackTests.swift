import Broker
import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Sealing
import TestSupport
import Testing

@testable import Gateway

@Suite("Commands in the responses to posts", .timeLimit(.minutes(5)))
struct PiggybackTests {
    private static let rule = "piggyback_commands = true"
    private static let configuration = """
        [profile.poster]
        plaintext = true
        publish = ["n/%d/#"]
        subscribe = ["n/%d/cmd/#", "n/%d/set", "all/#"]
        deny = ["n/%d/cmd/secret"]
        \(rule)
        [profile.wide]
        seal = "v1"
        plaintext = true
        sealed_commands = ["w/%d/sealed/#"]
        publish = ["w/%d/#"]
        subscribe = ["w/%d/#"]
        session_topic = "w/%d/sessionID"
        \(rule)
        [profile.sealed]
        seal = "v1"
        publish = ["s/%d/#"]
        subscribe = ["s/%d/sessionID", "s/%d/cmd/#"]
        session_topic = "s/%d/sessionID"
        \(rule)
        [profile.other]
        publish = ["o/%d/#"]
        subscribe = ["o/%d/#"]
        """

    private static func devices(_ keys: V1Keys = .random()) throws -> [Device] {
        try [("k", "poster"), ("w", "wide"), ("q", "sealed"), ("o", "other")].map { name, profile in
            var device = Device(id: try DeviceID(name), profile: profile)
            if profile == "sealed" || profile == "wide" { device.v1Keys = keys }
            return device
        }
    }

    private func run(
        _ limits: String = "",
        keys: V1Keys = .random(),
        in directory: TemporaryDirectory? = nil,
        configuration: String = configuration,
        _ body: (DownlinkSite) async throws -> Void
    ) async throws {
        try await DownlinkSite.run(
            limits + "\n" + configuration,
            devices: Self.devices(keys),
            in: directory,
            body: body
        )
    }

    private func open(_ command: DownlinkSite.Command?, _ keys: V1Keys, session: String) throws -> String {
        let command = try #require(command)
        let opened = try V1Cipher(keys: keys).open(
            ByteBuffer(bytes: command.payload),
            nodeID: Array("q".utf8),
            sessionIDs: [Array(session.utf8)]
        )
        return String(buffer: opened.data)
    }

    /// The next command, opened. One that is not on disk in time for the response waits for another post.
    private func command(
        _ site: DownlinkSite,
        _ keys: V1Keys,
        _ session: String,
        isProven: Bool = false
    ) async throws -> String {
        try await eventually { await site.look { core, _ in core.commits.isSafe } }
        var id = session
        for _ in 0..<50 {
            if let command = await site.post("q", sessionID: id, isProven: isProven) {
                #expect(command.topic == "s/q/cmd/light")
                return try self.open(command, keys, session: id)
            }
            id += "+"
        }
        return "nothing comes"
    }

    @Test("what waits comes one a post, in order, with its topic; when nothing waits the answer is not held up")
    func inOrder() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            #expect(await site.postAtOnce("k") == .some(nil))
            #expect(await site.postAtOnce("nobody") == .some(nil))
            #expect(await site.postAtOnce("o") == .some(nil), "without the rule")
            try await site.publish("n/k/cmd/a", "1")
            try await site.publish("n/k/set", "2")
            try await site.publish("n/k/cmd/a", "passing", qos: .atMostOnce)
            try await site.publish("all/x", "for everybody, so no command")
            try await site.publish("n/k/cmd/secret", "denied")
            try await site.publish("n/k/cmd/a", "over", expiry: .now())
            try await site.publish("n/k/cmd/b", "3", qos: .exactlyOnce)
            for (topic, text) in [("n/k/cmd/a", "1"), ("n/k/set", "2"), ("n/k/cmd/b", "3")] {
                let command = try #require(await site.postAtOnce("k"))
                #expect(command?.topic == topic && command?.text == text)
            }
            #expect(await site.postAtOnce("k") == .some(nil))
            #expect(await site.look { core, _ in core.observersOf.isEmpty })
        }
    }

    @Test("what waits is there after a restart, and what was given is not")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            for number in 1...3 { try await site.publish("n/k/set", "\(number)") }
            #expect(await site.postAtOnce("k")??.text == "1")
        }
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.postAtOnce("k")??.text == "2")
            try await site.publish("n/k/set", "4")
        }
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.postAtOnce("k")??.text == "3")
            #expect(await site.postAtOnce("k")??.text == "4")
            #expect(await site.postAtOnce("k") == .some(nil))
        }
    }

    @Test("the sessions are there before any post, and go with the device or the rule, also after a restart")
    func sessions() async throws {
        let directory = try TemporaryDirectory()
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.sessionCount == 3)
            try await site.publish("n/k/set", "1")
            await site.change { devices in
                for index in devices.indices where devices[index].id.text == "k" { devices[index].isRevoked = true }
            }
            #expect(await site.sessionCount == 2)
            #expect(await site.postAtOnce("k") == .some(nil))
            await site.change { devices in
                for index in devices.indices where devices[index].id.text == "k" { devices[index].isRevoked = false }
            }
            #expect(await site.sessionCount == 3)
            #expect(await site.postAtOnce("k") == .some(nil), "what waited is given up")
            try await site.publish("n/k/set", "2")
        }
        let without = Self.configuration.replacing(Self.rule, with: "")
        try await self.run(in: directory, configuration: without) { (site: DownlinkSite) async throws in
            #expect(await site.sessionCount == 0)
        }
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.sessionCount == 3)
            #expect(await site.postAtOnce("k") == .some(nil))
        }
    }

    @Test("no client has such a session, and one of the same name has another")
    func takeover() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            try await site.publish("n/k/set", "1")
            let isOther = await site.look { core, _ in
                let named = core.broker.open(
                    clientID: core.makeClientID(),
                    owner: .device("k"),
                    cleanStart: false,
                    expiryInterval: 0
                )
                guard case .opened(let session, let isPresent, _, _) = named else { return false }
                return !isPresent && session.queuedCount == 0
            }
            #expect(isOther)
            #expect(await site.postAtOnce("k")??.text == "1")
        }
    }

    @Test("a new session gets what is retained, once")
    func retained() async throws {
        let without = Self.configuration.replacing(Self.rule, with: "")
        let directory = try TemporaryDirectory()
        try await self.run(in: directory, configuration: without) { (site: DownlinkSite) async throws in
            try await site.publish("n/k/set", "21", retain: true, by: "k")
            try await site.publish("n/k/cmd/a", "on", retain: true, by: "k")
        }
        try await self.run(in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.postAtOnce("k") == .some(nil), "what the device published itself")
            try await site.publish("n/k/set", "22", retain: true)
            #expect(await site.postAtOnce("k")??.text == "22")
            #expect(await site.postAtOnce("k") == .some(nil))
        }
    }

    @Test("neither what the device publishes itself nor its session IDs are commands, however wide its filters are")
    func own() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            try await site.publish("w/w/temp", "21", by: "w")
            #expect(await site.postAtOnce("w") == .some(nil))
            try await site.publish("w/w/light", "on", by: "k")
            #expect(await site.postAtOnce("w")??.text == "on")
            #expect(await site.look { core, _ in core.counters.limits[.queue] } == nil)
        }
    }

    @Test("the queue has the limits of any other")
    func limits() async throws {
        try await self.run("[limits]\nmax_queued_messages = 3") { (site: DownlinkSite) async throws in
            for number in 1...5 { try await site.publish("n/k/set", "\(number)") }
            for number in 1...3 { #expect(await site.postAtOnce("k")??.text == "\(number)") }
            #expect(await site.postAtOnce("k") == .some(nil))
            #expect(await site.counters.limits[.queue] == 2)
        }
    }

    @Test("without room for all sessions the others work")
    func noRoom() async throws {
        try await self.run("[limits]\nmax_sessions = 2") { (site: DownlinkSite) async throws in
            #expect(await site.sessionCount == 2)
            #expect(await site.counters.limits[.sessions] == 1)
            try await site.publish("n/k/set", "1")
            #expect(await site.postAtOnce("k")??.text == "1")
        }
    }

    @Test("what the device observes comes that way; what its observation did not deliver comes with a post")
    func observed() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            await site.introduce(DownlinkSite.secure, device: "k")
            try await site.publish("n/k/set", "0")
            #expect(try await site.get("ps/n/k/set", observe: 0).isObserved)
            for number in 1...3 { try await site.publish("n/k/set", "\(number)") }
            try await site.publish("n/k/cmd/a", "other")
            let first = try #require(await site.take().first)
            #expect(first.text == "1")
            let second = try #require(await site.answer(first).first)
            #expect(second.text == "2")
            #expect(await site.postAtOnce("k")??.text == "0", "from before")
            #expect(await site.postAtOnce("k")??.text == "other")
            #expect(await site.postAtOnce("k") == .some(nil))
            await site.pass(.seconds(120))
            #expect(await site.postAtOnce("k")??.text == "2")
            #expect(await site.postAtOnce("k")??.text == "3")
            try await site.publish("n/k/set", "4")
            #expect(await site.postAtOnce("k")??.text == "4")
        }
    }

    @Test("a sealed command waits for the session ID of a post, and leaves with that post")
    func sealed() async throws {
        let keys = V1Keys.random()
        let directory = try TemporaryDirectory()
        try await self.run(keys: keys, in: directory) { (site: DownlinkSite) async throws in
            for number in 1...4 { try await site.publish("s/q/cmd/light", "\(number)") }
            #expect(await site.postAtOnce("q") == .some(nil), "there is nothing to seal it with")
            #expect(try await self.command(site, keys, "one") == "1")
            #expect(await site.postAtOnce("q", sessionID: "one") == .some(nil), "it is used up")
            #expect(try await self.command(site, keys, "two") == "2")
            #expect(await site.postAtOnce("q", sessionID: "a,b") == .some(nil), "no session ID")
            let own = try await site.get("ps/s/q/sessionID").text
            #expect(await site.postAtOnce("q", sessionID: own) == .some(nil), "one of the gateway's own")
            #expect(await site.counters.limits[.queue] == nil)
        }
        try await self.run(keys: keys, in: directory) { (site: DownlinkSite) async throws in
            #expect(await site.postAtOnce("q", sessionID: "two") == .some(nil), "used up for good")
            #expect(try await self.command(site, keys, "three", isProven: true) == "3")
            #expect(await site.postAtOnce("q", sessionID: "four") == .some(nil), "it proves its session IDs now")
            #expect(try await self.command(site, keys, "five", isProven: true) == "4")
            #expect(await site.postAtOnce("q", sessionID: "six", isProven: true) == .some(nil))
        }
    }

    @Test("what a response can't take does not hold up the others, and waits for one that can")
    func room() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            let large = String(repeating: "x", count: 500)
            try await site.publish("n/k/set", large)
            #expect(await site.postAtOnce("k", room: 100) == .some(nil))
            for text in ["2", "3"] { try await site.publish("n/k/set", text) }
            for text in ["2", "3"] { #expect(await site.postAtOnce("k", room: 100)??.text == text) }
            #expect(await site.postAtOnce("k", room: 100) == .some(nil))
            #expect(await site.postAtOnce("k", room: 500)??.text == large)
            #expect(await site.postAtOnce("k") == .some(nil))
        }
    }

    @Test("a sealed command that its response can't take, or that never leaves, is sealed again for another")
    func sealedRoom() async throws {
        let keys = V1Keys.random()
        try await self.run(keys: keys) { (site: DownlinkSite) async throws in
            try await site.publish("s/q/cmd/light", String(repeating: "x", count: 100))
            try await eventually { await site.look { core, _ in core.commits.isSafe } }
            #expect(await site.postAtOnce("q", sessionID: "small", room: 200) == .some(nil))
            _ = await site.post("q", sessionID: "lost", arrives: false)
            let text = try await self.command(site, keys, "one")
            #expect(text == String(repeating: "x", count: 100))
            #expect(await site.counters.commandsSealed == 1)
        }
    }

    @Test("what the observation of a node that restarted did not deliver waits for a post, though it observes anew")
    func restartedNode() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            await site.introduce(DownlinkSite.secure, device: "k")
            try await site.get("ps/n/k/set", token: "aa", observe: 0)
            try await site.publish("n/k/set", "1")
            let message = try #require(await site.take().last)
            try await site.get("ps/n/k/set", token: "bb", observe: 0)
            await site.answer(message, .reset)
            #expect(await site.postAtOnce("k")??.text == "1")
        }
    }

    @Test("while one response is being made another brings nothing")
    func twice() async throws {
        let keys = V1Keys.random()
        try await self.run(keys: keys) { (site: DownlinkSite) async throws in
            for number in 1...2 { try await site.publish("s/q/cmd/light", "\(number)") }
            try await eventually { await site.look { core, _ in core.commits.isSafe } }
            let (first, meanwhile) = await site.postTwice("q", sessionIDs: ("one", "other"))
            #expect(meanwhile == .some(nil))
            if let first { #expect(try self.open(first, keys, session: "one") == "1") }
            let left = first == nil ? ["1", "2"] : ["2"]
            for text in left { #expect(try await self.command(site, keys, text) == text) }
        }
    }

    @Test("an observer gets a sealed command, and no copy of it waits for a post")
    func sealedAndObserved() async throws {
        let keys = V1Keys.random()
        try await self.run(keys: keys) { (site: DownlinkSite) async throws in
            await site.introduce(DownlinkSite.secure, claimed: "q")
            #expect(try await site.get("ps/s/q/cmd/light", observe: 0).isObserved)
            try await site.publish("s/q/cmd/light", "1")
            let topic = try TopicName("s/q/cmd/light")
            let device = try DeviceID("q")
            await site.look { core, _ in
                let id = CommandSessionID(ByteBuffer(string: "one"), isRetained: true, isProven: true, source: nil)
                _ = core.commandDesk.offer(id, for: topic, of: device)
            }
            var message: CoAPMessage?
            try await eventually {
                await site.look { core, _ in core.pumpCommands() }
                message = await site.take().last
                return message != nil
            }
            await site.answer(try #require(message))
            #expect(await site.postAtOnce("q", sessionID: "two", isProven: true) == .some(nil))
        }
    }
}
