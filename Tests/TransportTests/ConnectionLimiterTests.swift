import NIOCore
import Testing

@testable import Transport

@Suite struct ConnectionLimiterTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func address(_ text: String) throws -> PeerAddress {
        PeerAddress(try SocketAddress(ipAddress: text, port: 1883))
    }

    @Test("counts all connections and those of each address, and takes them back")
    func counts() throws {
        let limiter = ConnectionLimiter(limits: .init(total: 3, perAddress: 2))
        let (one, other) = (try self.address("192.0.2.1"), try self.address("192.0.2.2"))
        let first = try #require(limiter.acquire(one))
        #expect(limiter.acquire(one) != nil)
        #expect(limiter.acquire(one) == nil)
        #expect(limiter.acquire(other) != nil)
        #expect(limiter.acquire(other) == nil)
        #expect(limiter.count == 3 && limiter.refused == 2)
        #expect(limiter.refusals.perAddress == 1 && limiter.refusals.total == 1)
        limiter.release(first)
        limiter.release(first)
        #expect(limiter.count == 2)
        #expect(limiter.acquire(other) != nil)
    }

    @Test("holds an address to its rate, and no other address with it")
    func rate() throws {
        let limiter = ConnectionLimiter(limits: .init(ratePerSecond: 10, burst: 3))
        let (one, other) = (try self.address("192.0.2.1"), try self.address("192.0.2.2"))
        func connect(_ address: PeerAddress, at now: NIODeadline) -> Bool {
            guard let place = limiter.acquire(address, now: now) else { return false }
            limiter.release(place)
            return true
        }
        #expect((0..<4).map { _ in connect(one, at: Self.start) } == [true, true, true, false])
        #expect(limiter.refused == 1 && limiter.refusals.rate == 1)
        #expect(connect(other, at: Self.start))
        #expect(!connect(one, at: Self.start + .milliseconds(99)))
        #expect(connect(one, at: Self.start + .milliseconds(100)))
        #expect(!connect(one, at: Self.start + .milliseconds(100)))
        let later = Self.start + .seconds(60)
        #expect((0..<4).map { _ in connect(one, at: later) } == [true, true, true, false])
    }

    @Test("lets all the nodes behind one address come at once, twice")
    func burst() {
        #expect(ConnectionLimiter.Limits().burst == 2_000)
        #expect(ConnectionLimiter.Limits(perAddress: 12_000).burst == 24_000)
    }

    @Test("watches a bounded number of addresses")
    func bounded() throws {
        let limiter = ConnectionLimiter(limits: .init(total: 100_000, ratePerSecond: 1))
        for number in 0..<10_000 {
            let address = try self.address("10.0.\(number / 256).\(number % 256)")
            #expect(limiter.acquire(address, now: Self.start + .milliseconds(Int64(number))) != nil)
            #expect(limiter.watched <= ConnectionLimiter.maxWatched)
        }
    }

    @Test(
        "counts by the /64 of IPv6, by IPv4 also in its mapped form, and neighbours one by one",
        arguments: [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
            ("2001:db8::1", "2001:db8:0:0::/64"),
            ("::1", "0:0:0:0::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1234", "fe80::1234"),
            ("febf::1", "febf::1"),
            ("fec0::1", "fec0:0:0:0::/64"),
        ]
    )
    func networks(text: String, network: String) throws {
        #expect(try self.address(text).network == network)
        #expect(try self.address(text).text == text)
    }

    @Test("one /64 has the connections of one address")
    func sharedNetwork() throws {
        let limiter = ConnectionLimiter(limits: .init(perAddress: 1))
        let first = try #require(limiter.acquire(try self.address("2001:db8::1")))
        #expect(limiter.acquire(try self.address("2001:db8::2")) == nil)
        #expect(limiter.acquire(try self.address("2001:db8:0:1::1")) != nil)
        limiter.release(first)
        #expect(limiter.acquire(try self.address("2001:db8::2")) != nil)
    }

    // MARK: Half-open connections

    @Test("of silent connections one address has half the places, and the others are let in as before")
    func silentAddress() throws {
        let limiter = ConnectionLimiter(limits: .init(halfOpen: 10, burst: 10_000))
        let (silent, other) = (try self.address("192.0.2.1"), try self.address("192.0.2.2"))
        let taken = (0..<5_000).compactMap { _ in limiter.acquire(silent, now: Self.start) }
        #expect(taken.count == 5 && limiter.halfOpenCount == 5 && limiter.refusals.halfOpen == 4_995)
        for _ in 0..<100 {
            let place = try #require(limiter.acquire(other, now: Self.start))
            limiter.established(place)
        }
        #expect(limiter.count == 105 && limiter.halfOpenCount == 5)
    }

    @Test("an old silent connection makes room for a new one of its address, the oldest first")
    func displacing() throws {
        let limiter = ConnectionLimiter(limits: .init(halfOpen: 6))
        let address = try self.address("192.0.2.1")
        var displaced: [Int] = []
        let places = try (0..<3).map { number in
            let place = try #require(limiter.acquire(address, now: Self.start + .milliseconds(Int64(number))))
            place.displace = { displaced.append(number) }
            return place
        }
        limiter.established(places[0])
        #expect(limiter.acquire(address, now: Self.start) != nil)
        #expect(limiter.acquire(address, now: Self.start + .milliseconds(1000)) == nil)
        #expect(limiter.acquire(address, now: Self.start + .milliseconds(1001)) != nil)
        #expect(displaced == [1] && limiter.halfOpenCount == 3 && limiter.count == 4)
        #expect(limiter.refusals.halfOpen == 1 && limiter.refusals.displaced == 1 && limiter.refused == 1)
        // The displaced one gives back nothing a second time.
        limiter.release(places[1])
        limiter.established(places[1])
        #expect(limiter.count == 4 && limiter.halfOpenCount == 3)
    }

    @Test("one whose CONNECT is being decided about is counted, and makes no room")
    func deciding() throws {
        let limiter = ConnectionLimiter(limits: .init(halfOpen: 6))
        let address = try self.address("192.0.2.1")
        let later = Self.start + .seconds(20)
        var displaced: [Int] = []
        let places = try (0..<3).map { number in
            let place = try #require(limiter.acquire(address, now: Self.start))
            place.displace = { displaced.append(number) }
            return place
        }
        places[0].isDeciding = true
        places[2].isDeciding = true
        #expect(limiter.halfOpenCount == 3)
        let fourth = try #require(limiter.acquire(address, now: later))
        fourth.isDeciding = true
        #expect(displaced == [1] && limiter.halfOpenCount == 3)
        #expect(limiter.acquire(address, now: later + .seconds(20)) == nil)
        limiter.established(places[0])
        #expect(limiter.acquire(address, now: later + .seconds(20)) != nil)
        #expect(displaced == [1] && limiter.halfOpenCount == 3)
    }

    @Test("over all places the oldest silent one makes room, whosever it is; established ones stay")
    func displacingAll() throws {
        let limiter = ConnectionLimiter(limits: .init(total: 4, halfOpen: 100))
        let later = Self.start + .seconds(2)
        for number in 1...4 {
            let place = try #require(limiter.acquire(try self.address("192.0.2.\(number)"), now: Self.start))
            if number != 3 { limiter.established(place) }
        }
        let fifth = try #require(limiter.acquire(try self.address("192.0.2.5"), now: later))
        limiter.established(fifth)
        #expect(limiter.acquire(try self.address("192.0.2.6"), now: later) == nil)
        #expect(limiter.count == 4 && limiter.refusals.total == 1 && limiter.refusals.displaced == 1)
    }

    @Test("the queue of half-open connections keeps no more than it holds, in whatever order they leave")
    func queue() throws {
        let limiter = ConnectionLimiter(limits: .init(total: 100_000, perAddress: 100_000, halfOpen: 100_000))
        let address = try self.address("192.0.2.1")
        var open: [ConnectionPlace] = []
        for number in 0..<10_000 {
            let place = try #require(limiter.acquire(address, now: Self.start + .milliseconds(Int64(number))))
            open.append(place)
            if open.count > 50 { limiter.established(open.remove(at: Int.random(in: 1..<open.count))) }
        }
        #expect(limiter.halfOpenCount == 50)
        for place in open { limiter.release(place) }
        #expect(limiter.halfOpenCount == 0 && limiter.count == 9_950)
    }

    // MARK: Connections that linger

    @Test("a connection that lingers holds its place until another one wants it, which need not wait")
    func lingering() throws {
        let limiter = ConnectionLimiter(limits: .init(total: 5, perAddress: 2, halfOpen: 10))
        let (one, other) = (try self.address("192.0.2.1"), try self.address("192.0.2.2"))
        var cut: [String] = []
        func lingers(_ address: PeerAddress, _ name: String, isEstablished: Bool) throws -> ConnectionPlace {
            let place = try #require(limiter.acquire(address, now: Self.start))
            if isEstablished { limiter.established(place) }
            place.linger { cut.append(name) }
            return place
        }
        let first = try lingers(one, "first", isEstablished: true)
        let second = try lingers(one, "second", isEstablished: false)
        #expect(limiter.count == 2 && limiter.halfOpenCount == 0 && cut.isEmpty)
        // One more of the address takes the place of the oldest.
        let third = try #require(limiter.acquire(one, now: Self.start))
        #expect(cut == ["first"] && limiter.count == 2 && limiter.refused == 0)
        // Those that are not over keep theirs.
        limiter.release(second)
        limiter.established(third)
        limiter.established(try #require(limiter.acquire(one, now: Self.start)))
        #expect(limiter.acquire(one, now: Self.start) == nil)
        #expect(cut == ["first"] && limiter.count == 2 && limiter.refusals.perAddress == 1)
        // The same over the limit of all.
        _ = try lingers(other, "other", isEstablished: true)
        for number in 3...5 {
            limiter.established(try #require(limiter.acquire(try self.address("192.0.2.\(number)"), now: Self.start)))
        }
        #expect(cut == ["first", "other"] && limiter.count == 5)
        #expect(limiter.acquire(try self.address("192.0.2.6"), now: Self.start) == nil)
        // What was released does not linger.
        first.linger { cut.append("again") }
        limiter.release(first)
        #expect(limiter.count == 5 && limiter.refusals.displaced == 0)
    }

    @Test("a socket without an address is told as such")
    func unknown() {
        #expect(PeerAddress(nil).network == "unknown")
    }
}
