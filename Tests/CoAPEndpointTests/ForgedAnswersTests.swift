import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// Acknowledgements and resets with the address of a node on them, from somebody who does not see what it is sent.
@Suite("Answers of somebody who guesses Message IDs")
struct ForgedAnswersTests {
    /// Security of the node that observes.
    enum Way: CaseIterable { case plain, sealed }

    /// Message IDs that were never sent.
    private static func guess(_ count: Int, _ type: CoAPMessageType, at site: Site, but taken: [UInt16]) {
        for messageID in (0...UInt16.max).lazy.filter({ !taken.contains($0) }).prefix(count) {
            site.receive(empty(type, messageID))
        }
    }

    /// A node that observes and has acknowledged a first notification.
    private static func observed(
        _ way: Way,
        type: CoAPMessageType = .confirmable
    ) throws -> (site: Site, observation: CoAPObservationID, known: UInt16) {
        let site = Site(protection: ProtectionTests.Inverting())
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        let message = request(.get, "a-path-of-some-length", type: type, [ObserveTests.register])
        let answers = site.receive(way == .plain ? message : ProtectionTests.Inverting.seal(message))
        if way == .plain { site.receive(empty(.reset, try #require(answers.last).messageID)) }  // The ping.
        let observation = try #require(site.observations.first)
        site.notify(observation, response(.content, "first"), isConfirmable: true)
        let first = try #require(site.take().last)
        site.receive(empty(.acknowledgement, first.messageID))
        #expect(site.takeConfirmed() == [observation])
        return (site, observation, first.messageID)
    }

    /// What goes out next, when its time comes.
    private static func next(_ site: Site) -> CoAPMessage? {
        for _ in 0..<20 {
            if let message = site.passToDeadline().first { return message }
        }
        return nil
    }

    private static func text(_ message: CoAPMessage, _ way: Way) throws -> String {
        way == .plain ? message.text : try ProtectionTests.Inverting.unseal(message).text
    }

    @Test("Message IDs don't count on, and none comes twice")
    func messageIDs() {
        let site = Site()
        site.resource = { _ in response(.content) }
        var messageIDs: [UInt16] = []
        for round in 0..<5000 as Range<UInt16> {
            messageIDs += site.receive(request(.get, "t", type: .nonConfirmable, id: round)).map(\.messageID)
        }
        #expect(messageIDs.count == 5000 && Set(messageIDs).count == 5000)
        #expect(zip(messageIDs, messageIDs.dropFirst()).count { $0 &+ 1 == $1 } < 10)
        let other = site.receive(request(.get, "t", type: .nonConfirmable), from: Site.other)
        #expect(other.map(\.messageID) != [messageIDs[0]])
    }

    @Test("those that came before something was sent are nothing to it: its acknowledgement proves the address")
    func before() throws {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        site.receive(request(.get, "a", id: 100))
        Self.guess(20, .acknowledgement, at: site, but: [])
        site.receive(request(.get, "a-path-of-some-length", [ObserveTests.register]))
        Self.guess(20, .reset, at: site, but: site.take().map(\.messageID))
        let observation = try #require(site.observations.last)
        for round in 1...5 {
            site.notify(observation, response(.content, "\(round)"), isConfirmable: true)
            site.pass(.seconds(10))
            let message = try #require(site.take().last)
            #expect(message.text == "\(round)")
            site.receive(empty(.acknowledgement, message.messageID))
            #expect(site.takeConfirmed() == [observation])
        }
        site.receive(request(.get, "a", id: 101))
        #expect(site.takeRequests().last?.isAddressProven == true)
    }

    @Test(
        "after a few of them what is owed is not confirmed, nor ended, but sent again until they stop",
        arguments: Way.allCases,
        [
            CoAPMessageType.acknowledgement, .reset,
        ]
    )
    func sweep(way: Way, type: CoAPMessageType) throws {
        let (site, observation, known) = try Self.observed(way)
        site.notify(observation, response(.content, "open"), isConfirmable: true)
        var last = try #require(site.take().first)
        var seen = [last.messageID]
        for _ in 0..<3 {
            Self.guess(8, type, at: site, but: seen + [known])
            site.receive(empty(type, last.messageID))
            #expect(site.takeConfirmed().isEmpty && site.takeEnded().isEmpty)
            last = try #require(Self.next(site))
            #expect(last.type == .confirmable && !seen.contains(last.messageID))
            #expect(try Self.text(last, way) == "open")
            seen.append(last.messageID)
        }
        site.receive(empty(.acknowledgement, seen[0]))
        #expect(site.takeConfirmed().isEmpty)
        site.receive(empty(type, last.messageID))
        #expect(site.takeConfirmed() == (type == .reset ? [] : [observation]))
        #expect(site.takeEnded() == (type == .reset ? [.rejected] : []))
    }

    @Test(
        "while they go on nothing is believed, and in the end the observation is unreachable",
        arguments: Way.allCases
    )
    func unreachable(way: Way) throws {
        let (site, observation, known) = try Self.observed(way)
        site.notify(observation, response(.content, "open"), isConfirmable: true)
        var sent: [UInt16] = []
        while let message = site.take().first ?? Self.next(site) {
            sent.append(message.messageID)
            Self.guess(8, .acknowledgement, at: site, but: sent + [known])
            for messageID in sent { site.receive(empty(.acknowledgement, messageID)) }
        }
        #expect(Set(sent).count == 5)
        #expect(site.takeEnded() == [.unreachable])
        #expect(site.takeConfirmed().isEmpty)
    }

    @Test("what a plain node has already it gets again as the same, a sealed one as something new")
    func numbers() throws {
        for way in Way.allCases {
            let (site, observation, known) = try Self.observed(way)
            site.notify(observation, response(.content, "open"), isConfirmable: true)
            let first = try #require(site.take().first)
            Self.guess(8, .acknowledgement, at: site, but: [known, first.messageID])
            var again = try #require(Self.next(site))
            #expect(again.messageID != first.messageID)
            again.messageID = first.messageID
            #expect((again == first) == (way == .plain))
        }
    }

    @Test(
        "a reset of what was not confirmable has the node asked, whose own reset is believed",
        arguments: Way.allCases
    )
    func lateReset(way: Way) throws {
        for isItself in [true, false] {
            let (site, observation, known) = try Self.observed(way, type: .nonConfirmable)
            site.pass(.seconds(10))
            site.notify(observation, response(.content, "1"))
            let message = try #require(site.take().first)
            #expect(message.type == .nonConfirmable)
            Self.guess(8, .reset, at: site, but: [known, message.messageID])
            for messageID in [known, message.messageID, message.messageID] { site.receive(empty(.reset, messageID)) }
            #expect(site.takeEnded().isEmpty)
            #expect(site.takeDue() == [observation])
            site.pass(.seconds(10))
            site.notify(observation, response(.content, "1"))
            let asked = try #require(site.take().first)
            #expect(asked.type == .confirmable)
            site.receive(empty(isItself ? .reset : .acknowledgement, asked.messageID))
            #expect(site.takeEnded() == (isItself ? [.rejected] : []))
            site.pass(.seconds(10))
            site.notify(observation, response(.content, "2"))
            #expect(site.take().map(\.type) == (isItself ? [] : [.nonConfirmable]))
        }
    }

    @Test("one reset ends an observation if nobody has guessed; one wrong guess is enough to ask where OSCORE is used")
    func oneReset() throws {
        for way in Way.allCases {
            for guesses in 0...1 {
                for type in [CoAPMessageType.confirmable, .nonConfirmable] {
                    let (site, observation, known) = try Self.observed(way, type: type)
                    site.pass(.seconds(10))
                    site.notify(observation, response(.content, "1"))
                    let message = try #require(site.take().first)
                    #expect(message.type == type)
                    Self.guess(guesses, .reset, at: site, but: [known, message.messageID])
                    site.receive(empty(.reset, message.messageID))
                    let isBelieved = way == .plain || guesses == 0
                    #expect(site.takeEnded() == (isBelieved ? [.rejected] : []))
                    if isBelieved || type == .nonConfirmable { continue }
                    let again = try #require(Self.next(site))
                    #expect(again.messageID != message.messageID)
                    site.receive(empty(.reset, again.messageID))
                    #expect(site.takeEnded() == [.rejected])
                }
            }
        }
    }

    @Test("a late response and a ping are sent again too")
    func others() throws {
        let site = Site()
        site.receive(request(.get, "a-path-of-some-length", [ObserveTests.register]))
        site.pass(.seconds(1))
        _ = site.respond(try #require(site.takeRequests().first?.id), response(.content, "late"))
        let late = try #require(site.take().last)
        Self.guess(8, .acknowledgement, at: site, but: [late.messageID])
        site.receive(empty(.acknowledgement, late.messageID))
        let again = try #require(Self.next(site))
        #expect(again.text == "late" && again.messageID != late.messageID)
        site.receive(empty(.acknowledgement, again.messageID))
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)

        let other = Site()
        other.observable = true
        other.resource = { _ in response(.content, "0") }
        other.receive(request(.get, "a-path-of-some-length", [ObserveTests.register]))
        other.notify(try #require(other.observations.first), response(.content, "1"))
        // `receive` gives what goes out at once.
        let ping = try #require(Self.next(other))
        #expect(ping.code.isEmpty)
        Self.guess(8, .reset, at: other, but: [ping.messageID])
        #expect(other.receive(empty(.reset, ping.messageID)).isEmpty)
    }

    @Test("behind a handshake nobody can guess")
    func secure() throws {
        let (site, observation, _) = try ObserveTests.observed()
        site.notify(observation, CoAPResponse(.content, contentFormat: .textPlain), isConfirmable: true)
        let message = try #require(site.take().first)
        for messageID in 0..<UInt16.max where messageID != message.messageID {
            site.receive(empty(.acknowledgement, messageID), from: Site.secure)
        }
        site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
        #expect(site.takeConfirmed() == [observation])
    }
}
