import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Notifications that must arrive")
struct OwedNotificationTests {
    private func value(_ text: String) -> CoAPResponse {
        CoAPResponse(.content, contentFormat: .textPlain, payload: ByteBuffer(string: text))
    }

    @Test("each is confirmable whatever the spacing, and confirmed once, by its acknowledgement")
    func confirmed() throws {
        let (site, observation, _) = try ObserveTests.observed(type: .nonConfirmable)
        for round in 1...3 {
            site.pass(.seconds(60))
            site.notify(observation, self.value("\(round)"), isConfirmable: true)
            let message = try #require(site.take().first)
            #expect(message.type == .confirmable)
            #expect(message.text == "\(round)")
            #expect(site.takeConfirmed().isEmpty)
            site.receive(empty(.acknowledgement, message.messageID &+ 1), from: Site.secure)
            site.receive(empty(.acknowledgement, message.messageID), from: Site.other)
            #expect(site.takeConfirmed().isEmpty, "acknowledges something else")
            site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
            site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
            #expect(site.takeConfirmed() == [observation])
        }
    }

    @Test("one that is confirmable for other reasons is not reported")
    func unasked() throws {
        let (site, observation, _) = try ObserveTests.observed()
        site.notify(observation, self.value("1"))
        let message = try #require(site.take().first)
        #expect(message.type == .confirmable)
        site.receive(empty(.acknowledgement, message.messageID), from: Site.secure)
        #expect(site.takeConfirmed().isEmpty)
    }

    @Test("one under way is sent again as it is, and what came meanwhile follows")
    func keepsItsPlace() throws {
        let (site, observation, _) = try ObserveTests.observed(type: .nonConfirmable)
        site.notify(observation, self.value("owed"), isConfirmable: true)
        let first = try #require(site.take().first)
        for round in 1...3 { site.notify(observation, self.value("\(round)")) }
        #expect(site.server.counters.notificationsSuperseded == 2, "none is lost without being counted")
        let again = try #require(site.passToDeadline().first)
        #expect(again == first)
        let next = site.receive(empty(.acknowledgement, first.messageID), from: Site.secure)
        #expect(site.takeConfirmed() == [observation])
        #expect(next.map(\.text) == ["3"])
        site.receive(empty(.acknowledgement, try #require(next.first).messageID), from: Site.secure)
        #expect(site.takeConfirmed().isEmpty)
    }

    @Test("one that waits stays when another comes, and goes first")
    func waits() throws {
        let (site, observation, _) = try ObserveTests.observed()
        site.notify(observation, self.value("1"))
        let first = try #require(site.take().first)
        site.notify(observation, self.value("2"))
        site.notify(observation, self.value("owed"), isConfirmable: true)
        site.notify(observation, self.value("3"))
        #expect(site.server.counters.notificationsSuperseded == 1)
        let second = site.receive(empty(.acknowledgement, first.messageID), from: Site.secure)
        #expect(second.map(\.text) == ["owed"])
        #expect(site.takeConfirmed().isEmpty)
        let third = site.receive(empty(.acknowledgement, try #require(second.first).messageID), from: Site.secure)
        #expect(third.map(\.text) == ["3"])
        #expect(site.takeConfirmed() == [observation])
    }

    @Test("one takes the place of what is sent again, and is owed from then on")
    func takesPlace() throws {
        let (site, observation, _) = try ObserveTests.observed()
        site.notify(observation, self.value("1"))
        let first = try #require(site.take().first)
        site.notify(observation, self.value("owed"), isConfirmable: true)
        let again = try #require(site.passToDeadline().first)
        #expect(again.text == "owed")
        site.receive(empty(.acknowledgement, first.messageID), from: Site.secure)
        #expect(site.takeConfirmed().isEmpty, "that was the other")
        site.notify(observation, self.value("2"))
        let third = try #require(site.passToDeadline().first)
        #expect(third == again)
        site.receive(empty(.acknowledgement, again.messageID), from: Site.secure)
        #expect(site.takeConfirmed() == [observation])
    }

    @Test("one that nobody acknowledges, or that is rejected, ends the observation and is not confirmed")
    func unreachable() throws {
        let (site, observation, _) = try ObserveTests.observed()
        site.notify(observation, self.value("1"), isConfirmable: true)
        site.pass(.seconds(100))
        #expect(site.take().count == 5)
        #expect(site.takeEnded() == [.unreachable])
        #expect(site.takeConfirmed().isEmpty)

        let (other, second, _) = try ObserveTests.observed()
        other.notify(second, self.value("1"), isConfirmable: true)
        other.receive(empty(.reset, try #require(other.take().first).messageID), from: Site.secure)
        #expect(other.takeEnded() == [.rejected])
        #expect(other.takeConfirmed().isEmpty)
    }

    @Test("a first response that is not acknowledged holds it back, and it is not lost")
    func behindResponse() throws {
        let site = Site()
        site.receive(request(.get, "t", [ObserveTests.register]), from: Site.secure)
        site.pass(.seconds(1))
        let open = try #require(site.takeRequests().first)
        let observation = try #require(site.respond(open.id, self.value("0"), observing: true))
        let response = try #require(site.take().last)
        site.notify(observation, self.value("1"), isConfirmable: true)
        site.notify(observation, self.value("2"))
        let next = site.receive(empty(.acknowledgement, response.messageID), from: Site.secure)
        #expect(next.map(\.text) == ["1"])
    }

    @Test("the owner ends an observation without a word, and what waits behind it goes out")
    func ended() throws {
        let (site, first, _) = try ObserveTests.observed()
        site.receive(request(.get, "u", id: 2, token: "u", [ObserveTests.register]), from: Site.secure)
        let second = try #require(site.observations.last)
        site.notify(first, self.value("1"), isConfirmable: true)
        site.notify(second, self.value("2"), isConfirmable: true)
        let sent = site.take()
        #expect(sent.map(\.text).suffix(1) == ["1"])
        site.endObservation(first)
        let freed = try #require(site.take().first)
        #expect(freed.text == "2")
        #expect(site.takeEnded().isEmpty)
        #expect(!site.notify(first, self.value("3")))
        site.receive(empty(.acknowledgement, try #require(sent.last).messageID), from: Site.secure)
        #expect(site.takeConfirmed().isEmpty)
        site.receive(empty(.acknowledgement, freed.messageID), from: Site.secure)
        #expect(site.takeConfirmed() == [second])
        site.endObservation(second)
        site.endObservation(second)
        #expect(site.server.observationCount == 0)
        site.pass(.seconds(300))
        #expect(site.take().isEmpty)
    }
}
