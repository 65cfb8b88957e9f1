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
        #expect(limiter.acquire(one) && limiter.acquire(one))
        #expect(!limiter.acquire(one))
        #expect(limiter.acquire(other))
        #expect(!limiter.acquire(other))
        #expect(limiter.count == 3 && limiter.refused == 2)
        limiter.release(one)
        #expect(limiter.acquire(other))
    }

    @Test("holds an address to its rate, and no other address with it")
    func rate() throws {
        let limiter = ConnectionLimiter(limits: .init(ratePerSecond: 10, burst: 3))
        let (one, other) = (try self.address("192.0.2.1"), try self.address("192.0.2.2"))
        func connect(_ address: PeerAddress, at now: NIODeadline) -> Bool {
            guard limiter.acquire(address, now: now) else { return false }
            limiter.release(address)
            return true
        }
        #expect((0..<4).map { _ in connect(one, at: Self.start) } == [true, true, true, false])
        #expect(limiter.refused == 1)
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
            #expect(limiter.acquire(address, now: Self.start + .milliseconds(Int64(number))))
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
        #expect(limiter.acquire(try self.address("2001:db8::1")))
        #expect(!limiter.acquire(try self.address("2001:db8::2")))
        #expect(limiter.acquire(try self.address("2001:db8:0:1::1")))
        limiter.release(try self.address("2001:db8::1"))
        #expect(limiter.acquire(try self.address("2001:db8::2")))
    }

    @Test("a socket without an address is told as such")
    func unknown() {
        #expect(PeerAddress(nil).network == "unknown")
    }
}
