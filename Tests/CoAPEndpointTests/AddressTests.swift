import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Addresses that are not proven, and Echo (RFC 9175)")
struct AddressTests {
    private static let text = String(repeating: "0123456789abcdef", count: 64)

    private static func serving(_ text: String = AddressTests.text) -> Site {
        let site = Site()
        site.observable = true
        site.resource = { _ in response(.content, text) }
        return site
    }

    private func size(_ messages: [CoAPMessage]) -> Int { messages.reduce(0) { $0 + $1.encodedSize } }

    /// A 4.01 and its Echo value.
    private func echo(_ message: CoAPMessage?) throws -> [UInt8] {
        #expect(message?.code == .unauthorized)
        return Array(try #require(message?.options.first(.echo)).readableBytesView)
    }

    @Test("an answer is at most three times its request, whatever is asked", arguments: [1, 4, 20, 60, 200])
    func amplification(length: Int) {
        let site = Self.serving()
        let path = String(repeating: "p", count: length)
        for (id, type) in [(1, .confirmable), (2, .nonConfirmable)] as [(UInt16, CoAPMessageType)] {
            for method in [CoAPCode.get, .post] {
                let message = request(method, path, type: type, id: id + UInt16(method.rawValue) * 10)
                site.feed(message.encoded())
                let answers = site.take()
                #expect(answers.count == 1)
                #expect(self.size(answers) <= 3 * message.encodedSize)
                // And again for each copy.
                if type == .confirmable { #expect(site.receive(message) == answers) }
            }
        }
        #expect(site.server.counters.amplificationsHeldBack > 0)
    }

    @Test("a large value comes in small blocks, to a client that knows no Echo too")
    func smallBlocks() throws {
        let site = Self.serving()
        var body = ""
        var id: UInt16 = 1
        var options: [(CoAPOptionNumber, [UInt8])] = []
        while true {
            let message = request(.get, "a-path-of-some-length", id: id, options)
            let answer = try #require(site.receive(message).first)
            #expect(answer.encodedSize <= 3 * message.encodedSize)
            let block = try #require(answer.block(.block2))
            #expect(block.number == UInt32(body.utf8.count / block.size))
            body += answer.text
            guard block.hasMore, id < 200 else { break }
            id += 1
            let next = UInt32(body.utf8.count / block.size)
            options = [(.block2, BlockTests.block(next, false, block.sizeExponent))]
        }
        #expect(body == Self.text)
    }

    @Test("where not even a small block fits there is a challenge, and after the Echo there is no bound")
    func challenge() throws {
        let site = Self.serving()
        let message = request(.get, "p", token: "")
        let echo = try self.echo(site.receive(message).first)
        let answer = try #require(site.receive(request(.get, "p", id: 2, token: "", [(.echo, echo)])).first)
        #expect(answer.code == .content)
        #expect(answer.payload.readableBytes == 1024)
        // From then on.
        #expect(site.receive(request(.get, "p", id: 3, token: "")).map(\.payload.readableBytes) == [1024])
        #expect(site.takeRequests().last?.isAddressProven == true)
    }

    @Test("an Echo value of another peer, another server, or with any bit changed proves nothing")
    func forgedEchoes() throws {
        let site = Self.serving()
        let echo = try self.echo(site.receive(request(.get, "p", token: "")).first)
        func isTaken(_ value: [UInt8], by site: Site, from peer: CoAPPeer, _ id: UInt16) -> Bool {
            site.receive(request(.get, "p", id: id, token: "", [(.echo, value)]), from: peer)
            return site.takeRequests().last?.age != nil
        }
        _ = site.takeRequests()
        #expect(!isTaken(echo, by: site, from: Site.other, 10))
        #expect(!isTaken(echo, by: Self.serving(), from: Site.node, 10))
        var id: UInt16 = 20
        for index in echo.indices {
            for bit in 0..<8 {
                var changed = echo
                changed[index] ^= 1 << bit
                id += 1
                #expect(!isTaken(changed, by: site, from: Site.node, id))
            }
        }
        #expect(!isTaken(Array(echo.dropLast()), by: site, from: Site.node, 8))
        #expect(!isTaken(echo + [0], by: site, from: Site.node, 9))
        #expect(isTaken(echo, by: site, from: Site.node, 11))
    }

    @Test("the owner's challenge gives the request an age, by which it is fresh or not")
    func freshness() throws {
        let site = Site()
        site.receive(request(.put, "valve", body: "open"))
        let asked = try #require(site.takeRequests().first)
        #expect(asked.age == nil)
        site.challenge(asked.id)
        let echo = try self.echo(site.take().first)
        for (wait, id) in [(0, 2), (5, 3), (60, 4)] as [(Int64, UInt16)] {
            site.pass(.seconds(wait))
            site.receive(request(.put, "valve", id: id, [(.echo, echo)], body: "open"))
            let request = try #require(site.takeRequests().first)
            let age = try #require(request.age)
            #expect(age <= .seconds([0, 5, 65][Int(id) - 2]) && age > .seconds([0, 5, 65][Int(id) - 2] - 1))
            site.ignore(request.id)
        }
    }

    @Test("a late response to such an address is sent again only as far as the bound allows")
    func separate() throws {
        let site = Site()
        let message = request(.get, "slow")
        site.receive(message)
        site.pass(.seconds(1))
        _ = site.respond(try #require(site.takeRequests().first?.id), response(.content, "0123456789"))
        site.pass(.seconds(300))
        #expect(self.size(site.take()) <= 3 * message.encodedSize)
        #expect(site.server.counters.unacknowledged == 1)
    }

    @Test("notifications stay within the bound of the registration until one is acknowledged")
    func observer() throws {
        let site = Self.serving("0")
        let message = request(.get, "t", type: .nonConfirmable, [ObserveTests.register])
        var sent = self.size(site.receive(message))
        let observation = try #require(site.observations.first)
        for round in 0..<50 {
            site.notify(observation, response(.content, "\(round)"))
            site.pass(.seconds(4))
            sent += self.size(site.take())
        }
        #expect(sent <= 3 * message.encodedSize)

        let honest = Self.serving("0")
        honest.receive(message)
        let second = try #require(honest.observations.first)
        honest.notify(second, response(.content, "1"))
        let first = try #require(honest.take().first)
        #expect(first.type == .confirmable, "proves the address")
        honest.receive(empty(.acknowledgement, first.messageID))
        for round in 0..<5 {
            honest.pass(.seconds(4))
            honest.notify(second, response(.content, "\(round)"))
            #expect(honest.take().map(\.text) == ["\(round)"])
        }
    }

    @Test("a large value is observed: room is left for the ping, then for a notification, and then there is no bound")
    func largeObserver() throws {
        let site = Self.serving()
        let message = request(.get, "a-path-of-some-length", [ObserveTests.register])
        let answers = site.receive(message)
        #expect(self.size(answers) <= 3 * message.encodedSize)
        let first = try #require(answers.first)
        #expect(first.number(.observe) != nil && first.block(.block2)?.hasMore == true)
        let observation = try #require(site.observations.first)
        site.receive(empty(.reset, try #require(answers.last).messageID))
        site.notify(observation, response(.content, Self.text + "1"))
        let second = try #require(site.take().first)
        #expect(second.encodedSize < 600)
        site.receive(empty(.acknowledgement, second.messageID))
        site.notify(observation, response(.content, Self.text + "2"))
        #expect(site.take().map(\.payload.readableBytes) == [1024])
    }

    @Test("an observation that nothing can be sent for ends")
    func starvedObserver() throws {
        let site = Self.serving("0")
        site.receive(request(.get, "t", type: .nonConfirmable, token: "", [ObserveTests.register]))
        let observation = try #require(site.observations.first)
        var response = response(.content, "1")
        response.options.append(.eTag, ByteBuffer(repeating: 1, count: 8))
        site.notify(observation, response)
        #expect(site.take().isEmpty)
        #expect(site.takeEnded() == [.unreachable])
    }

    @Test("a RST proves nothing, and neither does an acknowledgement after many wrong ones")
    func guesses() throws {
        let site = Self.serving("0")
        site.receive(request(.get, "t", [ObserveTests.register]))
        let observation = try #require(site.observations.first)
        site.notify(observation, response(.content, "1"))
        let first = try #require(site.take().first)
        for guess in 1...10 as ClosedRange<UInt16> {
            site.receive(empty(.acknowledgement, first.messageID &+ guess))
        }
        site.receive(empty(.acknowledgement, first.messageID))
        _ = site.receive(request(.get, "a", id: 7))
        #expect(site.takeRequests().last?.isAddressProven == false)
        site.notify(observation, response(.content, "2"))
        if let second = site.take().first { site.receive(empty(.reset, second.messageID)) }
        _ = site.receive(request(.get, "a", id: 8))
        #expect(site.takeRequests().last?.isAddressProven == false)
    }

    @Test("an error to a tiny request is told by its code alone")
    func errors() {
        let site = Site()
        site.resource = { _ in .error(.notFound, String(repeating: "words ", count: 20)) }
        let answer = site.receive(request(.get, "", token: ""))
        #expect(answer.map(\.code) == [.notFound])
        #expect(answer.map(\.payload.readableBytes) == [0])
    }
}
