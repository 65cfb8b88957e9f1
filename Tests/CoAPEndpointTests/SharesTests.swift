import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// Anybody can write a node's address on a plain request. What the node sends with a key has limits of its own.
@Suite("Protected requests have shares of their own")
struct SharesTests {
    private typealias Inverting = ProtectionTests.Inverting

    private func site(_ change: (inout CoAPServerConfiguration) -> Void = { _ in }) -> Site {
        let site = Site(protection: Inverting(), change)
        site.observable = true
        return site
    }

    private func send(_ message: CoAPMessage, _ site: Site) throws -> CoAPMessage {
        try Inverting.unseal(try #require(site.receive(Inverting.seal(message)).first))
    }

    @Test("of observations")
    func observations() throws {
        let site = self.site { $0.maxObservationsPerPeer = 4 }
        site.resource = { _ in response(.content, "1") }
        func register(_ number: UInt16) -> CoAPMessage {
            let type = CoAPMessageType.nonConfirmable
            return request(.get, "a", type: type, id: number, token: "\(number)", [ObserveTests.register])
        }
        for number in 0..<10 as Range<UInt16> { site.receive(register(number)) }
        #expect(site.server.observationCount == 4)
        for number in 10..<14 as Range<UInt16> {
            #expect(try self.send(register(number), site).number(.observe) != nil)
        }
        #expect(try self.send(register(14), site).number(.observe) == nil)
        #expect(site.server.observationCount == 8)
        #expect(site.takeEnded().isEmpty)
    }

    @Test("of bodies that come in blocks")
    func incoming() throws {
        let site = self.site()
        site.resource = { _ in response(.changed) }
        func put(_ number: UInt32, _ hasMore: Bool, _ path: String, _ id: UInt16) -> CoAPMessage {
            let body = String(repeating: "x", count: 16)
            return request(.put, path, id: id, [(.block1, BlockTests.block(number, hasMore, 0))], body: body)
        }
        #expect(try self.send(put(0, true, "l", 1), site).code == .continue)
        for id in 100..<110 as Range<UInt16> { site.receive(put(0, true, "forged/\(id)", id)) }
        #expect(site.server.counters.bodiesGivenUp == 6, "of each other")
        #expect(try self.send(put(1, false, "l", 2), site).code == .changed)
    }

    @Test("of responses that go in blocks")
    func outgoing() throws {
        let site = self.site { $0.blockSizeExponent = 0 }
        site.resource = { _ in response(.changed, String(repeating: "x", count: 40)) }
        #expect(try self.send(request(.post, "l"), site).block(.block2)?.hasMore == true)
        let long = String(repeating: "x", count: 60)
        for id in 100..<110 as Range<UInt16> { site.receive(request(.post, "\(id)", id: id, body: long)) }
        let next = request(.post, "l", id: 2, [(.block2, BlockTests.block(1, false, 0))])
        #expect(try self.send(next, site).code == .changed)
    }

    @Test("of requests that are open, and of separate responses that nobody acknowledges", arguments: [false, true])
    func open(areOwed: Bool) throws {
        let site = self.site { $0.maxOpenPerPeer = 3 }
        for id in 0..<5 as Range<UInt16> { site.receive(request(.post, "a", id: id)) }
        #expect(site.server.counters.overloaded == 2)
        if areOwed {
            site.pass(.seconds(1))
            for open in site.takeRequests() { _ = site.respond(open.id, response(.changed)) }
            _ = site.take()
        }
        // The one response that is under way counts for both.
        let room: UInt16 = areOwed ? 2 : 3
        for id in 10..<(10 + room) { #expect(site.receive(Inverting.seal(request(.post, "a", id: id))).isEmpty) }
        #expect(site.takeRequests().filter { $0.context != 0 }.count == room)
        let fourth = Inverting.seal(request(.post, "a", id: 20))
        #expect(site.receive(fourth).map(\.code) == [.tooManyRequests])
        #expect(site.receive(request(.post, "a", id: 21)).map(\.code) == [.tooManyRequests])
    }
}
