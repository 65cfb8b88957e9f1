import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Observing: registrations (RFC 7641 §3.1, RFC 7252 §4.2, §5.2)")
struct ObserverTests {
    /// Ways in which the response to a request comes.
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case piggybacked, apartConfirmable, apartNonConfirmable, withoutACK, withoutACKNonConfirmable
        var testDescription: String { self.rawValue }
    }

    @Test("a GET with Observe 0, a random token of 8 bytes, and the options of the resource in order")
    func request() throws {
        let watch = ObserverWatch()
        let resource = CoAPResource(host: "kitchen", path: ["a", "b c"], queries: ["u=C", "n"], accept: .json)
        watch.observe(resource)
        let request = try watch.takeRequest()
        #expect(request.token.count == 8)
        #expect(request.payload.readableBytes == 0)
        let expected: [(CoAPOptionNumber, String)] = [
            (.uriHost, "kitchen"), (.observe, ""), (.uriPath, "a"), (.uriPath, "b c"), (.uriQuery, "u=C"),
            (.uriQuery, "n"), (.accept, "2"),
        ]
        #expect(
            request.options.map { CoAPOption($0.number, $0.value) }
                == expected.map { CoAPOption($0, ByteBuffer(string: $1)) }
        )
        #expect(request.number(.observe) == 0 && request.number(.accept) == 50)

        let second = ObserverWatch(seed: 2)
        second.observe(resource)
        #expect(try second.takeRequest().token != request.token)
    }

    @Test("sends again after the doubled timeout, MAX_RETRANSMIT times, the same bytes; then it has failed")
    func retransmission() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let watch = ObserverWatch(seed: seed)
            watch.observe()
            let first = watch.takeSent()
            var waits: [TimeAmount] = []
            for _ in 0..<4 {
                waits.append(watch.passUntilSent())
                let again = watch.takeSent()
                #expect(again.map(\.bytes) == first.map(\.bytes))
            }
            #expect((.seconds(2)...(.seconds(3))).contains(waits[0]))
            #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 * 2 == $1 })
            #expect(watch.takeFailures().isEmpty)
            watch.pass(waits[3] * 2)
            #expect(watch.takeFailures() == [.noAnswer])
            #expect(watch.observer.counters.retransmissions == 4)
        }
    }

    @Test("takes the response in each way that it may come, once", arguments: Way.allCases)
    func ways(_ way: Way) throws {
        let watch = ObserverWatch()
        watch.acknowledges = false
        watch.observe()
        let request = try watch.takeRequest()
        if way == .apartConfirmable || way == .apartNonConfirmable {
            #expect(watch.receive(empty(.acknowledgement, request.messageID)).isEmpty)
            watch.pass(.seconds(30))
            #expect(watch.take().isEmpty)
        }
        let type: CoAPMessageType =
            switch way {
            case .piggybacked: .acknowledgement
            case .apartConfirmable, .withoutACK: .confirmable
            case .apartNonConfirmable, .withoutACKNonConfirmable: .nonConfirmable
            }
        var response = answer(to: request, "21.5", observe: 7, [(.contentFormat, ByteBuffer())])
        response.type = type
        if type != .acknowledgement { response.messageID = 0x1234 }
        for _ in 0..<3 { #expect(watch.receive(response).isEmpty) }
        let representation = try #require(watch.representations.first)
        #expect(representation.contentFormat == .textPlain && representation.maxAge == 60)
        #expect(watch.takeTexts() == ["21.5"])
        #expect(watch.takeEstablished() == [true])

        #expect((representation.receipt != nil) == (type == .confirmable))
        watch.acknowledge(representation.receipt)
        #expect(watch.take() == (type == .confirmable ? [empty(.acknowledgement, 0x1234)] : []))
        // The node has not heard that.
        #expect(watch.receive(response) == (type == .confirmable ? [empty(.acknowledgement, 0x1234)] : []))
        watch.pass(.seconds(60))
        #expect(watch.take().isEmpty && watch.takeTexts().isEmpty)
    }

    @Test("a node that wants an Echo value gets it, once for each request (RFC 9175 §2.3)")
    func echo() throws {
        let watch = ObserverWatch()
        watch.observe()
        let value = ByteBuffer(bytes: [1, 2, 3])
        let request = try watch.takeRequest()
        #expect(request.options.first(.echo) == nil)
        let challenge = answer(to: request, code: .unauthorized, [(.echo, value)])
        let again = try #require(watch.receive(challenge).first)
        #expect(again.options.first(.echo) == value && again.token == request.token)
        #expect(again.number(.observe) == 0 && again.messageID != request.messageID)
        // A node that is never content is one that refuses.
        #expect(watch.receive(answer(to: again, code: .unauthorized, [(.echo, value)])).isEmpty)
        #expect(watch.takeFailures() == [.refused(.unauthorized)])
    }

    @Test("an Echo value is given for a further block, too, and what was fetched stays")
    func echoOfBlock() throws {
        let watch = ObserverWatch()
        watch.observe()
        let first = try watch.takeRequest()
        func block(_ number: UInt32, _ hasMore: Bool) -> (CoAPOptionNumber, ByteBuffer) {
            (.block2, ByteBuffer(bytes: BlockTests.block(number, hasMore, 0)))
        }
        let text = String(repeating: "a", count: 16)
        let second = try #require(watch.receive(answer(to: first, text, observe: 1, [block(0, true)])).first)
        let value = ByteBuffer(bytes: [7])
        let again = try #require(watch.receive(answer(to: second, code: .unauthorized, [(.echo, value)])).first)
        #expect(again.options.first(.echo) == value && again.options.first(.block2) == second.options.first(.block2))
        #expect(watch.receive(answer(to: again, "b", [block(1, false)])).isEmpty)
        #expect(watch.takeTexts() == [text + "b"])
    }

    @Test("a response that does not follow its ACK in time is none")
    func noResponse() throws {
        let watch = ObserverWatch()
        watch.observe()
        watch.receive(empty(.acknowledgement, try watch.takeRequest().messageID))
        watch.pass(.seconds(59))
        #expect(watch.take().isEmpty && watch.takeFailures().isEmpty)
        watch.pass(.seconds(1))
        #expect(watch.takeFailures() == [.noAnswer])
    }

    @Test("NSTART: one request to a node at a time, until its ACK or response; nodes do not wait for each other")
    func nStart() throws {
        let watch = ObserverWatch()
        for path in ["a", "b", "c"] { watch.observe(CoAPResource(path: [path])) }
        let first = try watch.takeRequest()
        watch.observe(CoAPResource(path: ["d"]), of: ObserverWatch.other)
        #expect(watch.takeSent().map(\.peer) == [ObserverWatch.other])
        let second = try #require(watch.receive(empty(.acknowledgement, first.messageID)).first)
        #expect(second.options.values(.uriPath) == [ByteBuffer(string: "b")])
        let third = try #require(watch.receive(answer(to: second, "b", observe: 1)).first)
        #expect(third.options.values(.uriPath) == [ByteBuffer(string: "c")])
        #expect(watch.receive(empty(.reset, third.messageID)).isEmpty)
        #expect(Set([first, second, third].map(\.messageID)).count == 3)
    }

    @Test("a node that gives up a request makes room for the next")
    func nStartAfterFailure() throws {
        let watch = ObserverWatch()
        for path in ["a", "b"] { watch.observe(CoAPResource(path: [path])) }
        _ = watch.take()
        watch.pass(.seconds(93))
        let paths = watch.take().compactMap { $0.options.first(.uriPath).map { String(buffer: $0) } }
        #expect(paths.contains("b"))
    }

    @Test("after Max-Age and 5 to 15 s of silence it registers again, under the same token (§3.3.1)")
    func silence() throws {
        for maxAge in [nil, 0, 1, 30, 3600] as [UInt32?] {
            let (watch, token) = try ObserverWatch.observing(maxAge: maxAge)
            let wait = watch.passUntilSent()
            let least = TimeAmount.seconds(Int64(maxAge ?? 60))
            #expect((least + .seconds(5)...(least + .seconds(15))).contains(wait))
            let again = try watch.takeRequest()
            #expect(again.token == token && again.number(.observe) == 0)
            // The node has restarted, and counts from the beginning.
            watch.receive(answer(to: again, "1", observe: 1))
            #expect(watch.takeTexts() == ["1"])
            watch.receive(notification(token, "2", id: 1, observe: 2))
            #expect(watch.takeTexts() == ["2"])
            #expect(watch.takeEstablished().isEmpty)
        }
    }

    @Test("a notification puts that off; so does one that comes while the request is under way")
    func notSilent() throws {
        let (watch, token) = try ObserverWatch.observing()
        for round in 1...10 as ClosedRange<UInt32> {
            watch.pass(.seconds(50))
            watch.receive(notification(token, "\(round)", id: UInt16(round), observe: 10 + round))
        }
        #expect(watch.take().isEmpty)
        watch.passUntilSent()
        let request = try watch.takeRequest()
        watch.receive(notification(token, "last", id: 11, observe: 100))
        watch.receive(answer(to: request, "older", observe: 99))
        watch.pass(.seconds(60))
        #expect(watch.take().isEmpty)
        #expect(watch.takeTexts() == (1...10).map { "\($0)" } + ["last"])
    }

    @Test("however large Max-Age is, a node is asked once a day")
    func maxSilence() throws {
        let (watch, _) = try ObserverWatch.observing(maxAge: .max)
        #expect(watch.passUntilSent() == .hours(24))
    }

    @Test("without Observe in the response it asks again when Max-Age is over, at least the interval later")
    func polling() throws {
        let watch = ObserverWatch()
        watch.observe()
        var tokens: Set<CoAPToken> = []
        for (maxAge, wait) in [(nil, 60), (0, 10), (5, 10), (100, 100)] as [(UInt32?, Int64)] {
            let request = try watch.takeRequest()
            #expect(request.number(.observe) == 0)
            tokens.insert(request.token)
            watch.receive(answer(to: request, "x", maxAge: maxAge))
            #expect(watch.passUntilSent() == .seconds(wait))
        }
        #expect(tokens.count == 4)
        #expect(watch.takeTexts().count == 4)
        #expect(watch.takeEstablished() == [false])
        // It can be observed after all.
        watch.receive(answer(to: try watch.takeRequest(), "x", observe: 1))
        #expect(watch.takeEstablished() == [true])
    }

    @Test("there are at most so many targets")
    func maxTargets() {
        let watch = ObserverWatch { $0.maxTargets = 2 }
        #expect(watch.observe() != nil && watch.observe() != nil && watch.observe() == nil)
    }
}
