import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// A plain request with a node's address and token on it, both of which anybody may know: small nodes have the empty token,
/// or one for everything.
@Suite("Observations that somebody else would end or replace")
struct TakeawayTests {
    private static func register(
        _ path: String = "light",
        _ type: CoAPMessageType = .confirmable,
        id: UInt16,
        _ options: [(CoAPOptionNumber, [UInt8])] = []
    ) -> CoAPMessage {
        request(.get, path, type: type, id: id, token: "", [ObserveTests.register] + options)
    }

    /// A site whose node observes `light`, and has acknowledged a notification unless it is not to.
    private static func observed(isShown: Bool = true) throws -> Site {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        let answers = site.receive(Self.register(id: 1))
        if let ping = answers.last, ping.code.isEmpty { site.receive(empty(.reset, ping.messageID)) }
        if isShown { #expect(try Self.isNotified(site)) }
        return site
    }

    /// Whether the node is notified, and takes it.
    private static func isNotified(_ site: Site) throws -> Bool {
        let observation = try #require(site.observations.last)
        guard site.notify(observation, response(.content, "on"), isConfirmable: true) else { return false }
        let message = try #require(site.take().last)
        site.receive(empty(.acknowledgement, message.messageID))
        return site.takeConfirmed() == [observation]
    }

    private static let forgeries = [
        request(.get, "", type: .nonConfirmable, id: 7, token: "", [ObserveTests.deregister]),
        request(.get, "light", id: 7, token: "", [ObserveTests.deregister]),
        Self.register("door", id: 7),
        Self.register("light", .nonConfirmable, id: 7),
        Self.register(id: 7, [(.uriQuery, Array("d=other".utf8))]),
        Self.register(id: 7, [(.accept, [60])]),
    ]

    @Test(
        "a request that shows nothing ends none that the node has confirmed, and is asked for an Echo",
        arguments: forgeries
    )
    func challenged(forged: CoAPMessage) throws {
        let site = try Self.observed()
        _ = site.takeRequests()
        let answers = site.receive(forged)
        #expect(answers.map(\.code) == [.unauthorized])
        #expect(answers.first.map { $0.encodedSize <= 3 * forged.encodedSize } == true)
        #expect(site.takeEnded().isEmpty && site.takeRequests().isEmpty)
        #expect(try Self.isNotified(site))

        let echo = try #require(answers.first?.options.first(.echo))
        var own = forged
        own.messageID = 8
        own.options.append(.echo, echo)
        site.receive(own)
        #expect(site.takeEnded() == [forged.number(.observe) == 1 ? .deregistered : .replaced])
        #expect(site.takeRequests().count == 1)
    }

    @Test("a node that knows no Echo registers the same again as often as it likes, and that protects it no less")
    func again() throws {
        let site = try Self.observed()
        for round in 10..<15 as Range<UInt16> {
            let answer = try #require(site.receive(Self.register(id: round)).first)
            #expect(answer.code == .content && answer.number(.observe) != nil)
            #expect(site.takeEnded() == [.replaced])
            #expect(site.receive(Self.register("door", id: round + 100)).map(\.code) == [.unauthorized])
            if round != 12 { #expect(try Self.isNotified(site)) }
        }
        #expect(site.server.observationCount == 1)
    }

    @Test("what nobody has confirmed yet is no claim to a token")
    func unconfirmed() throws {
        let site = try Self.observed(isShown: false)
        #expect(site.receive(Self.register("door", id: 7)).first?.code == .content)
        #expect(site.takeEnded() == [.replaced])
        site.receive(request(.get, "door", id: 8, token: "", [ObserveTests.deregister]))
        #expect(site.takeEnded() == [.deregistered])
    }

    @Test("an Echo in the registration confirms it at once")
    func registeredWithEcho() throws {
        let site = Site()
        site.observable = true
        site.receive(Self.register(id: 1))
        site.challenge(try #require(site.takeRequests().first?.id))
        let echo = Array(try #require(site.take().first?.options.first(.echo)).readableBytesView)
        site.resource = { _ in response(.content, "0") }
        site.receive(Self.register(id: 2, [(.echo, echo)]))
        #expect(site.receive(Self.register("door", id: 7)).map(\.code) == [.unauthorized])
        #expect(site.receive(Self.register(id: 8)).first?.code == .content)
    }

    @Test("an observer at a proven address is soon asked to confirm that it is the one, and then as seldom as others")
    func asked() throws {
        let site = try Self.observed()
        site.receive(request(.get, "door", type: .nonConfirmable, id: 9, token: "d", [ObserveTests.register]))
        let observation = try #require(site.observations.last)
        site.pass(.seconds(31))
        #expect(site.takeDue() == [observation])
        site.notify(observation, response(.content, "0"))
        let message = try #require(site.take().last)
        #expect(message.type == .confirmable)
        site.receive(empty(.acknowledgement, message.messageID))
        site.pass(.minutes(50))
        #expect(site.takeDue().isEmpty)
    }

    @Test("later blocks, other tokens and requests without Observe are served as ever")
    func others() throws {
        let site = try Self.observed()
        let block: (CoAPOptionNumber, [UInt8]) = (.block2, BlockTests.block(1, false, 0))
        site.resource = { _ in response(.content, String(repeating: "x", count: 40)) }
        #expect(site.receive(Self.register(id: 20, [block])).map(\.code) == [.content])
        #expect(site.receive(request(.get, "door", id: 21, token: "")).map(\.code) == [.content])
        #expect(
            site.receive(request(.get, "door", id: 22, token: "d", [ObserveTests.register])).first?.code == .content
        )
        #expect(site.takeEnded().isEmpty)
    }

    @Test("what OSCORE protects needs no Echo")
    func protected() throws {
        let site = Site(protection: ProtectionTests.Inverting())
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        site.receive(ProtectionTests.Inverting.seal(Self.register(id: 1)))
        #expect(try Self.isNotified(site))
        site.receive(request(.get, "light", id: 2, token: "", [ObserveTests.deregister]))
        #expect(site.takeEnded().isEmpty, "a plain request says nothing of it")
        site.receive(ProtectionTests.Inverting.seal(Self.register("door", id: 3)))
        #expect(site.takeEnded() == [.replaced])
    }
}
