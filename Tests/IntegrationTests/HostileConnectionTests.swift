import Foundation
import TestSupport
import Testing

/// What takes the gateway's time, memory and places, against a running gateway: it is bounded, and others are served on.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct HostileConnectionTests {
    /// Resident memory of the process in KiB.
    private func memory(of gateway: GatewayProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(gateway.pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(line.split(separator: " ").dropLast().last.flatMap { Int($0) })
    }

    /// Processor time of the process in hundredths of a second.
    private func processorTime(of gateway: GatewayProcess) throws -> Int {
        let stat = try String(contentsOfFile: "/proc/\(gateway.pid)/stat", encoding: .utf8)
        let fields = try #require(stat.split(separator: ")").last).split(separator: " ")
        return try #require(Int(fields[11])) + (try #require(Int(fields[12])))
    }

    /// A new client connects, publishes to itself and goes.
    private func expectServed(_ port: Int) throws {
        let canary = try MQTTPeer(port: port, .init(id: "canary"))
        try canary.subscribe("canary", qos: 1)
        try canary.publish("canary", "sings", qos: 1, id: 1)
        var types: Set<UInt8> = []
        while types != [3, 4] { types.insert(try canary.next().first >> 4) }
        try canary.disconnect()
    }

    @Test(
        "300 silent connections, and some that send a byte of CONNECT now and then, go at the deadline; others are served"
    )
    func silent() async throws {
        let gateway = try await OpenSite.home(OpenSite.text(limits: ["connect_timeout = \"4s\""])).start()
        let port = try gateway.port()
        let start = ContinuousClock.now
        var open = try (0..<300).map { _ in try RawMQTTClient(port: port) }
        let bytes = MQTTPeer.connect(.init(id: "slow"))
        var slow = try (0..<10).map { _ in try RawMQTTClient(port: port) }
        var sent = 0
        while !open.isEmpty || !slow.isEmpty {
            try #require(ContinuousClock.now - start < .patience, "\(open.count) and \(slow.count) are still open")
            try self.expectServed(port)
            // Nothing comes on these but their end.
            open.removeAll { $0.canReceive(within: .zero) }
            slow.removeAll { $0.canReceive(within: .zero) }
            if sent < bytes.count - 1, ContinuousClock.now - start > .milliseconds(sent * 500) {
                for client in slow { try? client.send([bytes[sent]]) }
                sent += 1
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(ContinuousClock.now - start >= .seconds(3))
        try self.expectServed(port)
    }

    @Test("a client that sends CONNECT a byte at a time is let in, if it is done in time")
    func byteByByte() async throws {
        let gateway = try await OpenSite.home(OpenSite.text(limits: ["connect_timeout = \"30s\""])).start()
        let client = try RawMQTTClient(port: try gateway.port())
        for byte in MQTTPeer.connect(.init(id: "slow", level: 4)) {
            try client.send([byte])
            try await Task.sleep(for: .milliseconds(5))
        }
        try client.expect("20 02 00 00")
    }

    @Test("a keep alive of a second and silence: cut after one and a half")
    func keepAlive() async throws {
        let gateway = try await OpenSite.home().start()
        for level in [4, 5] as [UInt8] {
            let start = ContinuousClock.now
            try MQTTPeer(port: try gateway.port(), .init(id: "silent", level: level, keepAlive: 1)).expectEnd()
            let time = ContinuousClock.now - start
            #expect(time >= .milliseconds(1_500), "\(time)")
        }
    }

    @Test(
        "keep alive 0 or huge holds no place for ever (CVE-2020-13849): the longest that is granted is told, and kept",
        arguments: [0, 65_535] as [UInt16]
    )
    func keepAliveLimit(asked: UInt16) async throws {
        let gateway = try await OpenSite.home(OpenSite.text(limits: ["max_keep_alive = \"1s\""])).start()
        let new = try MQTTPeer(port: try gateway.port(), .init(id: "new", keepAlive: asked))
        #expect(new.connack.indices.contains { new.connack[$0...].starts(with: [0x13, 0, 1]) })
        let old = try MQTTPeer(port: try gateway.port(), .init(id: "old", level: 4, keepAlive: asked))
        try new.expectEnd()
        try old.expectEnd()
    }

    @Test("300 connects with one client id: the last one wins, the others are told, and nothing of them is left")
    func takeovers() async throws {
        let gateway = try await OpenSite.home(OpenSite.text(guest: [], extra: Self.watcher), devices: ["watcher"])
            .start()
        let port = try gateway.port()
        let peers = try (0..<300).map { number in
            let peer = try MQTTPeer(port: port, .init(id: "same", level: number.isMultiple(of: 2) ? 5 : 4))
            try peer.subscribe("a/\(number)")
            return peer
        }
        for (number, peer) in peers.dropLast().enumerated() {
            if number.isMultiple(of: 2) {
                let packet = try peer.next()
                #expect(packet.first == 0xE0 && packet.body.first == 0x8E)
            }
            try peer.raw.expectClose()
        }
        try peers.last?.expectNothing()
        try self.expectServed(port)
        // The last one's, and the watcher's own.
        #expect(try self.subscriptionCount(port) == 2)
    }

    /// A device that may read `$SYS`.
    private static let watcher = """
        [profile.watcher]
        subscribe = ["$SYS/#"]
        """

    /// What `$SYS` says, the watcher's own subscription among them.
    private func subscriptionCount(_ port: Int) throws -> Int {
        let watcher = try MQTTPeer(port: port, .device("watcher"))
        #expect(try watcher.subscribe("$SYS/broker/subscriptions/count", qos: 0) == [0])
        return try #require(Int(try watcher.message().payload))
    }

    @Test("odd orders of CONNECT, SUBSCRIBE, UNSUBSCRIBE, PUBLISH and DISCONNECT leave no subscription (CVE-2024-8376)")
    func oddOrders() async throws {
        let gateway = try await OpenSite.home(OpenSite.text(extra: Self.watcher), devices: ["watcher"]).start()
        let port = try gateway.port()
        let stay = try MQTTPeer(port: port, .init(id: "stay"))
        try stay.subscribe("a", "$share/g/a", "+/b")
        let before = try self.subscriptionCount(port)
        var random = SeededGenerator(seed: 8_376)
        let filters = ["a", "a/#", "$share/g/a", "$share/g/#", "$share/h/a", "+/b", "#", "$share/g/+/b", "nothing"]
        for round in 0..<150 {
            let opening = MQTTPeer.Opening(id: "odd\(Int.random(in: 0..<5, using: &random))")
            let peer = try MQTTPeer(port: port, opening)
            var bytes: [UInt8] = []
            for step in 1...Int.random(in: 1...20, using: &random) {
                let id = MQTTPeer.number(UInt16(step))
                let filter = MQTTPeer.string(filters[Int.random(in: 0..<filters.count, using: &random)])
                switch Int.random(in: 0..<16, using: &random) {
                case 0..<6: bytes += MQTTPeer.packet(0x82, id + [0] + filter + [2])
                case 6..<10: bytes += MQTTPeer.packet(0xA2, id + [0] + filter)
                case 10..<14: bytes += peer.publishBytes(["a", "a/b", "c"][step % 3], "\(round)", id: UInt16(step))
                case 14: bytes += [0xE0, 0]
                default: bytes += MQTTPeer.connect(opening)
                }
            }
            try? peer.raw.send(bytes)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: try? peer.raw.send([0xE0, 0])
            case 1: try? peer.raw.send(MQTTPeer.packet(0xA2, [0, 1, 0] + MQTTPeer.string("$share/g/a") + [0]))
            default: break
            }
        }
        try await eventually { try self.subscriptionCount(port) == before }
        try stay.raw.send(MQTTPeer.packet(0xA2, [0, 1, 0] + MQTTPeer.string("$share/g/a")))
        while try stay.next().first != 0xB0 {}
        #expect(try self.subscriptionCount(port) == before - 1)
        try self.expectServed(port)
    }

    @Test("subscribers that stop reading while 40 MB are published cost a bounded amount, and the publisher nothing")
    func stoppedReading() async throws {
        let gateway = try await OpenSite.home().start()
        let port = try gateway.port()
        let readers = try (0..<4).map { number in
            let reader = try MQTTPeer(port: port, number == 3 ? .kept("reader3") : .init(id: "reader\(number)"))
            try reader.subscribe("flood/#", qos: UInt8(min(number, 2)))
            return reader
        }
        let publisher = try MQTTPeer(port: port, .init(id: "publisher"))
        try publisher.publishSafely("other", "warm")
        let before = try self.memory(of: gateway)
        let payload = String(repeating: "x", count: 100_000)
        for number in 0..<400 {
            // Half of it at QoS 0.
            if number.isMultiple(of: 2) {
                try publisher.publish("flood/x", payload, id: nil)
            } else {
                try publisher.publishSafely("flood/x", payload, id: UInt16(number))
            }
            if number % 100 == 50 { try self.expectServed(port) }
        }
        let grown = try self.memory(of: gateway) - before
        #expect(grown < 32 * 1024, "\(grown) KiB")
        try self.expectServed(port)
        withExtendedLifetime(readers) {}
    }

    @Test("a client that asks and never reads is stopped, costs a bounded amount, and is alone in its trouble")
    func neverReads() async throws {
        let text = OpenSite.text(limits: ["max_queued_bytes = \"64KiB\""])
        let gateway = try await OpenSite.home(text).start()
        let port = try gateway.port()
        try self.expectServed(port)
        let before = try self.memory(of: gateway)
        let client = try RawMQTTClient(port: port, limit: .seconds(2), receiveBuffer: 4_096)
        try client.send(MQTTPeer.connect(.init(id: "deaf", level: 4)))
        // PINGREQ, and PUBLISH with QoS 1.
        let asked: [UInt8] = [0xC0, 0, 0x32, 6, 0, 1, 0x78, 0, 1, 0x79]
        let bytes = Array([[UInt8]](repeating: asked, count: 8_192).joined())
        var sent = 0
        // Until the gateway reads no more, or has cut it off.
        while sent < 64 << 20, (try? client.send(bytes)) != nil { sent += bytes.count }
        #expect(sent < 64 << 20)
        // The gateway has not just been too slow, and does not go round in circles either.
        try await eventually {
            let time = try self.processorTime(of: gateway)
            try await Task.sleep(for: .seconds(1))
            return try self.processorTime(of: gateway) <= time + 1
        }
        try self.expectServed(port)
        let grown = try self.memory(of: gateway) - before
        #expect(grown < 8 * 1024, "\(grown) KiB")
    }

    @Test("20,000 retained topics: each device has its share, all together theirs; what is over it is told 0x97")
    func retained() async throws {
        let limits = ["max_retained = 6000", "max_retained_per_device = 4000"]
        let gateway = try await OpenSite.home(OpenSite.text(limits: limits), devices: ["pump", "lamp"]).start()
        let port = try gateway.port()
        let before = try self.memory(of: gateway)
        func retain(_ name: String, _ count: Int) throws -> (granted: Int, refused: Int) {
            let peer = try MQTTPeer(port: port, .device(name))
            var (granted, refused) = (0, 0)
            for first in stride(from: 0, to: count, by: 100) {
                var bytes: [UInt8] = []
                for number in first..<first + 100 {
                    let id = UInt16(number - first + 1)
                    bytes += peer.publishBytes("nodes/\(name)/t/\(number)", "x", id: id, retain: true)
                }
                try peer.raw.send(bytes)
                for _ in 0..<100 {
                    let answer = try peer.next()
                    #expect(answer.first == 0x40 && (answer.code < 0x80 || answer.code == 0x97))
                    if answer.code == 0x97 { refused += 1 } else { granted += 1 }
                }
            }
            return (granted, refused)
        }
        #expect(try retain("pump", 20_000) == (4_000, 16_000))
        #expect(try retain("lamp", 3_000) == (2_000, 1_000))
        let grown = try self.memory(of: gateway) - before
        #expect(grown < 26 * 1024, "\(grown) KiB")
        // What is there may be replaced, and what is cleared makes room.
        let pump = try MQTTPeer(port: port, .device("pump"))
        try pump.publishSafely("nodes/pump/t/1", "y", retain: true)
        try pump.publishSafely("nodes/pump/t/2", "", retain: true)
        try pump.publishSafely("nodes/pump/new", "y", retain: true)
        try self.expectServed(port)
    }

    @Test("5,000 filters: SUBACK with a code for each, and no more than the session may have")
    func filters() async throws {
        let gateway = try await OpenSite.home().start()
        let port = try gateway.port()
        for level in [4, 5] as [UInt8] {
            let peer = try MQTTPeer(port: port, .init(id: "many\(level)", level: level))
            var codes: [UInt8] = []
            for first in stride(from: 0, to: 5_000, by: 100) {
                let filters = (first..<first + 100).map { MQTTPeer.string("f/\($0)/+/#") + [1] }
                let body = [0, 1] + (level == 5 ? [0] : []) + filters.joined()
                try peer.raw.send(MQTTPeer.packet(0x82, body))
                let answer = try peer.next().body
                codes += answer.dropFirst(level == 5 ? 3 + Int(answer.dropFirst(2).first ?? 0) : 2)
            }
            #expect(codes == Array(repeating: 1, count: 100) + Array(repeating: level == 5 ? 0x97 : 0x80, count: 4_900))
            // All in one packet are more than one packet may have.
            let filters = (0..<5_000).map { MQTTPeer.string("f/\($0)") + [1] }.joined()
            try peer.raw.send(MQTTPeer.packet(0x82, [0, 1] + (level == 5 ? [0] : []) + filters))
            try peer.expectEnd()
        }
        try self.expectServed(port)
    }

    @Test(
        "with no file descriptors left connections go on, accept waits, a reload changes nothing, and then all is well"
    )
    func descriptors() async throws {
        let home = try await OpenSite.home()
        let gateway = try await home.start()
        let port = try gateway.port()
        let peer = try MQTTPeer(port: port, .init(id: "here"))
        let used = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(gateway.pid)/fd").count
        let limit = try await ChildProcess.run("prlimit", ["--pid", "\(gateway.pid)", "--nofile=\(used + 20)"])
        try #require(limit.exit == .status(0), "\(limit.all)")
        var flood = try (0..<100).map { _ in try RawMQTTClient(port: port) }
        try await gateway.logged("Too many open files")
        // Those who are here are served, and what needs a descriptor does not fail open.
        try home.configure(OpenSite.text().replacingOccurrences(of: "deny = [\"denied/#\"]", with: ""))
        let time = try self.processorTime(of: gateway)
        gateway.signal(SIGHUP)
        try await gateway.logged("the old configuration stays")
        for number in 1...20 {
            try peer.publish("denied/x", "\(number)", id: 1)
            let answer = try peer.next()
            #expect(answer.first == 0x40 && answer.code == 0x87)
            try await Task.sleep(for: .milliseconds(50))
        }
        let spent = try self.processorTime(of: gateway) - time
        #expect(spent < 25, "\(spent) hundredths of a second")
        flood = []
        // Accept waits a second after a failure.
        try await eventually { (try? MQTTPeer(port: port, .init(id: "again"))) != nil }
        try self.expectServed(port)
        gateway.signal(SIGHUP)
        try await gateway.logged("configuration reloaded")
        try peer.publishSafely("denied/x", "now")
        #expect(flood.isEmpty)
    }

    @Test(
        "what is claimed before CONNECT is whole costs little, however many claim it (CVE-2021-22116, -33175, -33176)"
    )
    func unfinishedConnects() async throws {
        let gateway = try await OpenSite.home().start()
        let port = try gateway.port()
        try self.expectServed(port)
        let before = try self.memory(of: gateway)
        // User properties up to 60 kB, and never the end.
        let property = [0x26] + MQTTPeer.string(String(repeating: "k", count: 500)) + MQTTPeer.string("v")
        let properties = Array(Array(repeating: property, count: 118).joined())
        let head = MQTTPeer.string("MQTT") + [5, 2, 0, 0, 0xC0, 0xD4, 0x03]
        let unfinished = Array(
            MQTTPeer.packet(0x10, head + properties + [UInt8](repeating: 0, count: 500)).dropLast(500)
        )
        let open = try (0..<300).map { _ in
            let client = try RawMQTTClient(port: port)
            try client.send(unfinished)
            return client
        }
        try self.expectServed(port)
        let grown = try self.memory(of: gateway) - before
        #expect(grown < 300 * 80, "\(grown) KiB")
        // And a header that claims 256 MB costs nothing at all.
        for client in open { try client.expectClose() }
        let after = try self.memory(of: gateway)
        for _ in 0..<300 {
            let client = try RawMQTTClient(port: port)
            try client.send("10 ffffff7f 0004 4d515454 05")
            try client.expectClose()
        }
        #expect(try self.memory(of: gateway) - after < 4 * 1024)
        try self.expectServed(port)
    }

    @Test(
        "a will with a property that it may not have is refused, a thousand times, and nothing is left of it (CVE-2023-3592)"
    )
    func willProperties() async throws {
        let gateway = try await OpenSite.home().start()
        let port = try gateway.port()
        let long = String(repeating: "w", count: 10_000)
        // A content type that is fine, then a Topic Alias.
        let content = [0x03] + MQTTPeer.string(long)
        let length: [UInt8] = [UInt8((content.count + 3) & 0x7F) | 0x80, UInt8((content.count + 3) >> 7)]
        let will = length + content + [0x23, 0, 1] + MQTTPeer.string("wills/x") + MQTTPeer.string(long)
        let head = MQTTPeer.string("MQTT") + [5, 0x06, 0, 0, 0]
        let packet = MQTTPeer.packet(0x10, head + MQTTPeer.string("id") + will)
        func refused(_ count: Int) throws {
            for _ in 0..<count {
                let client = try RawMQTTClient(port: port)
                try client.send(packet)
                let answer = try client.receivePacketBytes()
                #expect(answer?.dropFirst(3).first == 0x81, "\(hexText(answer ?? []))")
                try client.expectClose()
            }
        }
        try refused(200)
        let before = try self.memory(of: gateway)
        try refused(1_000)
        #expect(try self.memory(of: gateway) - before < 4 * 1024)
        try self.expectServed(port)
    }

    @Test("QoS 2 messages without PUBREL are bounded: 0x93 in 5.0, a close in 3.1.1 (CVE-2023-28366)")
    func qos2() async throws {
        let gateway = try await OpenSite.home().start()
        let port = try gateway.port()
        let new = try MQTTPeer(port: port, .init(id: "new"))
        let announced = try #require(new.connack.indices.first { new.connack[$0...].starts(with: [0x21, 0]) })
        let maximum = Int(new.connack[announced + 2])
        #expect(maximum <= 100)
        let old = try MQTTPeer(port: port, .init(id: "old", level: 4))
        for (peer, level) in [(new, 5), (old, 4)] {
            var bytes: [UInt8] = []
            for id in 1...UInt16(1_000) { bytes += peer.publishBytes("x", "y", qos: 2, id: id) }
            try? peer.raw.send(bytes)
            var recorded = 0
            var code: UInt8?
            while let packet = try peer.raw.receivePacketBytes() {
                if packet[0] == 0x50 { recorded += 1 }
                if packet[0] == 0xE0 { code = packet[2] }
            }
            #expect(recorded <= 2 * maximum && code == (level == 5 ? 0x93 : nil))
        }
        try self.expectServed(port)
    }
}
