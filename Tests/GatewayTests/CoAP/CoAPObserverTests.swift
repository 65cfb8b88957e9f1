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

@Suite("Observing topics over CoAP", .timeLimit(.minutes(5)))
struct CoAPObserverTests {
    private static let node = DownlinkSite.secure

    private func run(
        _ limits: String = "",
        server: CoAPServerConfiguration = CoAPServerConfiguration(),
        _ body: (DownlinkSite) async throws -> Void
    ) async throws {
        let configuration = limits + "\n" + CoAPReaderTests.configuration
        try await DownlinkSite.run(configuration, devices: CoAPReaderTests.devices(), server: server) { site in
            await site.introduce(Self.node, device: "k")
            try await body(site)
        }
    }

    /// Registers, and expects nothing to be there yet.
    private func observe(_ topic: String, at site: DownlinkSite, from peer: CoAPPeer = node) async throws {
        let first = try await site.get("ps/" + topic, from: peer, observe: 0)
        #expect(first.code == .content && first.isObserved && first.payload.readableBytes == 0)
    }

    @Test("an observer gets an empty payload at first, then what comes: confirmable at QoS 1, not at QoS 0")
    func delivery() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            try await site.publish("nodes/k/cmd", "one")
            let first = try #require(await site.take().first)
            #expect(first.type == .confirmable && first.text == "one" && first.isObserved && first.code == .content)
            #expect(first.bytes(.eTag) == nil)
            try await site.publish("nodes/k/cmd", "two")
            #expect(await site.take().isEmpty, "one is under way")
            let second = try #require(await site.answer(first).first)
            #expect(second.type == .confirmable && second.text == "two")
            #expect(await site.answer(second).isEmpty)
            await site.pass(.seconds(60))
            try await site.publish("nodes/k/cmd", "passing", qos: .atMostOnce)
            #expect(await site.take().map(\.text) == ["passing"])
            try await site.publish("nodes/m/cmd", "not for it")
            #expect(await site.take().isEmpty)
        }
    }

    @Test("a hundred commands arrive, all and in order, however many acknowledgements are lost")
    func lossy() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            for number in 0..<100 {
                try await site.publish("nodes/k/cmd", "\(number)")
                if number % 7 == 0 { try await site.publish("nodes/k/cmd", "passing", qos: .atMostOnce) }
            }
            let (taken, copies) = await site.look { _, link -> ([String], Int) in
                var generator = SeededGenerator(seed: 5)
                var seen: [UInt16: Int] = [:]
                var taken: [String] = []
                var copies = 0
                for _ in 0..<10_000 where taken.count < 100 {
                    for message in link.take(Self.node) where message.type == .confirmable {
                        let copy = seen[message.messageID, default: 0] + 1
                        seen[message.messageID] = copy
                        if copy > 1 {
                            copies += 1
                        } else if message.text != "passing" {
                            taken.append(message.text)
                        }
                        // Four in ten are lost, as long as there are tries left.
                        guard copy == 4 || UInt8.random(in: 0...9, using: &generator) > 3 else { continue }
                        link.receive(.empty(.acknowledgement, messageID: message.messageID), from: Self.node)
                    }
                    link.passToDeadline()
                }
                return (taken, copies)
            }
            #expect(taken == (0..<100).map(String.init))
            #expect(copies > 10)
            #expect(await site.look { $1.ended }.isEmpty)
        }
    }

    @Test("who registers anew under the same token loses nothing that is under way")
    func again() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            for number in 1...3 { try await site.publish("nodes/k/cmd", "\(number)") }
            #expect(await site.take().map(\.text) == ["1"])
            try await self.observe("nodes/k/cmd", at: site)
            #expect(await site.sessionCount == 1)
            var taken: [String] = []
            var next = await site.take().last
            while let message = next {
                taken.append(message.text)
                next = await site.answer(message).last
            }
            #expect(taken == ["1", "2", "3"])
            #expect(await site.look { $1.ended } == [.replaced])
            // Another token, or another topic, is another observation.
            try await self.observe("nodes/k/other", at: site)
            #expect(await site.sessionCount == 1)
            let other = try await site.get("ps/nodes/k/cmd", token: "u", observe: 0)
            #expect(other.isObserved)
            #expect(await site.sessionCount == 2)
        }
    }

    @Test("a node that restarted and observes under another token gets what the old observation did not deliver")
    func restartedNode() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            for number in 1...2 { try await site.publish("nodes/k/cmd", "\(number)") }
            let first = try #require(await site.take().last)
            #expect(try await site.get("ps/nodes/k/cmd", token: "new", observe: 0).isObserved)
            var taken: [String] = []
            var next = await site.answer(first, .reset).last
            while let message = next {
                taken.append(message.text)
                next = await site.answer(message).last
            }
            #expect(taken == ["1", "2"])
        }
    }

    @Test("its session ends with it, for whatever reason")
    func ends() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            #expect(await site.sessionCount == 1)
            try await site.get("ps/nodes/k/cmd", observe: 1)
            #expect(await site.sessionCount == 0)
            try await self.observe("nodes/k/cmd", at: site)
            try await site.publish("nodes/k/cmd", "1")
            await site.answer(try #require(await site.take().first), .reset)
            #expect(await site.sessionCount == 0)
            try await self.observe("nodes/k/cmd", at: site)
            try await site.publish("nodes/k/cmd", "1")
            await site.pass(.seconds(120))
            #expect(await site.sessionCount == 0)
            #expect(await site.look { $1.ended } == [.deregistered, .rejected, .unreachable])
            #expect(await site.look { core, link in core.observersOf.isEmpty && link.reader.observerCount == 0 })
        }
    }

    @Test("a revoked or re-keyed device is told 4.01, and hears no more")
    func revoked() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            await site.introduce(DownlinkSite.other, claimed: "m")
            try await self.observe("nodes/m/cmd", at: site, from: DownlinkSite.other)
            await site.change(ending: ["k", "m"]) { devices in
                for index in devices.indices where devices[index].id.text == "k" { devices[index].isRevoked = true }
                for index in devices.indices where devices[index].id.text == "m" { devices[index].epoch += 1 }
            }
            for peer in [Self.node, DownlinkSite.other] {
                let last = try #require(await site.take(peer).last)
                #expect(last.code == .unauthorized && !last.isObserved)
                await site.answer(last, from: peer)
            }
            #expect(await site.sessionCount == 0)
            try await site.publish("nodes/k/cmd", "1")
            #expect(await site.take().isEmpty)
        }
    }

    @Test("what waits is asked about when it goes out")
    func policyChanges() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            try await site.publish("nodes/k/cmd", "1")
            try await site.publish("nodes/k/cmd", "2")
            let first = try #require(await site.take().first)
            await site.look { core, _ in
                var profiles = core.registry.profiles
                for index in profiles.indices where profiles[index].name == "sensor" { profiles[index].subscribe = [] }
                _ = core.registry.replace(devices: core.registry.devices, profiles: profiles)
            }
            #expect(await site.answer(first).isEmpty)
            // Nor is it told again of what it may not have.
            await site.pass(.hours(2))
            #expect(await site.take().allSatisfy { $0.payload.readableBytes == 0 })
        }
    }

    @Test("a command whose time is over while it waits is not sent")
    func expiry() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            try await site.publish("nodes/k/cmd", "1")
            try await site.publish("nodes/k/cmd", "2", expiry: .now())
            try await site.publish("nodes/k/cmd", "3", expiry: .now() + .hours(1))
            let next = await site.answer(try #require(await site.take().first))
            #expect(next.map(\.text) == ["3"])
            #expect(next.first?.number(.maxAge) ?? 0 > 3000)
        }
    }

    @Test("the queue of an observer that acknowledges nothing has its limit")
    func queue() async throws {
        try await self.run("[limits]\nmax_queued_messages = 5") { site in
            try await self.observe("nodes/k/cmd", at: site)
            for number in 0..<20 { try await site.publish("nodes/k/cmd", "\(number)") }
            var taken: [String] = []
            var next = await site.take().last
            while let message = next {
                taken.append(message.text)
                next = await site.answer(message).last
            }
            #expect(taken == ["0", "1", "2", "3", "4", "5"])
            #expect(await site.counters.deliveriesDropped == 14)
            #expect(await site.counters.limits[.queue] == 14)
        }
    }

    @Test("without room for a session observing is a plain GET")
    func full() async throws {
        try await self.run("[limits]\nmax_sessions = 2") { site in
            try await site.publish("nodes/k/a", "1", retain: true, by: "k")
            for token in ["a", "b"] {
                #expect(try await site.get("ps/nodes/k/a", token: token, observe: 0).isObserved)
            }
            let third = try await site.get("ps/nodes/k/a", token: "c", observe: 0)
            #expect(third.code == .content && third.text == "1" && !third.isObserved)
            #expect(try await site.get("ps/nodes/k/b", token: "c", observe: 0).code == .notFound)
            #expect(await site.counters.limits[.sessions] == 2)
            #expect(await site.look { $1.server.observationCount } == 2)
        }
    }

    @Test("made-up addresses take a part of the places only, and the newest have them")
    func madeUp() async throws {
        try await self.run("[limits]\nmax_sessions = 64") { site in
            var taken = 0
            for number in 0..<40 as Range<UInt32> {
                let peer = CoAPPeer(ipv4: number, port: 1)
                if try await site.get("ps/nodes/m/a", from: peer, observe: 0).isObserved { taken += 1 }
            }
            #expect(taken == 40)
            #expect(await site.sessionCount == 8)
            // One that has acknowledged something is no made-up one.
            let peer = CoAPPeer(ipv4: 35, port: 1)
            await site.introduce(peer)
            await site.pass(.seconds(10))
            try await site.publish("nodes/m/a", "1")
            await site.answer(try #require(await site.take(peer).last), from: peer)
            for number in 50..<90 as Range<UInt32> {
                let peer = CoAPPeer(ipv4: number, port: 1)
                #expect(try await site.get("ps/nodes/m/a", from: peer, observe: 0).isObserved)
            }
            #expect(await site.sessionCount == 9)
            await site.pass(.seconds(200))
            #expect(await site.sessionCount == 1)
        }
    }

    @Test("without room at the endpoint, too, nothing is left behind")
    func fullEndpoint() async throws {
        var server = CoAPServerConfiguration()
        server.maxObservations = 1
        try await self.run(server: server) { site in
            try await self.observe("nodes/k/a", at: site)
            let second = try await site.get("ps/nodes/k/b", token: "u", observe: 0)
            #expect(second.code == .content && !second.isObserved)
            #expect(await site.sessionCount == 1)
        }
    }

    @Test("a large command counts as delivered when its last block was fetched, and the rest comes from it")
    func large() async throws {
        try await self.run { site in
            try await self.observe("nodes/k/cmd", at: site)
            let large = String((0..<2500).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
            try await site.publish("nodes/k/cmd", large)
            try await site.publish("nodes/k/cmd", "next")
            let first = try #require(await site.take().first)
            #expect(await site.answer(first).isEmpty)
            // Not to be read in clear by whoever has the address: another context has no such value.
            let second = try await site.get("ps/nodes/k/cmd", token: "b", [(.block2, [0x16])])
            let third = try await site.get("ps/nodes/k/cmd", token: "b", [(.block2, [0x26])])
            #expect(first.text + second.text + third.text == large)
            #expect(second.bytes(.eTag) == first.bytes(.eTag) && first.bytes(.eTag) != nil)
            #expect(await site.take().map(\.text) == ["next"])
            #expect(try await site.get("ps/nodes/k/cmd", token: "b", [(.block2, [0x26])]).code == .notFound)
        }
    }

    @Test("an observer that is asked whether it is there gets the present value, unless a command asks it already")
    func asked() async throws {
        try await self.run { site in
            try await site.publish("nodes/k/set", "21", retain: true)
            let first = try await site.get("ps/nodes/k/set", observe: 0)
            #expect(first.text == "21" && first.isObserved)
            #expect(await site.take().isEmpty, "it has the retained message already")
            await site.pass(.minutes(61))
            let asked = try #require(await site.take().first)
            #expect(asked.type == .confirmable && asked.text == "21")
            await site.answer(asked)
            try await site.publish("nodes/k/set", "22", retain: true)
            let command = try #require(await site.take().first)
            await site.look { _, link in for id in link.observations { link.reader.observationDue(id, on: link) } }
            let next = await site.answer(command)
            #expect(command.text == "22" && next.isEmpty)
        }
    }

    @Test("a format that was asked for stays; a message without it is the last word")
    func format() async throws {
        try await self.run { site in
            let first = try await site.get("ps/nodes/k/a", observe: 0, [(.accept, [50])])
            #expect(first.isObserved && first.number(.contentFormat) == 50)
            try await site.publish("nodes/k/a", "{}", contentType: "application/json")
            let second = try #require(await site.take().first)
            #expect(second.number(.contentFormat) == 50)
            await site.answer(second)
            try await site.publish("nodes/k/a", "x", contentType: "text/plain")
            let last = try #require(await site.take().first)
            #expect(last.code == .notAcceptable && !last.isObserved)
            await site.answer(last)
            #expect(await site.sessionCount == 0)
            // Without Accept no format is told, whatever a message says.
            try await site.publish("nodes/k/a", "{}", retain: true, by: "k", contentType: "application/json")
            let plain = try await site.get("ps/nodes/k/a", observe: 0)
            #expect(plain.text == "{}" && plain.number(.contentFormat) == nil)
        }
    }

    @Test("a node that is told by the name it gives hears as that node")
    func claimed() async throws {
        try await self.run { site in
            await site.introduce(DownlinkSite.other, claimed: "n")
            try await self.observe("rooms/a", at: site, from: DownlinkSite.other)
            try await site.publish("rooms/a", "1")
            #expect(await site.take(DownlinkSite.other).map(\.text) == ["1"])
            #expect(await site.look { core, _ in core.observersOf.isEmpty }, "nothing is proven")
        }
    }
}
