import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// OSCORE's place, with a protection that any child could break: payloads are messages with every byte inverted.
@Suite("Protected requests")
struct ProtectionTests {
    final class Inverting: CoAPProtection {
        private(set) var opened = 0
        private(set) var own = 0
        var challenges = false
        var isExhausted = false

        static func invert(_ bytes: ByteBuffer) -> ByteBuffer { ByteBuffer(bytes: bytes.readableBytesView.map { ~$0 }) }

        static func seal(_ message: CoAPMessage) -> CoAPMessage {
            var outer = message
            outer.options = CoAPOptions()
            outer.options.append(.oscore, ByteBuffer(bytes: [1]))
            outer.payload = self.invert(message.encoded())
            if message.code.isRequest { outer.code = .post } else { outer.code = .changed }
            return outer
        }

        static func unseal(_ outer: CoAPMessage) throws -> CoAPMessage {
            try CoAPMessage(decoding: self.invert(outer.payload))
        }

        func open(_ request: CoAPMessage, from peer: CoAPPeer, now: NIODeadline) -> CoAPOpenedRequest {
            guard let inner = try? Self.unseal(request) else { return .refused(.error(.badRequest)) }
            self.opened += 1
            let protected = CoAPProtectedRequest(
                context: 7,
                sequence: 0,
                isFetch: false,
                needsOwnPartialIV: self.challenges
            )
            return self.challenges ? .challenged(.error(.unauthorized), protected) : .request(inner, protected)
        }

        func seal(
            _ response: CoAPMessage,
            to request: CoAPProtectedRequest,
            withOwnPartialIV: Bool
        ) -> CoAPMessage? {
            if withOwnPartialIV { self.own += 1 }
            return self.isExhausted ? nil : Self.seal(response)
        }
    }

    private let protection = Inverting()

    private func site(_ change: (inout CoAPServerConfiguration) -> Void = { _ in }) -> Site {
        let site = Site(protection: self.protection, change)
        site.observable = true
        site.resource = { response(.content, "for \($0.context): \(String(buffer: $0.payload))") }
        return site
    }

    @Test("the request inside is served, the response sealed, and a copy gets the same bytes without being opened")
    func roundTrip() throws {
        let site = self.site()
        let outer = Inverting.seal(request(.post, "ps/a", id: 7, body: "secret"))
        let answer = try #require(site.receive(outer).first)
        #expect(answer.type == .acknowledgement && answer.messageID == 7 && answer.token == token("t"))
        #expect(answer.code == .changed && answer.options.first(.oscore) != nil)
        #expect(try Inverting.unseal(answer).text == "for 7: secret")
        #expect(site.receive(outer) == [answer])
        #expect(self.protection.opened == 1)
        let served = site.takeRequests()
        #expect(served.map(\.context) == [7])
        #expect(served.first?.method == .post)
    }

    @Test("what can't be opened is refused without protection, what is not believed yet is challenged with it")
    func refusals() throws {
        let site = self.site()
        var garbage = Inverting.seal(request(.get, "a"))
        garbage.payload = ByteBuffer(string: "garbage")
        let refusal = try #require(site.receive(garbage).first)
        #expect(refusal.code == .badRequest && refusal.options.first(.oscore) == nil)
        self.protection.challenges = true
        let challenge = try #require(site.receive(Inverting.seal(request(.get, "a", id: 2))).first)
        #expect(try Inverting.unseal(challenge).code == .unauthorized)
        #expect(self.protection.own == 1, "what may be a replay is not answered under its own nonce")
        #expect(site.takeRequests().isEmpty)
    }

    @Test("a bad option inside is answered inside, also for a NON")
    func badOptionInside() throws {
        let site = self.site()
        let inner = request(.get, "a", type: .nonConfirmable, [(CoAPOptionNumber(rawValue: 9999), [])])
        let answer = try #require(site.receive(Inverting.seal(inner)).first)
        #expect(try Inverting.unseal(answer).code == .badOption)
    }

    @Test("what can't be sealed is not sent")
    func exhausted() throws {
        let site = self.site()
        site.receive(Inverting.seal(request(.get, "a", [ObserveTests.register])))
        let observation = try #require(site.observations.first)
        self.protection.isExhausted = true
        site.notify(observation, response(.content, "1"))
        #expect(site.take().isEmpty)
        #expect(site.receive(Inverting.seal(request(.post, "a", id: 2))) == [empty(.acknowledgement, 2)])
        self.protection.isExhausted = false
        site.notify(observation, response(.content, "2"))
        #expect(site.take().count == 1)
    }

    @Test("observing and blocks go on inside")
    func observing() throws {
        let site = self.site { $0.blockSizeExponent = 0 }
        let first = try #require(site.receive(Inverting.seal(request(.get, "a", [ObserveTests.register]))).first)
        #expect(try Inverting.unseal(first).number(.observe) != nil)
        let observation = try #require(site.observations.first)
        site.notify(observation, response(.content, "a value of more than sixteen bytes"))
        let notification = try Inverting.unseal(try #require(site.take().first))
        #expect(notification.block(.block2)?.hasMore == true)
        #expect(notification.number(.observe) != nil)
        #expect(self.protection.own == 2)
        // A registration with the same token that is not protected is another one.
        site.receive(request(.get, "a", id: 9, [ObserveTests.register]))
        #expect(site.takeEnded().isEmpty)
        #expect(site.server.observationCount == 2)
    }
}
