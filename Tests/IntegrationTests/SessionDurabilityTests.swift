import TestSupport
import Testing

/// What a session was told survives SIGKILL: messages, subscriptions, and each step of QoS 2.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct SessionDurabilityTests {
    /// SIGKILL, and the next one in its directory.
    private func killed(_ gateway: GatewayProcess) async throws -> GatewayProcess {
        try await gateway.kill()
        return try await gateway.restart()
    }

    private func start() async throws -> GatewayProcess { try await OpenSite.home().start() }

    /// SIGTERM, upon which it writes down what it knows, and the next one in its directory.
    private func stopped(_ gateway: GatewayProcess) async throws -> GatewayProcess {
        #expect(try await gateway.stop() == .status(0))
        return try await gateway.restart()
    }

    /// So many messages, acknowledged to the end, and nothing more.
    private func drain(_ peer: MQTTPeer, _ count: Int) throws -> [MQTTPeer.Message] {
        let messages = try peer.takeMessages(count)
        try peer.expectNothing()
        return messages
    }

    @Test(
        "what was acknowledged for an absent subscriber is delivered after SIGKILL, in order, QoS 2 exactly once",
        arguments: [4, 5] as [UInt8]
    )
    func absent(level: UInt8) async throws {
        let first = try await self.start()
        let subscriber = try MQTTPeer(port: try first.port(), .kept("subscriber", level: level))
        try subscriber.subscribe("data/#")
        try subscriber.disconnect()
        let publisher = try MQTTPeer(port: try first.port(), .init(id: "publisher", level: level))
        for number in 1...200 {
            try publisher.publishSafely("data/x", "\(number)", qos: number.isMultiple(of: 2) ? 2 : 1)
        }
        let second = try await self.killed(first)
        let back = try MQTTPeer(port: try second.port(), .kept("subscriber", level: level))
        #expect(back.isPresent)
        let messages = try self.drain(back, 200)
        #expect(messages.map(\.payload) == (1...200).map(String.init))
        #expect(messages.enumerated().allSatisfy { $1.qos == ($0.isMultiple(of: 2) ? 1 : 2) && !$1.isDuplicate })
        // Nor is any of it there once more.
        let third = try await self.stopped(second)
        let again = try MQTTPeer(port: try third.port(), .kept("subscriber", level: level))
        #expect(again.isPresent)
        try again.expectNothing()
    }

    @Test(
        "what was acknowledged for a subscriber that acknowledges slowly, or never, comes again after SIGKILL, in order",
        arguments: [0, 7]
    )
    func slow(done: Int) async throws {
        let first = try await self.start()
        let subscriber = try MQTTPeer(port: try first.port(), .kept("subscriber"))
        try subscriber.subscribe("data/#")
        let publisher = try MQTTPeer(port: try first.port(), .init(id: "publisher"))
        for number in 1...60 {
            try publisher.publishSafely("data/x", "\(number)", qos: number.isMultiple(of: 2) ? 2 : 1)
        }
        // As many as it may have at once have been sent; the first few it brings to their end.
        var sent: [UInt16: String] = [:]
        var ids: [UInt16] = []
        for _ in 1...20 {
            let message = try subscriber.message()
            sent[message.id] = message.payload
            ids.append(message.id)
        }
        for (index, id) in ids.prefix(done).enumerated() {
            if index.isMultiple(of: 2) {
                try subscriber.send(.puback, id)
            } else {
                try subscriber.send(.pubrec, id)
                var packet = try subscriber.next()
                while packet.first != 0x62 { packet = try subscriber.next() }
                #expect(packet.id == id)
                try subscriber.send(.pubcomp, id)
            }
        }
        let second = try await self.killed(first)
        let back = try MQTTPeer(port: try second.port(), .kept("subscriber"))
        #expect(back.isPresent)
        // The last acknowledgements may not have been written down, and nobody was told that they were: QoS 1 may come
        // again, QoS 2 as PUBREL.
        var payloads: [Int] = []
        while payloads.last != 60 {
            let packet = try back.next()
            if packet.first == 0x62 {
                try back.send(.pubcomp, packet.id)
                continue
            }
            let message = try #require(back.message(packet))
            #expect(message.isDuplicate || sent[message.id] != message.payload)
            payloads.append(try #require(Int(message.payload)))
            if message.qos == 1 {
                try back.send(.puback, message.id)
            } else {
                #expect(!ids.prefix(done).contains(message.id) || sent[message.id] != message.payload)
                try back.send(.pubrec, message.id)
            }
        }
        #expect(payloads.suffix(60 - done) == Array((done + 1)...60)[...])
        #expect(payloads == payloads.sorted() && Set(payloads).count == payloads.count)
    }

    @Test(
        "twenty SIGKILLs under traffic, at QoS 2: each message exactly once; at QoS 1: none that was acknowledged is lost",
        arguments: [(2, 5), (2, 4), (1, 5)] as [(UInt8, UInt8)],
        [20_261_126] as [UInt64]
    )
    func random(kind: (qos: UInt8, level: UInt8), seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var traffic = KilledTraffic(qos: kind.qos, level: kind.level, total: 600, seed: seed)
        var gateway = try await self.start()
        for _ in 1...20 {
            try traffic.connect(port: try gateway.port())
            try traffic.run(packets: Int.random(in: 1...90, using: &random))
            gateway = try await self.killed(gateway)
        }
        try traffic.connect(port: try gateway.port())
        try traffic.run(packets: .max)
        let all = Array(1...600)
        if kind.qos == 2 {
            #expect(traffic.delivered == all)
        } else {
            var firsts: [Int] = []
            for number in traffic.delivered where number > firsts.last ?? 0 { firsts.append(number) }
            #expect(firsts == all)
        }
        // Nothing is left of it, once the gateway has read the last acknowledgement.
        try traffic.expectNothing()
        gateway = try await self.stopped(gateway)
        try traffic.connect(port: try gateway.port())
        try traffic.expectNothing()
    }

    @Test(
        "a subscription with SUBACK is there after SIGKILL, and one with UNSUBACK is not",
        arguments: [4, 5] as [UInt8]
    )
    func subscriptions(level: UInt8) async throws {
        let first = try await self.start()
        let subscriber = try MQTTPeer(port: try first.port(), .kept("subscriber", level: level))
        try subscriber.subscribe("kept/#", "gone/#")
        try subscriber.unsubscribe("gone/#")
        let second = try await self.killed(first)
        let publisher = try MQTTPeer(port: try second.port(), .init(id: "publisher", level: level))
        try publisher.publishSafely("gone/1", "no")
        try publisher.publishSafely("kept/1", "yes")
        let back = try MQTTPeer(port: try second.port(), .kept("subscriber", level: level))
        #expect(back.isPresent)
        #expect(try self.drain(back, 1).map(\.payload) == ["yes"])
        try back.unsubscribe("kept/#")
        let third = try await self.killed(second)
        let last = try MQTTPeer(port: try third.port(), .kept("subscriber", level: level))
        #expect(last.isPresent)
        let again = try MQTTPeer(port: try third.port(), .init(id: "publisher", level: level))
        try again.publishSafely("kept/1", "no")
        try last.expectNothing()
    }

    @Test("QoS 2 from a publisher goes on where it was, killed between any two steps", arguments: [4, 5] as [UInt8])
    func publishing(level: UInt8) async throws {
        var gateway = try await self.start()
        let absent = try MQTTPeer(port: try gateway.port(), .kept("subscriber", level: level))
        try absent.subscribe("data/#")
        try absent.disconnect()
        func publisher() throws -> MQTTPeer {
            try MQTTPeer(port: try gateway.port(), .kept("publisher", level: level))
        }
        // After PUBREC: the same PUBLISH is the same message.
        var peer = try publisher()
        try peer.publish("data/x", "one", qos: 2, id: 1)
        try peer.expect(.pubrec, 1)
        gateway = try await self.killed(gateway)
        peer = try publisher()
        #expect(peer.isPresent)
        try peer.publish("data/x", "one", qos: 2, id: 1, isDuplicate: true)
        try peer.expect(.pubrec, 1)
        // After PUBREL, whose PUBCOMP may not have left.
        try peer.send(.pubrel, 1)
        gateway = try await self.killed(gateway)
        peer = try publisher()
        try peer.send(.pubrel, 1)
        try peer.expect(.pubcomp, 1)
        // After PUBCOMP: the identifier stands for another message.
        gateway = try await self.killed(gateway)
        peer = try publisher()
        try peer.publish("data/x", "two", qos: 2, id: 1)
        try peer.expect(.pubrec, 1)
        try peer.send(.pubrel, 1)
        try peer.expect(.pubcomp, 1)
        gateway = try await self.killed(gateway)
        let back = try MQTTPeer(port: try gateway.port(), .kept("subscriber", level: level))
        #expect(try self.drain(back, 2).map(\.payload) == ["one", "two"])
    }

    @Test("QoS 2 to a subscriber goes on where it was, killed between any two steps", arguments: [4, 5] as [UInt8])
    func delivering(level: UInt8) async throws {
        var gateway = try await self.start()
        func subscriber() throws -> MQTTPeer {
            try MQTTPeer(port: try gateway.port(), .kept("subscriber", level: level))
        }
        var peer = try subscriber()
        try peer.subscribe("data/#")
        let publisher = try MQTTPeer(port: try gateway.port(), .init(id: "publisher", level: level))
        try publisher.publishSafely("data/x", "one", qos: 2)
        let sent = try peer.message()
        #expect(sent.payload == "one" && sent.qos == 2 && !sent.isDuplicate)
        // After PUBLISH: the same again, under its identifier.
        gateway = try await self.killed(gateway)
        peer = try subscriber()
        let again = try peer.message()
        #expect(again.payload == "one" && again.id == sent.id && again.isDuplicate)
        // After PUBREL: that again, and never the message.
        try peer.send(.pubrec, sent.id)
        try peer.expect(.pubrel, sent.id)
        gateway = try await self.killed(gateway)
        peer = try subscriber()
        try peer.expect(.pubrel, sent.id)
        try peer.send(.pubcomp, sent.id)
        try peer.expectNothing()
        // After PUBCOMP: nothing, or the PUBREL once more.
        gateway = try await self.killed(gateway)
        peer = try subscriber()
        try peer.raw.send("c0 00")
        var packet = try peer.next()
        if packet.first == 0x62 {
            try peer.send(.pubcomp, packet.id)
            packet = try peer.next()
        }
        #expect(packet.first == 0xD0)
    }

    @Test("a retained message survives SIGKILL with its properties, and ends at its own time")
    func retained() async throws {
        let first = try await self.start()
        let publisher = try MQTTPeer(port: try first.port(), .init(id: "publisher"))
        // Payload format, content type, response topic, correlation data, a user property twice.
        let properties =
            [0x01, 1, 0x03] + MQTTPeer.string("text/plain") + [0x08] + MQTTPeer.string("answers") + [0x09, 0, 2, 7, 8]
            + [0x26] + MQTTPeer.string("a") + MQTTPeer.string("1") + [0x26] + MQTTPeer.string("a")
            + MQTTPeer.string("2")
        let hour: [UInt8] = [0x02] + MQTTPeer.number(UInt32(3_600))
        let soon: [UInt8] = [0x02] + MQTTPeer.number(UInt32(2))
        try publisher.publishSafely("kept/hour", "long", retain: true, properties: hour + properties)
        try publisher.publishSafely("kept/soon", "short", retain: true, properties: soon)
        try publisher.publishSafely("kept/ever", "ever", qos: 2, retain: true, properties: properties)
        try publisher.publishSafely("kept/cleared", "no", retain: true)
        try publisher.publishSafely("kept/cleared", "", retain: true)
        let second = try await self.killed(first)
        // Longer than the short one has.
        try await Task.sleep(for: .seconds(3))
        let subscriber = try MQTTPeer(port: try second.port(), .init(id: "subscriber"))
        try subscriber.subscribe("kept/#")
        let found = try self.drain(subscriber, 2).sorted { $0.payload < $1.payload }
        #expect(found.map(\.payload) == ["ever", "long"] && found.allSatisfy(\.retain))
        #expect(found.map(\.qos) == [2, 1])
        #expect(found.first?.properties.sorted() == properties.sorted())
        let long = try #require(found.last?.properties)
        let position = try #require(long.indices.first { long[$0...].starts(with: [0x02, 0, 0, 0x0E]) })
        let left = UInt32(long[position + 3]) << 8 | UInt32(long[position + 4])
        #expect(left <= 3_598 && left > 3_500)
    }

    @Test("a will that waits, or whose client was there, is sent after SIGKILL, unless the client comes back")
    func wills() async throws {
        let first = try await self.start()
        let watcher = try MQTTPeer(port: try first.port(), .kept("watcher"))
        try watcher.subscribe("wills/#")
        func opening(_ name: String, delay: UInt32) -> MQTTPeer.Opening {
            var opening = MQTTPeer.Opening.kept(name)
            opening.will = .init(topic: "wills/\(name)", payload: name, delay: delay)
            return opening
        }
        // A will is there for sure once the session is: after SUBACK.
        func connect(_ name: String, delay: UInt32) throws -> MQTTPeer {
            let peer = try MQTTPeer(port: try first.port(), opening(name, delay: delay))
            try peer.subscribe("nothing")
            return peer
        }
        var waiting: MQTTPeer? = try connect("waiting", delay: 3)
        var returning: MQTTPeer? = try connect("returning", delay: 3)
        let here = try connect("here", delay: 1)
        let atOnce = try connect("at-once", delay: 0)
        let left = try connect("left", delay: 1)
        try left.disconnect()
        #expect(waiting != nil && returning != nil)
        waiting = nil
        returning = nil
        // The gateway has seen the three go, and written it down: what is acknowledged later is written later.
        _ = try await first.log.lines(count: 3) { $0.contains("connection closed") }
        let barrier = try MQTTPeer(port: try first.port(), .kept("barrier"))
        try barrier.subscribe("nothing")
        let second = try await self.killed(first)
        let back = try MQTTPeer(port: try second.port(), .kept("returning"))
        #expect(back.isPresent)
        let again = try MQTTPeer(port: try second.port(), .kept("watcher"))
        #expect(again.isPresent)
        let came = try again.takeMessages(3).map(\.payload)
        #expect(came.sorted() == ["at-once", "here", "waiting"])
        try back.expectNothing()
        try again.expectNothing()
        withExtendedLifetime((here, atOnce)) {}
    }

    @Test("the stored session of a device that was revoked is gone after a restart, with what waited in it")
    func revoked() async throws {
        let home = try await OpenSite.home(devices: ["pump", "lamp"])
        let first = try await home.start()
        for name in ["pump", "lamp"] {
            var opening = MQTTPeer.Opening.device(name)
            (opening.clean, opening.expiry) = (false, 3_600)
            let peer = try MQTTPeer(port: try first.port(), opening)
            #expect(try peer.subscribe("news/#") == [2])
            try peer.disconnect()
        }
        let guest = try MQTTPeer(port: try first.port(), .init(id: "guest"))
        try guest.publishSafely("news/1", "secret", qos: 2)
        try await first.kill()
        #expect(try await home.run(["device", "revoke", "pump"]).exit == .status(0))
        let second = try await home.start()
        var opening = MQTTPeer.Opening.device("pump")
        (opening.clean, opening.expiry) = (false, 3_600)
        #expect(try MQTTPeer(port: try second.port(), answerTo: opening).code == 0x86)
        #expect(try await home.run(["device", "restore", "pump"]).exit == .status(0))
        try await second.logged("devices changed")
        let pump = try MQTTPeer(port: try second.port(), opening)
        #expect(!pump.isPresent)
        try pump.expectNothing()
        opening = .device("lamp")
        (opening.clean, opening.expiry) = (false, 3_600)
        let lamp = try MQTTPeer(port: try second.port(), opening)
        #expect(lamp.isPresent)
        #expect(try self.drain(lamp, 1).map(\.payload) == ["secret"])
    }
}
