import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Whether anybody is there who observes from an address that is not proven")
struct PingTests {
    private static let text = String(repeating: "0123456789abcdef", count: 2)

    private static func registration(_ type: CoAPMessageType, id: UInt16 = 1) -> CoAPMessage {
        let query: (CoAPOptionNumber, [UInt8]) = (.uriQuery, Array("d=kitchen-one".utf8))
        return request(.get, "sid", type: type, id: id, [ObserveTests.register, query])
    }

    /// A site that has taken the node as an observer, by a request that is hardly longer than a third of the answer.
    private func observed(type: CoAPMessageType = .confirmable) throws -> (Site, CoAPObservationID, ping: CoAPMessage) {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content, Self.text) }
        let answers = site.receive(Self.registration(type))
        #expect(answers.count == 2)
        #expect(answers.first?.code == .content && answers.first?.text == Self.text)
        let ping = try #require(answers.last)
        #expect(ping.code.isEmpty && ping.type == .confirmable)
        return (site, try #require(site.observations.first), ping)
    }

    @Test(
        "the RST that answers a ping lets a notification leave, and its acknowledgement proves the address",
        arguments: [CoAPMessageType.confirmable, .nonConfirmable]
    )
    func answered(type: CoAPMessageType) throws {
        let (site, observation, ping) = try self.observed(type: type)
        // It comes before the answer to the ping does, and waits for it.
        site.notify(observation, response(.content, Self.text), isConfirmable: true)
        #expect(site.take().isEmpty)
        let message = try #require(site.receive(empty(.reset, ping.messageID)).first)
        #expect(message.text == Self.text && message.type == .confirmable)
        #expect(site.takeEnded().isEmpty)
        site.receive(empty(.acknowledgement, message.messageID))
        #expect(site.takeConfirmed() == [observation])
        let large = String(repeating: "x", count: 900)
        site.notify(observation, response(.content, large), isConfirmable: true)
        #expect(site.take().map(\.text) == [large])
    }

    @Test("what the answer to a ping allows is bounded, and a RST of a notification ends it")
    func bounded() throws {
        let (site, observation, ping) = try self.observed()
        site.receive(empty(.reset, ping.messageID))
        site.notify(observation, response(.content, String(repeating: "x", count: 1000)))
        site.pass(.seconds(300))
        #expect(site.take().reduce(0) { $0 + $1.encodedSize } <= 600)
        #expect(site.takeEnded() == [.unreachable])

        let (other, second, secondPing) = try self.observed()
        other.receive(empty(.reset, secondPing.messageID))
        other.notify(second, response(.content, "1"))
        other.receive(empty(.reset, try #require(other.take().first).messageID))
        #expect(other.takeEnded() == [.rejected])
        // It was somebody's address, who does not want it: nothing more than three times what comes from there.
        let message = Self.registration(.confirmable, id: 9)
        #expect(other.receive(message).reduce(0) { $0 + $1.encodedSize } <= 3 * message.encodedSize)
    }

    @Test("a ping that nobody answers holds notifications back for seconds, and ends nothing")
    func unanswered() throws {
        let (site, observation, ping) = try self.observed()
        site.notify(observation, response(.content, "1"))
        site.pass(.seconds(4))
        #expect(site.take() == [ping])
        site.pass(.seconds(6))
        #expect(site.take().map(\.text) == ["1"], "as far as the request allows")
        #expect(site.takeEnded().isEmpty)
    }

    @Test("whoever observes again and again in the name of an address gets it pinged once in minutes")
    func seldom() throws {
        let (site, _, ping) = try self.observed()
        site.receive(empty(.reset, ping.messageID))
        for round in 2...20 as ClosedRange<UInt16> {
            let answers = site.receive(Self.registration(.confirmable, id: round))
            #expect(answers.count == 1)
        }
        site.pass(.minutes(5))
        _ = site.take()
        #expect(site.receive(Self.registration(.confirmable, id: 30)).last?.code.isEmpty == true)
    }

    @Test("an answer to no ping, or from another address, allows nothing")
    func forged() throws {
        let (site, observation, ping) = try self.observed()
        site.receive(empty(.reset, ping.messageID), from: Site.other)
        site.receive(empty(.reset, ping.messageID &+ 1))
        site.notify(observation, response(.content, Self.text))
        #expect(site.take().isEmpty)
        site.pass(.seconds(12))
        #expect(site.takeEnded() == [.unreachable])
    }

    @Test("an address that is proven is not asked, nor is one that will acknowledge the response")
    func notAsked() throws {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        let answers = site.receive(request(.get, "t", [ObserveTests.register]), from: Site.secure)
        #expect(answers.count == 1)
        site.resource = nil
        site.receive(request(.get, "t", [ObserveTests.register]))
        site.pass(.seconds(1))
        _ = site.take()
        let open = try #require(site.takeRequests().last)
        #expect(site.respond(open.id, response(.content, "0"), observing: true) != nil)
        #expect(site.take().map(\.text) == ["0"])
    }

    @Test("with its observation a ping ends")
    func ended() throws {
        let (site, _, _) = try self.observed()
        site.receive(request(.get, "sid", id: 2, [ObserveTests.deregister]))
        site.pass(.seconds(60))
        #expect(site.take().isEmpty)
        #expect(site.server.observationCount == 0)
    }
}
