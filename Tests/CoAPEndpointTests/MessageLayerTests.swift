import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

@Suite("Message layer of CoAP")
struct MessageLayerTests {
    private static func echoing() -> Site {
        let site = Site()
        site.resource = { response(.changed, "got \(String(buffer: $0.payload))") }
        return site
    }

    @Test("a response in time travels in the acknowledgement")
    func piggyback() throws {
        let site = Self.echoing()
        let answer = try #require(site.receive(request(.post, "ps/a", id: 7, body: "21")).first)
        #expect(answer.type == .acknowledgement)
        #expect(answer.messageID == 7)
        #expect(answer.token == token("t"))
        #expect(answer.code == .changed)
        #expect(answer.text == "got 21")
    }

    @Test("a NON is answered by a NON with a Message ID of its own")
    func nonConfirmable() throws {
        let site = Self.echoing()
        let first = try #require(site.receive(request(.post, "ps/a", type: .nonConfirmable, id: 7)).first)
        let second = try #require(site.receive(request(.post, "ps/a", type: .nonConfirmable, id: 8)).first)
        #expect(first.type == .nonConfirmable && second.type == .nonConfirmable)
        #expect(second.messageID != first.messageID)
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
    }

    @Test("a message that comes again is carried out once, and answered with the same bytes")
    func duplicates() {
        let site = Self.echoing()
        let datagram = request(.post, "ps/a", id: 7, body: "21").encoded()
        let first = site.receive(datagram)
        site.pass(.seconds(246))
        #expect(site.receive(datagram) == first)
        #expect(site.takeRequests().count == 1)
        #expect(site.server.counters.duplicates == 1)
        // After EXCHANGE_LIFETIME it is another message.
        site.pass(.seconds(1))
        #expect(site.receive(datagram) == first)
        #expect(site.takeRequests().count == 1)
    }

    @Test("a NON that comes again is passed over")
    func nonConfirmableDuplicates() {
        let site = Self.echoing()
        let datagram = request(.post, "ps/a", type: .nonConfirmable, id: 7).encoded()
        #expect(site.receive(datagram).count == 1)
        site.pass(.seconds(144))
        #expect(site.receive(datagram).isEmpty)
        site.pass(.seconds(1))
        #expect(site.receive(datagram).count == 1)
        #expect(site.takeRequests().count == 2)
    }

    @Test("a node that counts Message IDs from 0 after each boot, with one token for all, is heard each time")
    func nodeMCU() {
        let site = Self.echoing()
        var heard: [String] = []
        for boot in 0..<5 {
            for id in 0..<3 as Range<UInt16> {
                let message = request(.post, "ps/t", id: id, token: "node", body: "\(boot).\(id)")
                #expect(site.receive(message).map(\.text) == ["got \(boot).\(id)"])
                // And each of them twice, as the network pleases.
                #expect(site.receive(message).map(\.text) == ["got \(boot).\(id)"])
            }
            heard += site.takeRequests().map { String(buffer: $0.payload) }
        }
        #expect(heard == (0..<5).flatMap { boot in (0..<3).map { "\(boot).\($0)" } })
        // The first message of the first boot, delayed for long, is still known.
        #expect(site.receive(request(.post, "ps/t", id: 0, token: "node", body: "0.0")).map(\.text) == ["got 0.0"])
        #expect(site.takeRequests().isEmpty)
    }

    @Test("the same Message ID of another peer is another message")
    func peers() {
        let site = Self.echoing()
        let datagram = request(.post, "ps/a", body: "1").encoded()
        for peer in [Site.node, Site.other, Site.secure] { #expect(site.receive(datagram, from: peer).count == 1) }
        #expect(site.takeRequests().count == 3)
        #expect(site.server.peerCount == 3)
    }

    @Test("a response that is late comes apart, after an empty acknowledgement")
    func separate() throws {
        let site = Site()
        let datagram = request(.get, "slow", id: 7).encoded()
        #expect(site.receive(datagram).isEmpty)
        let id = try #require(site.takeRequests().first?.id)
        site.pass(.milliseconds(499))
        #expect(site.receive(datagram).isEmpty, "not decided yet")
        site.pass(.milliseconds(1))
        #expect(site.take() == [empty(.acknowledgement, 7)])
        #expect(site.receive(datagram) == [empty(.acknowledgement, 7)], "came again")
        site.pass(.seconds(10))
        _ = site.respond(id, response(.content, "late"))
        let late = try #require(site.take().first)
        #expect(late.type == .confirmable)
        #expect(late.token == token("t"))
        #expect(late.text == "late")
        #expect(site.receive(datagram) == [empty(.acknowledgement, 7)], "came again")
        site.receive(empty(.acknowledgement, late.messageID))
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
        #expect(site.takeRequests().isEmpty)
    }

    @Test("the wait doubles, jitter lies within the factor, and after MAX_RETRANSMIT nobody is asked any more")
    func retransmission() throws {
        for seed in 0..<20 as Range<UInt64> {
            let site = Site(seed: seed)
            site.receive(request(.get, "slow"), from: Site.secure)
            site.pass(.seconds(1))
            let begin = site.now
            let id = try #require(site.takeRequests().first?.id)
            _ = site.take()
            _ = site.respond(id, response(.content, "late"))
            let first = try #require(site.take().first)
            var waits: [Double] = []
            var last = begin
            for _ in 0..<4 {
                #expect(site.passToDeadline() == [first])
                waits.append(Double((site.now - last).nanoseconds) / 1e9)
                last = site.now
            }
            #expect((2.0...3.0).contains(waits[0]), "\(waits)")
            for (wait, next) in zip(waits, waits.dropFirst()) { #expect(abs(next - 2 * wait) < 1e-6) }
            #expect(site.passToDeadline().isEmpty)
            #expect(site.server.counters.retransmissions == 4)
            #expect(site.server.counters.unacknowledged == 1)
            #expect(site.server.nextDeadline == nil)
        }
    }

    @Test("a reset ends a separate response")
    func resetOfResponse() throws {
        let site = Site()
        site.receive(request(.get, "slow"))
        site.pass(.seconds(1))
        _ = site.respond(try #require(site.takeRequests().first?.id), response(.content, "late"))
        let late = try #require(site.take().last)
        site.receive(empty(.reset, late.messageID))
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
        #expect(site.server.counters.unacknowledged == 0)
    }

    @Test("NSTART: a second confirmable message waits for the first, one to another peer does not")
    func nStart() throws {
        let site = Site()
        for id in 1...2 as ClosedRange<UInt16> { site.receive(request(.get, "slow", id: id)) }
        site.receive(request(.get, "slow"), from: Site.other)
        site.pass(.seconds(1))
        _ = site.take()
        for (index, open) in site.takeRequests().enumerated() {
            _ = site.respond(open.id, response(.content, "\(index)"))
        }
        #expect(site.sent.map(\.message.text) == ["0", "2"])
        let first = try #require(site.take(for: Site.node).first)
        #expect(site.receive(empty(.acknowledgement, first.messageID)).map(\.text) == ["1"])
    }

    @Test("what is ignored stays without an answer when it comes again")
    func ignored() throws {
        let site = Site()
        let datagram = request(.post, "ps/a").encoded()
        site.receive(datagram)
        site.ignore(try #require(site.takeRequests().first?.id))
        #expect(site.receive(datagram).isEmpty)
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
        #expect(site.server.openCount == 0)
    }

    @Test("a request is answered once, and one of a forgotten peer not at all")
    func answeredOnce() throws {
        let site = Site()
        site.receive(request(.get, "a"), from: Site.secure)
        let id = try #require(site.takeRequests().first?.id)
        site.forget(Site.secure)
        _ = site.respond(id, response(.content))
        #expect(site.take().isEmpty)
        #expect(site.server.peerCount == 0)
        site.receive(request(.get, "a"))
        let second = try #require(site.takeRequests().first?.id)
        _ = site.respond(second, response(.content))
        _ = site.respond(second, response(.notFound))
        #expect(site.take().map(\.code) == [.content])
    }
}
