import Foundation
import TestSupport
import Testing

/// Floods of handshakes, nodes that come back, and clocks that jump.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPFloodTests {
    private static let key = "a key of a node!"
    private static let suite = DTLSPeer.Program.mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8")
    private static let post = "44021a1c 6e6f6465 b2 7073 05 6e6f646573 04 68616c6c 04 64617461 ff 31"
    private static let time = "44011a1b 6e6f6465 b4 74696d65"

    private func site(environment: [String: String] = [:]) async throws -> CoAPSite {
        var configuration = CoAPSite.Configuration()
        configuration.devices += SiteDevices.keyed("hall", key: Array(Self.key.utf8))
        configuration.isTalkative = false
        return try await CoAPSite.start(configuration, environment: environment)
    }

    private func peer(_ site: CoAPSite, own: UInt16 = 0, vanishes: Bool = false) async throws -> DTLSPeer {
        let port = try site.securePort
        let peer = try await DTLSPeer(
            Self.suite,
            port: port,
            identity: "hall",
            key: Self.key,
            own: own,
            vanishes: vanishes
        )
        try await peer.ready()
        return peer
    }

    /// Kilobytes that a process has in memory.
    private func resident(_ gateway: GatewayProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(gateway.pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    private func random(_ number: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(number))
        return (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// One hello from an address of its own; what comes back.
    private func spoof(_ number: Int, _ port: Int, cookie: [UInt8] = [], session: [UInt8] = []) throws -> [UInt8]? {
        let host = 0x7F01_0001 + UInt32(number)
        let socket = try UDPSocket(to: port, host: host)
        try socket.send(ClientHello.record(random: self.random(number), cookie: cookie, session: session))
        return try socket.receive()
    }

    /// Both hellos of a handshake, the second with the cookie.
    private func begin(_ socket: UDPSocket, _ random: [UInt8]) throws {
        try socket.send(ClientHello.record(random: random))
        let answer = try socket.receive()
        let cookie = try #require(answer.flatMap(ClientHello.cookie), "\(answer.map(hexText) ?? "-")")
        try socket.send(ClientHello.record(random: random, cookie: cookie))
    }

    @Test("5,000 hellos from as many addresses take no memory, with cookies of others, and a session to resume, too")
    func spoofedHellos() async throws {
        let site = try await self.site()
        let port = try site.securePort
        let peer = try await self.peer(site)
        try await peer.exchange(Self.post, for: "64441a1c6e6f6465")
        var cookie: [UInt8] = []
        // The first ones are for what is made once.
        for number in 0..<500 {
            let answer = try #require(try self.spoof(number, port))
            let own = try #require(ClientHello.cookie(in: answer))
            #expect(answer.count <= ClientHello.record(random: self.random(0)).count)
            cookie = own
        }
        let before = try self.resident(site.gateway)
        var served = 0
        for number in 500..<5500 {
            let answer =
                switch number % 3 {
                case 0: try self.spoof(number, port)
                case 1: try self.spoof(number, port, cookie: cookie)
                // Who asks to resume has to show where he is too (Californium CVE-2022-2576).
                default: try self.spoof(number, port, session: Array(repeating: 7, count: 32))
                }
            if answer.flatMap(ClientHello.cookie) == nil { Issue.record("\(number): \(answer.map(hexText) ?? "-")") }
            if number.isMultiple(of: 500) {
                let id = String(0x2000 + served, radix: 16)
                try await peer.exchange("4401\(id) 6e6f6465 b4 74696d65", for: "6445\(id)6e6f6465")
                served += 1
            }
        }
        let after = try self.resident(site.gateway)
        #expect(after - before < 1024, "\(before) to \(after) kB")
        // Another one gets in.
        let next = try await self.peer(site)
        try await next.exchange(Self.time, for: "64451a1b6e6f6465")
    }

    @Test(
        "addresses that answer the cookie and then nothing don't keep a node out for ever (Californium CVE-2022-39368)"
    )
    func halfOpen() async throws {
        let site = try await self.site()
        let port = try site.securePort
        var sockets: [UDPSocket] = []
        for number in 0..<600 {
            let socket = try UDPSocket(to: port, host: 0x7F02_0001 + UInt32(number))
            try self.begin(socket, self.random(number))
            sockets.append(socket)
        }
        let node = try await self.peer(site)
        try await node.exchange(Self.time, for: "64451a1b6e6f6465")
        try site.serves()
        withExtendedLifetime(sockets) {}
    }

    @Test("a node that starts anew a hundred times on one port gets in each time")
    func reboots() async throws {
        let site = try await self.site()
        let own = try UDPSocket.freePort()
        for _ in 0..<100 {
            let node = try await self.peer(site, own: own, vanishes: true)
            try await node.exchange(Self.post, for: "64441a1c6e6f6465")
            try await node.leave()
        }
        #expect(try await site.outside.messages(100).count == 100)
    }

    @Test("a forger at a node's address, who sends new hellos and its old ones with their cookie, ends nothing")
    func forgedHellos() async throws {
        let site = try await self.site()
        let relay = try DatagramRelay(to: try site.securePort, isRecording: true)
        let node = try await DTLSPeer(Self.suite, port: relay.port, identity: "hall", key: Self.key)
        try await node.ready()
        let handshake = relay.passed.filter(\.isToServer).map(\.bytes)
        for number in 0..<40 {
            relay.inject(handshake[number % handshake.count])
            relay.inject(ClientHello.record(random: self.random(number)))
            let id = String(0x3000 + number, radix: 16)
            try await node.exchange("4401\(id) 6e6f6465 b4 74696d65", for: "6445\(id)6e6f6465")
        }
    }

    @Test("one that begins anew while its handshake is under way gets in")
    func rebootsHalfOpen() async throws {
        let site = try await self.site()
        let port = try site.securePort
        let own = try UDPSocket.freePort()
        do {
            let socket = try UDPSocket(to: port, port: own)
            try self.begin(socket, self.random(1))
            #expect(try socket.receive() != nil)
        }
        let node = try await self.peer(site, own: own)
        try await node.exchange(Self.post, for: "64441a1c6e6f6465")
    }

    @Test("a clock that jumps an hour stalls no handshake: a flight that was lost is sent again", arguments: [-1, 1])
    func clockJumps(hours: Int) async throws {
        let now = Date().addingTimeInterval(hours < 0 ? 3600 : -3600)
        let formatter = DateFormatter()
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.locale = Locale(identifier: "en_US_POSIX")
        let clock = try FakeClock(formatter.string(from: now))
        let site = try await self.site(environment: clock.environment)
        let node = try UDPSocket(to: try site.securePort)
        try self.begin(node, self.random(1))
        // ServerHello, which the node does not get.
        #expect(try node.receive()?.first == 22)
        while node.receiveNow() != nil {}
        try clock.set()
        // Again after a second, and after two more.
        #expect(try node.receive()?.first == 22)
        while try node.receive(within: .milliseconds(200)) != nil {}
        #expect(try node.receive()?.first == 22)
        let peer = try await self.peer(site)
        try await peer.exchange(Self.post, for: "64441a1c6e6f6465")
        try await site.outside.message(payload: "1")
        withExtendedLifetime(clock) {}
    }
}
