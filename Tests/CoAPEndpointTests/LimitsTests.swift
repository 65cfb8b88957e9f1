import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Limits of a CoAP server")
struct LimitsTests {
    @Test("separate responses that nobody acknowledges count as open requests, and keep no place for a made-up address")
    func unacknowledged() throws {
        let site = Site {
            $0.maxOpenPerPeer = 3
            $0.maxPeers = 1
        }
        var refused = 0
        for id in 1...10 as ClosedRange<UInt16> {
            refused += site.receive(request(.post, "a", id: id)).count { $0.code == .tooManyRequests }
            site.pass(.seconds(1))
            if let open = site.takeRequests().last { _ = site.respond(open.id, response(.changed)) }
        }
        #expect(refused == 7)
        site.receive(request(.post, "a"), from: Site.other)
        #expect(site.takeRequests().count == 1)
        site.pass(.seconds(300))
    }

    private static func peer(_ number: Int, session: UInt32 = 0) -> CoAPPeer {
        CoAPPeer(ipv4: 0x0A01_0000 + UInt32(number), port: 5683, session: session)
    }

    @Test("of one peer so many requests are remembered, the oldest go")
    func historyOfPeer() {
        let site = Site { $0.maxHistoryPerPeer = 8 }
        site.resource = { _ in response(.changed) }
        let messages = (0..<9 as Range<UInt16>).map { request(.post, "a", id: $0, body: "\($0)") }
        for message in messages { site.receive(message) }
        #expect(site.server.remembered.requests == 8)
        #expect(site.server.counters.forgottenEarly == 1)
        _ = site.takeRequests()
        site.receive(messages[1])
        #expect(site.takeRequests().isEmpty)
        site.receive(messages[0])
        #expect(site.takeRequests().count == 1, "the oldest was forgotten")
    }

    @Test("of all peers so many requests are remembered, and so many bytes of replies")
    func historyOfAll() {
        let site = Site {
            $0.maxHistory = 20
            $0.maxReplyBytes = 1000
        }
        site.resource = { _ in response(.content, String(repeating: "x", count: 100)) }
        for number in 1...100 { site.receive(request(.post, "a"), from: Self.peer(number, session: 1)) }
        #expect(site.server.remembered.requests <= 20)
        #expect(site.server.remembered.replyBytes <= 1000)
        #expect(site.server.remembered.replyBytes > 800)
        _ = site.takeRequests()
        site.receive(request(.post, "a"), from: Self.peer(100, session: 1))
        #expect(site.takeRequests().isEmpty, "the youngest is remembered")
    }

    @Test("bytes of replies are bounded for each peer")
    func replyBytesOfPeer() {
        let site = Site { $0.maxReplyBytesPerPeer = 500 }
        site.resource = { _ in response(.content, String(repeating: "x", count: 100)) }
        for id in 0..<20 as Range<UInt16> { site.receive(request(.post, "a", id: id), from: Site.secure) }
        #expect(site.server.remembered.replyBytes <= 500)
        #expect(site.server.remembered.requests == 4)
    }

    @Test("what is too old is forgotten without being asked for")
    func ages() {
        let site = Site()
        site.resource = { _ in response(.changed) }
        for number in 1...50 { site.receive(request(.post, "a"), from: Self.peer(number)) }
        site.pass(.seconds(300))
        for _ in 0..<10 { site.pass(.seconds(1)) }
        #expect(site.server.remembered == (0, 0))
    }

    @Test("a peer with too many open requests gets 4.29, all together 5.03, with Max-Age, and may come again")
    func open() throws {
        let site = Site {
            $0.maxOpenPerPeer = 2
            $0.maxOpen = 3
            $0.retryAfter = 7
        }
        for id in 1...2 as ClosedRange<UInt16> { #expect(site.receive(request(.post, "a", id: id)).isEmpty) }
        let third = request(.post, "a", id: 3)
        for _ in 0..<2 {
            let refusal = try #require(site.receive(third).first)
            #expect(refusal.code == .tooManyRequests)
            #expect(refusal.number(.maxAge) == 7)
            #expect(refusal.messageID == 3)
        }
        #expect(site.receive(request(.post, "a"), from: Site.other).isEmpty)
        #expect(site.receive(request(.post, "a"), from: Site.secure).map(\.code) == [.serviceUnavailable])
        #expect(site.server.counters.overloaded == 3)
        #expect(site.server.openCount == 3)
        // Room again: the very message that was turned away is carried out.
        _ = site.respond(try #require(site.takeRequests().first?.id), response(.changed))
        _ = site.take()
        #expect(site.receive(third).isEmpty)
        #expect(site.takeRequests().last?.token == token("t"))
    }

    @Test("thousands of made-up addresses take nothing from a peer whose address is proven")
    func peers() {
        let site = Site { $0.maxPeers = 100 }
        site.resource = { _ in response(.changed) }
        let message = request(.post, "a")
        site.receive(message, from: Self.peer(1, session: 1))
        for number in 2...5000 { site.receive(request(.post, "a"), from: Self.peer(number)) }
        #expect(site.server.peerCount == 100)
        _ = site.takeRequests()
        site.receive(message, from: Self.peer(1, session: 1))
        #expect(site.takeRequests().isEmpty, "still remembered")
        #expect(site.server.remembered.requests <= 100)
    }

    @Test("peers with something under way are not forgotten; others are turned away then")
    func busyPeers() {
        let site = Site { $0.maxPeers = 3 }
        for number in 1...3 { site.receive(request(.post, "a"), from: Self.peer(number)) }
        #expect(site.receive(request(.post, "a"), from: Self.peer(4)).isEmpty)
        #expect(site.server.counters.peersTurnedAway == 1)
        #expect(site.takeRequests().count == 3)
    }

    @Test("observers who are silent for long don't keep the table from taking others")
    func observers() {
        let site = Site { $0.maxPeers = 200 }
        site.observable = true
        site.resource = { _ in response(.content) }
        for number in 1...150 {
            site.receive(request(.get, "t", [ObserveTests.register]), from: Self.peer(number, session: 1))
        }
        for number in 151...1000 {
            #expect(site.receive(request(.get, "t"), from: Self.peer(number, session: 1)).count == 1)
        }
        #expect(site.server.observationCount == 150)
        #expect(site.server.counters.peersTurnedAway < 10)
    }

    @Test("a datagram over the limit is reset, if it is CON")
    func datagrams() {
        let site = Site { $0.maxMessageBytes = 64 }
        let large = request(.post, "a", body: String(repeating: "x", count: 64))
        #expect(site.receive(large) == [empty(.reset, 1)])
        #expect(site.server.counters.malformed == 1)
        #expect(site.takeRequests().isEmpty)
    }
}
