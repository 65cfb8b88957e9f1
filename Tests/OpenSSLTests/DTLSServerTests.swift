import NIOCore
import TestSupport
import Testing

@testable import OpenSSL

@Suite("DTLS server", .ownThread)
struct DTLSServerTests {
    @Test(
        "each suite: a handshake behind a cookie, and data both ways",
        arguments: [
            "ECDHE-PSK-CHACHA20-POLY1305", "PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305", "PSK-AES128-CCM",
            "PSK-AES128-CCM8",
        ]
    )
    func suites(suite: String) throws {
        let network = try DTLSNetwork()
        try network.connect(1, suites: suite + ":@SECLEVEL=0")
        #expect(network.established.map(\.identity) == ["node1"])
        #expect(network.client(1)?.suite == suite)
        #expect(network.server.counters.cookies == 1)
        #expect(network.server.halfOpenCount == 0)
        network.say("hello", from: 1)
        network.say("again", from: 1)
        #expect(network.heard == ["hello", "again"])
        let session = try #require(network.established.first?.session)
        #expect(network.send("to you", session: session))
        #expect(network.received[DTLSNetwork.address(1)] == ["to you"])
        #expect(!network.send("nobody", session: session + 1))
    }

    @Test("many peers, each with its identity")
    func peers() throws {
        let network = try DTLSNetwork()
        for port in 1...20 as ClosedRange<UInt16> { try network.connect(port, identity: "node\(port)") }
        for port in 1...20 as ClosedRange<UInt16> { network.say("\(port)", from: port) }
        #expect(network.established.map(\.identity) == (1...20).map { "node\($0)" })
        #expect(network.heard == (1...20).map { "\($0)" })
        #expect(network.server.sessionCount == 20)
    }

    @Test("nothing is kept of made-up addresses, and the answer is no larger than the question")
    func cookies() throws {
        let network = try DTLSNetwork()
        network.passes = { _ in false }
        try network.connect(1)
        let hello = try #require(network.fromClients.first?.bytes)
        for port in 1000..<6000 as Range<UInt16> {
            network.feed(hello, from: DTLSNetwork.address(port))
        }
        #expect(network.server.counters.cookies == 5000)
        #expect(network.server.halfOpenCount == 0 && network.server.sessionCount == 0)
        #expect(network.fromServer.allSatisfy { $0.bytes.readableBytes <= hello.readableBytes })
        #expect(network.server.nextDeadline == nil)
        network.passes = { _ in true }
        try network.connect(2)
        #expect(network.established.count == 1)
    }

    @Test("a cookie is good for the address that it was given to")
    func foreignCookie() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        let hello = try #require(network.fromClients.dropFirst().first?.bytes)
        network.feed(hello, from: DTLSNetwork.address(2))
        #expect(network.server.halfOpenCount == 0)
        #expect(network.server.counters.cookies == 2)
    }

    @Test("a wrong key and an unknown identity look alike from outside, and are told apart to the operator")
    func wrongKeys() throws {
        // Sizes, not their number: how often a flight is sent again depends on the time that the test takes.
        func attempt(_ identity: String, _ key: [UInt8]) throws -> (sizes: Set<Int>, told: [String]) {
            let network = try DTLSNetwork()
            try network.connect(1, identity: identity, key: key)
            network.pass(.seconds(31))
            #expect(network.established.isEmpty)
            #expect(network.server.halfOpenCount == 0)
            #expect(network.server.nextDeadline == nil)
            return (Set(network.fromServer.map { $0.bytes.readableBytes }), network.unfinished)
        }
        let wrong = try attempt("node9", Array(repeating: 8, count: 16))
        let unknown = try attempt("nobod", DTLSNetwork.key)
        #expect(wrong.told == ["node9 true"])
        #expect(unknown.told == ["nobod false"])
        #expect(wrong.sizes == unknown.sizes)
    }

    @Test("a wrong key is told of when Finished has come, in whatever datagrams, and nothing goes back")
    func wrongKeyAtOnce() throws {
        for (identity, key) in [("node9", Array(repeating: 8, count: 16)), ("nobod", DTLSNetwork.key)] {
            let network = try DTLSNetwork()
            var flight: [ByteBuffer] = []
            network.passes = { datagram in
                guard DTLSRecord.areWithFinished(datagram) else { return true }
                flight = Self.records(of: datagram)
                return false
            }
            try network.connect(1, identity: identity, key: key)
            #expect(flight.count == 3)
            let heard = network.fromServer.count
            for record in flight {
                #expect(network.unfinished.isEmpty)
                network.feed(record, from: DTLSNetwork.address(1))
            }
            #expect(network.unfinished == ["\(identity) \(identity == "node9")"])
            for record in flight { network.feed(record, from: DTLSNetwork.address(1)) }
            network.pass(.seconds(31))
            #expect(network.unfinished.count == 1 && network.server.counters.unfinished == 1)
            #expect(network.server.halfOpenCount == 0)
            // Its last flight, which it sends again.
            let later = Set(network.fromServer[heard...].map(\.bytes))
            #expect(later.isSubset(of: Set(network.fromServer[..<heard].map(\.bytes))))
        }
    }

    @Test("a right key is not told of as a wrong one when its Finished comes first, or twice")
    func rightKeyOutOfOrder() throws {
        let network = try DTLSNetwork()
        var flight: [ByteBuffer] = []
        network.passes = { datagram in
            guard DTLSRecord.areWithFinished(datagram), flight.isEmpty else { return true }
            flight = Self.records(of: datagram)
            return false
        }
        try network.connect(1)
        #expect(flight.count == 3)
        for record in [flight[2], flight[0], flight[1], flight[2]] {
            network.feed(record, from: DTLSNetwork.address(1))
            #expect(network.unfinished.isEmpty)
        }
        #expect(network.established.count == 1)
    }

    /// Each in a datagram of its own.
    private static func records(of datagram: ByteBuffer) -> [ByteBuffer] {
        var rest = datagram
        var records: [ByteBuffer] = []
        while let length = rest.getInteger(at: rest.readerIndex + 11, as: UInt16.self),
            let record = rest.readSlice(length: 13 + Int(length))
        {
            records.append(record)
        }
        return records
    }

    @Test("a node that restarts on its port gets in each time, and its old session goes only then (openssl 3283)")
    func restarts() throws {
        let network = try DTLSNetwork()
        for round in 1...100 {
            try network.connect(5683)
            network.say("\(round)", from: 5683)
        }
        #expect(network.established.count == 100)
        #expect(network.heard == (1...100).map { "\($0)" })
        #expect(network.ended == [DTLSEnd](repeating: .replaced, count: 99))
        #expect(network.server.sessionCount == 1 && network.server.halfOpenCount == 0)
    }

    @Test("an old ClientHello that somebody sends again takes nothing from the session, and is given up")
    func replayedHello() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        let old = network.fromClients.map(\.bytes)
        try network.connect(1)
        #expect(network.established.count == 2)
        for datagram in old { network.feed(datagram, from: DTLSNetwork.address(1)) }
        #expect(network.server.halfOpenCount == 1)
        for round in 1...40 { network.say("\(round)", from: 1) }
        #expect(network.heard.suffix(40) == (1...40).map { "\($0)" }[...])
        network.pass(.seconds(31))
        #expect(network.server.halfOpenCount == 0)
        network.say("still", from: 1)
        #expect(network.heard.last == "still")
        #expect(network.ended == [.replaced])
    }

    @Test("a node that restarts in the middle of a handshake begins anew")
    func restartHalfWay() throws {
        let network = try DTLSNetwork()
        var count = 0
        network.passes = { _ in
            count += 1
            return count <= 2  // Both hellos, and nothing after.
        }
        try network.connect(1)
        #expect(network.server.halfOpenCount == 1)
        network.passes = { _ in true }
        try network.connect(1)
        #expect(network.established.count == 1)
        #expect(network.server.halfOpenCount == 0)
    }

    @Test("datagrams twice, garbage and foreign ones change nothing")
    func noise() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        network.say("one", from: 1)
        let address = DTLSNetwork.address(1)
        for (datagram, _) in network.fromClients where DTLSRecord(datagram)?.clientRandom == nil {
            network.feed(datagram, from: address)
            network.feed(datagram, from: DTLSNetwork.address(9))
        }
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...80, using: &generator)).map { index in
                index == 0 ? UInt8.random(in: 18...26, using: &generator) : UInt8.random(in: 0...255, using: &generator)
            }
            network.feed(ByteBuffer(bytes: bytes), from: address)
        }
        network.feed(ByteBuffer(bytes: hexBytes("15fefd00000000000000010002022f")), from: address)
        network.say("two", from: 1)
        #expect(network.heard == ["one", "two"])
        #expect(network.ended.isEmpty)
        #expect(network.server.counters.strays > 0)
    }

    @Test(
        "a record in the clear that ends handshakes is passed over, also behind others, or inside one that is no record",
        arguments: [
            "15fefd0000000000000000000202 28", "15feff0000000000000000000202 28", "17fefd0000000000000000000202 28",
            "16feff000000000000000f000f 15fefd0000000000000000000202 28",
            "1600000000000000000000000f 15fefd0000000000000000000202 28",
        ]
    )
    func forgedAlerts(forgery: String) throws {
        for isJoined in [false, true] {
            let network = try DTLSNetwork()
            let forged = ByteBuffer(bytes: hexBytes(forgery))
            let address = DTLSNetwork.address(1)
            network.passes = { datagram in
                if DTLSRecord(datagram)?.clientRandom != nil { return true }
                // Instead of the client's own: alone, and before and behind it.
                network.passes = { _ in true }
                if !isJoined { network.feed(forged, from: address) }
                network.feed(isJoined ? datagram.with(forged) : datagram, from: address)
                return false
            }
            try network.connect(1)
            #expect(network.established.map(\.identity) == ["node1"])
            #expect(network.unfinished.isEmpty)
            network.feed(forged, from: address)
            network.say("here", from: 1)
            #expect(network.heard == ["here"] && network.ended.isEmpty)
        }
    }

    @Test("an alert in the clear is passed over when it comes first in a datagram, and what follows is read")
    func alertFirst() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        let client = try #require(network.client(1))
        let alert = ByteBuffer(bytes: hexBytes("15fefd00000000000000000002022f"))
        _ = client.write(ByteBuffer(string: "here"))
        let sealed = try #require(client.takeOutgoing().first)
        network.feed(alert.with(sealed).with(alert), from: DTLSNetwork.address(1))
        #expect(network.heard == ["here"])
        let strays = network.server.counters.strays
        network.feed(alert.with(alert), from: DTLSNetwork.address(1))
        #expect(network.server.counters.strays == strays + 1)
    }

    @Test("mutated hellos, with cookie and without, never trap, and others are served")
    func mutatedHellos() throws {
        let network = try DTLSNetwork { $0.maxHalfOpen = 10 }
        try network.connect(1)
        let hellos = network.fromClients.prefix(2).map { Array($0.bytes.readableBytesView) }
        var generator = SeededGenerator(seed: 9)
        for round in 0..<4000 {
            var bytes = hellos[round % 2]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            if round % 5 == 0 { bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator))) }
            network.feed(ByteBuffer(bytes: bytes), from: DTLSNetwork.address(1))
            #expect(network.server.halfOpenCount <= 10)
        }
        try network.connect(2)
        #expect(network.established.count == 2)
        network.pass(.seconds(61))
        #expect(network.server.halfOpenCount == 0)
    }

    @Test("handshakes under way and sessions are bounded, and those that are silent go")
    func limits() throws {
        let network = try DTLSNetwork {
            $0.maxHalfOpen = 3
            $0.maxSessions = 4
            $0.idleTimeout = .minutes(10)
        }
        network.passes = { DTLSRecord($0)?.clientRandom != nil }
        for port in 1...10 as ClosedRange<UInt16> { try network.connect(port) }
        #expect(network.server.halfOpenCount == 3)
        // Those that are under way are not driven out, for they would not begin anew soon.
        #expect(network.server.counters.crowdedOut == 0)
        #expect(network.server.counters.postponed == 7)
        network.pass(.seconds(3))
        for port in 11...13 as ClosedRange<UInt16> { try network.connect(port) }
        #expect(network.server.halfOpenCount == 3)
        #expect(network.server.counters.crowdedOut == 3)
        network.pass(.seconds(3))
        network.passes = { _ in true }
        for port in 20...25 as ClosedRange<UInt16> {
            try network.connect(port)
            network.pass(.seconds(1))
        }
        #expect(network.server.sessionCount == 4)
        #expect(network.ended == [.crowdedOut, .crowdedOut])
        network.pass(.minutes(9))
        network.say("here", from: 25)
        network.pass(.minutes(9))
        #expect(network.server.sessionCount == 1)
        #expect(network.ended.filter { $0 == .idle }.count == 3)
    }

    @Test("a session that the owner closes takes and gives nothing more")
    func closing() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        let session = try #require(network.established.first?.session)
        network.close(session)
        #expect(network.ended == [.dropped])
        network.say("late", from: 1)
        #expect(network.heard.isEmpty)
        #expect(!network.send("late", session: session))
        try network.connect(1)
        #expect(network.established.count == 2)
    }

    @Test("a flight of the server that is lost is sent again as it was, after 1 s, 2 s, 4 s and so on")
    func lostServerFlight() throws {
        let network = try DTLSNetwork()
        network.passesBack = { DTLSRecord($0).map(\.isVerifyRequest) ?? false }
        try network.connect(1)
        let flight = network.fromServer.dropFirst().map(\.bytes)
        #expect(!flight.isEmpty && network.established.isEmpty)
        for seconds in [1, 2, 4] as [Int64] {
            let before = network.fromServer.count
            network.pass(.milliseconds(seconds * 1000 - 1))
            #expect(network.fromServer.count == before)
            if seconds == 4 { network.passesBack = { _ in true } }
            network.pass(.milliseconds(1))
            #expect(network.fromServer[before...].prefix(flight.count).map(\.bytes) == flight)
        }
        #expect(network.established.map(\.identity) == ["node1"])
        #expect(network.server.counters.retransmissions == 3)
        network.say("here", from: 1)
        #expect(network.heard == ["here"])
        // Nothing is waited for but the idle ones.
        network.pass(.minutes(1))
        #expect(network.server.counters.retransmissions == 3)
    }

    @Test("the server's last flight, lost, comes again when the client repeats its own")
    func lostLastFlight() async throws {
        let network = try DTLSNetwork()
        network.passesBack = { datagram in
            network.client(1)?.ownTimer = 20_000
            return DTLSRecord(datagram)?.isFinal == false
        }
        try network.connect(1)
        #expect(network.established.count == 1)
        #expect(network.client(1)?.isHandshakeComplete == false)
        network.passesBack = { _ in true }
        try await eventually {
            network.wake(1)
            return network.client(1)?.isHandshakeComplete == true
        }
        network.say("here", from: 1)
        #expect(network.heard == ["here"])
    }

    @Test("OpenSSL's own timer, which a clock that is set stops or fires, is out of the way of a handshake")
    func wallClock() throws {
        let network = try DTLSNetwork()
        network.passesBack = { DTLSRecord($0).map(\.isVerifyRequest) ?? false }
        try network.connect(1)
        let session = try #require(network.halfOpenSession(1))
        let seconds = try #require(session.ownTimeout)
        #expect(seconds > 3600)
    }

    @Test("handshakes beyond what is allowed in one moment are dropped, and get in when they come again")
    func handshakeRate() throws {
        let network = try DTLSNetwork {
            $0.handshakesPerSecond = 10
            $0.maxHalfOpen = 1000
        }
        for port in 1...80 as ClosedRange<UInt16> { try network.connect(port) }
        let served = network.established.count
        #expect((50...52).contains(served))
        #expect(network.server.counters.postponed == 80 - UInt64(served))
        #expect(network.server.halfOpenCount == 0)
        network.pass(.seconds(3))
        for port in 60...80 as ClosedRange<UInt16> { try network.connect(port) }
        #expect(network.established.count == served + 21)
        // Sessions that there are have no part in it.
        network.say("here", from: 1)
        #expect(network.heard == ["here"])
    }

    @Test("one network that begins handshakes without end leaves places and turns to others")
    func share() throws {
        let network = try DTLSNetwork {
            $0.handshakesPerSecond = 200
            $0.maxHalfOpen = 80
        }
        // Its handshakes get stuck.
        network.passes = { DTLSRecord($0)?.clientRandom != nil }
        for port in 1...300 as ClosedRange<UInt16> {
            try network.connect(port)
            network.pass(.milliseconds(2))
        }
        #expect(network.server.halfOpenCount == 20)
        #expect(network.server.counters.postponed == 280)
        network.passes = { _ in true }
        for port in 1...10 as ClosedRange<UInt16> { try network.connect(port, host: 9) }
        #expect(network.established.count == 10)
        #expect(network.server.halfOpenCount == 20)
    }

    @Test("one datagram with many records gives all of them, and one that follows is not lost")
    func manyRecords() throws {
        let network = try DTLSNetwork()
        try network.connect(1)
        let client = try #require(network.client(1))
        for text in ["a", "b", "c"] { _ = client.write(ByteBuffer(string: text)) }
        var joined = ByteBuffer()
        for var datagram in client.takeOutgoing() { joined.writeBuffer(&datagram) }
        network.feed(joined, from: DTLSNetwork.address(1))
        network.say("d", from: 1)
        #expect(network.heard == ["a", "b", "c", "d"])
    }

    @Test("a flight that is lost may come later")
    func lostFlight() throws {
        let network = try DTLSNetwork()
        var lost = 0
        network.passes = { datagram in
            guard DTLSRecord(datagram)?.clientRandom == nil, lost < 1 else { return true }
            lost += 1
            return false
        }
        try network.connect(1)
        #expect(network.established.isEmpty && lost == 1)
        #expect(network.server.halfOpenCount == 1)
        for (datagram, address) in network.fromClients.suffix(3) { network.feed(datagram, from: address) }
        #expect(network.established.count == 1)
    }

    @Test("ticket keys have 80 bytes")
    func ticketKeys() throws {
        _ = try DTLSNetwork { $0.ticketKeys = [UInt8](repeating: 1, count: 80) }
        #expect(throws: TLSError.self) { try DTLSNetwork { $0.ticketKeys = [1] } }
    }
}

extension ByteBuffer {
    /// Another behind it, in one datagram.
    fileprivate func with(_ other: ByteBuffer) -> ByteBuffer {
        var joined = self
        joined.writeImmutableBuffer(other)
        return joined
    }
}
