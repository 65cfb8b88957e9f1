import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Observers (RFC 7641)")
struct ObserveTests {
    static let register: (CoAPOptionNumber, [UInt8]) = (.observe, [])
    static let deregister: (CoAPOptionNumber, [UInt8]) = (.observe, [1])

    /// A site with one observer, whose first response is taken already.
    static func observed(
        by peer: CoAPPeer = Site.secure,
        type: CoAPMessageType = .confirmable,
        seed: UInt64 = 1,
        _ change: (inout CoAPServerConfiguration) -> Void = { _ in }
    ) throws -> (site: Site, observation: CoAPObservationID, sequence: UInt64) {
        let site = Site(seed: seed, change)
        site.observable = true
        site.resource = { _ in CoAPResponse(.content, contentFormat: .textPlain, payload: ByteBuffer(string: "0")) }
        let first = try #require(site.receive(request(.get, "t", type: type, [Self.register]), from: peer).first)
        #expect(first.code == .content)
        return (site, try #require(site.observations.first), try #require(first.number(.observe)))
    }

    private func value(_ text: String, _ format: CoAPContentFormat? = .textPlain) -> CoAPResponse {
        CoAPResponse(.content, contentFormat: format, payload: ByteBuffer(string: text))
    }

    @Test("notifications carry the token and rising numbers; confirmable ones go on when they are acknowledged")
    func notifications() throws {
        let (site, observation, first) = try Self.observed()
        var last = first
        for round in 1...20 {
            site.notify(observation, self.value("\(round)"))
            let message = try #require(site.take().first)
            #expect(message.type == .confirmable)
            #expect(message.token == token("t"))
            #expect(message.text == "\(round)")
            let sequence = try #require(message.number(.observe))
            #expect(CoAPObserve.isFresh(UInt32(sequence), after: UInt32(last), elapsed: .zero))
            last = sequence
            site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
        }
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
        #expect(site.takeEnded().isEmpty)
    }

    @Test("one notification is under way, and of those that come meanwhile the newest is sent")
    func newestWins() throws {
        let (site, observation, _) = try Self.observed()
        for round in 1...5 { site.notify(observation, self.value("\(round)")) }
        let first = try #require(site.take().first)
        #expect(first.text == "1")
        #expect(site.take().isEmpty)
        let second = site.receive(empty(.acknowledgement, first.messageID), from: Site.secure)
        #expect(second.map(\.text) == ["5"])
        #expect(site.server.counters.notificationsSuperseded == 3)
    }

    @Test("what is sent again is the newest value, under a new Message ID, and the tries still count (§4.5.2)")
    func newerInRetransmission() throws {
        let (site, observation, _) = try Self.observed()
        site.notify(observation, self.value("1"))
        let first = try #require(site.take().first)
        site.notify(observation, self.value("2"))
        let again = try #require(site.passToDeadline().first)
        #expect(again.text == "2")
        #expect(again.messageID != first.messageID)
        // The acknowledgement of the first is late: it shows that the client is there, no more.
        #expect(site.receive(empty(.acknowledgement, first.messageID), from: Site.secure).isEmpty)
        site.pass(.seconds(100))
        #expect(site.take().filter { $0.text == "2" }.count == 3)
        #expect(site.takeEnded() == [.unreachable])
    }

    @Test("a client that does not acknowledge is no observer any more")
    func unreachable() throws {
        let (site, observation, _) = try Self.observed()
        site.notify(observation, self.value("1"))
        site.pass(.seconds(100))
        #expect(site.take().count == 5)
        #expect(site.takeEnded() == [.unreachable])
        #expect(!site.notify(observation, self.value("2")))
        #expect(site.server.observationCount == 0)
    }

    @Test("RST ends it, also for a notification that is some way back")
    func reset() throws {
        let (confirmable, observation, _) = try Self.observed()
        confirmable.notify(observation, self.value("1"))
        let message = try #require(confirmable.take().first)
        confirmable.receive(empty(.reset, message.messageID), from: Site.secure)
        #expect(confirmable.takeEnded() == [.rejected])

        let (site, second, _) = try Self.observed(type: .nonConfirmable)
        for round in 1...3 {
            site.pass(.seconds(5))
            site.notify(second, self.value("\(round)"))
        }
        let sent = site.take()
        #expect(sent.map(\.type) == [.nonConfirmable, .nonConfirmable, .nonConfirmable])
        site.receive(empty(.reset, sent[0].messageID &- 10), from: Site.secure)
        #expect(site.takeEnded().isEmpty)
        site.receive(empty(.reset, sent[0].messageID), from: Site.other)
        #expect(site.takeEnded().isEmpty, "not of this peer")
        site.receive(empty(.reset, sent[0].messageID), from: Site.secure)
        #expect(site.takeEnded() == [.rejected])
        site.pass(.seconds(5))
        #expect(!site.notify(second, self.value("4")))
        #expect(site.take().isEmpty)
    }

    @Test("every so many NONs one is confirmable, and one that is not acknowledged ends it")
    func confirmEvery() throws {
        let (site, observation, _) = try Self.observed(type: .nonConfirmable) { $0.confirmEvery = 3 }
        var types: [CoAPMessageType] = []
        for round in 1...8 {
            site.pass(.seconds(5))
            site.notify(observation, self.value("\(round)"))
            let message = try #require(site.take().first)
            types.append(message.type)
            if message.type == .confirmable {
                site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
            }
        }
        #expect(types.map { $0 == .confirmable } == [false, false, false, true, false, false, false, true])
    }

    @Test("notifications in close succession are confirmable, so that they wait for each other (§4.5.1)")
    func spacing() throws {
        let (site, observation, _) = try Self.observed(type: .nonConfirmable)
        site.pass(.seconds(3))
        site.notify(observation, self.value("1"))
        #expect(site.take().map(\.type) == [.nonConfirmable])
        site.pass(.milliseconds(2999))
        site.notify(observation, self.value("2"))
        #expect(site.take().map(\.type) == [.confirmable])
    }

    @Test("an observer of whom nothing was heard is asked")
    func asked() throws {
        let (site, observation, _) = try Self.observed(type: .nonConfirmable) { $0.confirmInterval = .minutes(10) }
        site.pass(.minutes(9))
        #expect(site.takeDue().isEmpty)
        site.pass(.minutes(2))
        #expect(site.takeDue().contains(observation))
        site.notify(observation, self.value("0"))
        let message = try #require(site.take().first)
        #expect(message.type == .confirmable)
        site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
        site.pass(.minutes(9))
        #expect(site.takeDue().isEmpty)
    }

    @Test("a second registration under the same token takes the place of the first, one under another does not")
    func again() throws {
        let (site, first, sequence) = try Self.observed()
        let again = try #require(site.receive(request(.get, "t", id: 2, [Self.register]), from: Site.secure).first)
        #expect(
            CoAPObserve.isFresh(UInt32(try #require(again.number(.observe))), after: UInt32(sequence), elapsed: .zero)
        )
        #expect(site.takeEnded() == [.replaced])
        #expect(!site.notify(first, self.value("1")))
        site.receive(request(.get, "t", id: 3, token: "u", [Self.register]), from: Site.secure)
        #expect(site.takeEnded().isEmpty)
        #expect(site.server.observationCount == 2)
    }

    @Test("a second registration that fails ends the first")
    func failingRegistration() throws {
        let (site, _, _) = try Self.observed()
        site.resource = { _ in response(.notFound) }
        let answer = try #require(site.receive(request(.get, "t", id: 2, [Self.register]), from: Site.secure).first)
        #expect(answer.number(.observe) == nil)
        #expect(site.takeEnded() == [.replaced])
    }

    @Test("without room a registration is a plain GET (§4.1)")
    func noRoom() throws {
        let (site, _, _) = try Self.observed { $0.maxObservationsPerPeer = 1 }
        let answer = try #require(
            site.receive(request(.get, "t", id: 2, token: "u", [Self.register]), from: Site.secure).first
        )
        #expect(answer.code == .content)
        #expect(answer.number(.observe) == nil)
        #expect(site.server.counters.observationsTurnedAway == 1)
        #expect(site.server.observationCount == 1)
    }

    @Test("an error is the last notification, confirmable and without Observe (§3.2)")
    func error() throws {
        let (site, observation, _) = try Self.observed(type: .nonConfirmable)
        #expect(site.notify(observation, response(.notFound)))
        let message = try #require(site.take().first)
        #expect(message.type == .confirmable)
        #expect(message.code == .notFound)
        #expect(message.number(.observe) == nil)
        #expect(site.takeEnded() == [.withdrawn])
        #expect(site.passToDeadline() == [message])
    }

    @Test("a separate first response registers too")
    func separate() throws {
        let site = Site()
        site.receive(request(.get, "t", [Self.register]), from: Site.secure)
        site.pass(.seconds(1))
        let open = try #require(site.takeRequests().first)
        #expect(open.wantsObservation)
        let observation = try #require(site.respond(open.id, self.value("0"), observing: true))
        let first = try #require(site.take().last)
        #expect(first.number(.observe) != nil)
        // NSTART: the notification waits until the response is acknowledged.
        site.notify(observation, self.value("1"))
        #expect(site.take().isEmpty)
        let next = site.receive(empty(.acknowledgement, first.messageID), from: Site.secure)
        #expect(next.map(\.text) == ["1"])
    }

    @Test("observations of one peer take turns, those of two peers don't")
    func turns() throws {
        let (site, first, _) = try Self.observed()
        site.receive(request(.get, "u", id: 2, token: "u", [Self.register]), from: Site.secure)
        site.receive(request(.get, "t", id: 3, [Self.register]), from: CoAPPeer(ipv4: 9, port: 9, session: 9))
        _ = site.take()
        for (index, id) in ([first] + site.observations.dropFirst()).enumerated() {
            site.notify(id, self.value("\(index)"))
        }
        let sent = site.take()
        #expect(sent.map(\.text) == ["0", "2"])
        #expect(site.receive(empty(.reset, sent[0].messageID), from: Site.secure).map(\.text) == ["1"])
    }

    @Test("what waits behind a notification goes out when its observation ends")
    func endInTurn() throws {
        let (site, first, _) = try Self.observed()
        site.receive(request(.get, "u", id: 2, token: "u", [Self.register]), from: Site.secure)
        site.notify(first, self.value("1"))
        site.notify(try #require(site.observations.last), self.value("2"))
        #expect(site.take().map(\.text) == ["1"])
        let sent = site.receive(request(.get, "t", id: 3, [Self.deregister]), from: Site.secure)
        #expect(sent.map(\.text) == ["2", "0"])
        site.pass(.seconds(4))
        #expect(site.take().map(\.text) == ["2"], "and the first is not sent again")
    }

    @Test("thousands that are due are asked little by little, each once in its interval")
    func manyDue() {
        let site = Site { $0.confirmInterval = .minutes(10) }
        site.observable = true
        site.resource = { _ in response(.content) }
        for number in 0..<1200 as Range<UInt32> {
            site.receive(
                request(.get, "t", type: .nonConfirmable, [Self.register]),
                from: CoAPPeer(ipv4: number, port: 1, session: 1)
            )
        }
        var most = 0
        var due: [CoAPObservationID] = []
        for _ in 0..<660 {
            site.pass(.seconds(1))
            let asked = site.takeDue()
            most = max(most, asked.count)
            due += asked
        }
        #expect(most == 500)
        #expect(due.count == 1200 && Set(due).count == 1200)
    }

    @Test("an observer whose address is not proven is asked soon, and makes room for one whose address is")
    func unproven() throws {
        let (site, observation, _) = try Self.observed(by: Site.node) { $0.maxObservations = 1 }
        site.pass(.seconds(31))
        #expect(site.takeDue() == [observation])
        let other = CoAPPeer(ipv4: 8, port: 8)
        #expect(site.receive(request(.get, "t", [Self.register]), from: other).first?.number(.observe) == nil)
        #expect(site.receive(request(.get, "t", [Self.register]), from: Site.secure).first?.number(.observe) != nil)
        #expect(site.takeEnded() == [.crowdedOut])
    }

    @Test("numbers go on rising over a restart")
    func sequence() throws {
        let begin = NIODeadline.uptimeNanoseconds(5_000_000_000)
        func first(at time: NIODeadline) throws -> UInt32 {
            let server = CoAPServer(CoAPServerConfiguration(), seed: 1, now: time)
            var actions: [CoAPAction] = []
            let message = request(.get, "t", [Self.register])
            server.receive(message.encoded(), from: Site.secure, now: time, into: &actions)
            guard case .request(let request)? = actions.first else { return 0 }
            server.respond(to: request.id, response(.content), observing: true, now: time, into: &actions)
            guard case .send(let bytes, _)? = actions.last else { return 0 }
            return UInt32(try CoAPMessage(decoding: bytes).number(.observe) ?? 0)
        }
        let before = try first(at: begin)
        #expect(CoAPObserve.isFresh(try first(at: begin + .seconds(2)), after: before, elapsed: .seconds(2)))
        #expect(CoAPObserve.isFresh(try first(at: begin + .hours(2)), after: before, elapsed: .seconds(2)))
    }

    @Test("numbers wrap at 24 bits, and notifications go on (go-coap 179)")
    func wrapping() throws {
        let begin = NIODeadline.uptimeNanoseconds(0xFF_FFFC << 20)
        let site = Site(now: begin)
        site.observable = true
        site.resource = { _ in response(.content, "0") }
        site.receive(request(.get, "t", [Self.register]), from: Site.secure)
        let observation = try #require(site.observations.first)
        var numbers: [UInt64?] = []
        for round in 0..<4 {
            site.notify(observation, response(.content, "\(round)"))
            let message = try #require(site.take().first)
            numbers.append(message.number(.observe))
            site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
        }
        #expect(numbers == [0xFF_FFFE, 0xFF_FFFF, 0, 1])
    }

    @Test("a large value is notified by its first block, and the rest is fetched (RFC 7959 §3.4)")
    func blocks() throws {
        let (site, observation, _) = try Self.observed { $0.blockSizeExponent = 2 }
        let large = String(repeating: "0123456789abcdef", count: 10)
        site.notify(observation, self.value(large))
        let message = try #require(site.take().first)
        #expect(message.block(.block2) == CoAPBlock(number: 0, hasMore: true, sizeExponent: 2))
        #expect(message.number(.observe) != nil)
        site.resource = { _ in self.value(large) }
        let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, BlockTests.block(1, false, 2))]
        let next = try #require(site.receive(request(.get, "t", id: 9, token: "v", options), from: Site.secure).first)
        #expect(message.text + next.text == large.prefix(128))
        #expect(
            next.options.first(.eTag).map { Array($0.readableBytesView) }
                == message.options.first(.eTag).map { Array($0.readableBytesView) }
        )
        #expect(site.server.observationCount == 1)
    }

    @Test("observations of a peer that is forgotten end")
    func forgotten() throws {
        let (site, observation, _) = try Self.observed()
        site.notify(observation, self.value("1"))
        site.forget(Site.secure)
        #expect(site.takeEnded() == [.forgotten])
        _ = site.take()
        site.pass(.seconds(100))
        #expect(site.take().isEmpty)
        #expect(site.server.observationCount == 0)
    }

    @Test("ten thousand that come and go leave nothing behind")
    func churn() {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content) }
        for round in 0..<10_000 {
            let peer = CoAPPeer(ipv4: UInt32(round), port: 1, session: 1)
            site.receive(request(.get, "t", [Self.register]), from: peer)
            site.receive(request(.get, "t", id: 2, [Self.deregister]), from: peer)
        }
        #expect(site.server.observationCount == 0)
        #expect(site.takeEnded().count == 10_000)
    }
}
