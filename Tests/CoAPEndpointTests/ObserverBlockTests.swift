import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Observing: representations in blocks (RFC 7959 §2.4, §3.4)")
struct ObserverBlockTests {
    private static let large = String((0..<100).map { Character(UnicodeScalar(UInt8(0x20 + $0 % 90))) })

    /// The part of a body, with its options.
    private static func part(
        _ number: UInt32,
        of body: String,
        exponent: UInt8 = 1,
        eTag: [UInt8]? = [1]
    ) -> (text: String, options: [(CoAPOptionNumber, ByteBuffer)]) {
        let size = 16 << Int(exponent)
        let rest = body.dropFirst(Int(number) * size)
        var options: [(CoAPOptionNumber, ByteBuffer)] = []
        if let eTag { options.append((.eTag, ByteBuffer(bytes: eTag))) }
        options.append((.block2, blockValue(number, rest.count > size, exponent)))
        return (String(rest.prefix(size)), options)
    }

    /// Answers requests for blocks until there are none.
    private static func serve(_ watch: ObserverWatch, _ body: String, eTag: [UInt8]? = [1]) -> [CoAPMessage] {
        var requests: [CoAPMessage] = []
        while let request = watch.take().first(where: { $0.code == .get }) {
            requests.append(request)
            let block = request.block(.block2)
            let (text, options) = Self.part(
                block?.number ?? 0,
                of: body,
                exponent: block?.sizeExponent ?? 1,
                eTag: eTag
            )
            watch.feed(answer(to: request, text, observe: block == nil ? 10 : nil, options).encoded())
        }
        return requests
    }

    @Test("the rest is fetched without Observe, under other tokens, of the size that the node chose")
    func fetched() throws {
        let watch = ObserverWatch()
        watch.observe(CoAPResource(path: ["large"], queries: ["q"], accept: .octetStream))
        let requests = Self.serve(watch, Self.large)
        #expect(watch.takeTexts() == [Self.large])
        #expect(watch.takeEstablished() == [true])
        #expect(requests.map { $0.block(.block2)?.number } == [nil, 1, 2, 3])
        #expect(requests.dropFirst().allSatisfy { $0.number(.observe) == nil && $0.block(.block2)?.sizeExponent == 1 })
        #expect(requests.allSatisfy { $0.options.values(.uriQuery) == [ByteBuffer(string: "q")] })
        #expect(requests.allSatisfy { $0.number(.accept) == 42 })
        #expect(Set(requests.map(\.token)).count == 4)
    }

    @Test(
        "of a notification as well, which is acknowledged at once",
        arguments: [CoAPMessageType.confirmable, .nonConfirmable]
    )
    func notified(_ type: CoAPMessageType) throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large)
        let sent = watch.receive(notification(token, text, type: type, id: 1, observe: 11, options))
        #expect(sent.filter { $0.type == .acknowledgement }.count == (type == .confirmable ? 1 : 0))
        #expect(watch.takeTexts().isEmpty)
        let request = try #require(sent.first { $0.code == .get })
        let (next, more) = Self.part(1, of: Self.large)
        watch.feed(answer(to: request, next, more).encoded())
        _ = Self.serve(watch, Self.large)
        #expect(watch.takeTexts() == [Self.large])
        watch.receive(notification(token, "small", id: 2, observe: 12))
        #expect(watch.takeTexts() == ["small"])
    }

    @Test("a whole body in one block, and one that has no ETag")
    func small() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.receive(notification(token, "one", id: 1, observe: 11, [(.block2, blockValue(0, false, 6))]))
        #expect(watch.takeTexts() == ["one"])
        let (text, options) = Self.part(0, of: Self.large, eTag: nil)
        watch.feed(notification(token, text, id: 2, observe: 12, options).encoded())
        _ = Self.serve(watch, Self.large, eTag: nil)
        #expect(watch.takeTexts() == [Self.large])
    }

    @Test("a block that comes apart, confirmable, is acknowledged at once")
    func apart() throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large, exponent: 2)
        let request = try #require(watch.receive(notification(token, text, id: 1, observe: 11, options)).first)
        watch.receive(empty(.acknowledgement, request.messageID))
        let (next, more) = Self.part(1, of: Self.large, exponent: 2)
        let block = notification(request.token, next, type: .confirmable, id: 2, more)
        #expect(watch.receive(block) == [empty(.acknowledgement, 2)])
        #expect(watch.receive(block) == [empty(.acknowledgement, 2)])
        #expect(watch.takeTexts() == [Self.large])
    }

    @Test("smaller blocks than asked for go on where the last ended")
    func smallerBlocks() throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large, exponent: 2)
        let request = try #require(watch.receive(notification(token, text, id: 1, observe: 11, options)).first)
        #expect(request.block(.block2)?.number == 1)
        let (next, more) = Self.part(4, of: Self.large, exponent: 0)
        let again = try #require(watch.receive(answer(to: request, next, more)).first)
        #expect(again.block(.block2) == CoAPBlock(number: 5, hasMore: false, sizeExponent: 0))
        let (fifth, rest) = Self.part(5, of: Self.large, exponent: 0)
        watch.feed(answer(to: again, fifth, rest).encoded())
        _ = Self.serve(watch, Self.large)
        #expect(watch.takeTexts() == [Self.large])
    }

    @Test("a newer notification takes the place of what is being fetched")
    func superseded() throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large)
        let old = try #require(watch.receive(notification(token, text, id: 1, observe: 11, options)).first)
        let newer = Self.large.uppercased() + "more"
        let (first, others) = Self.part(0, of: newer, eTag: [2])
        watch.feed(notification(token, first, id: 2, observe: 12, others).encoded())
        let (stale, staleOptions) = Self.part(1, of: Self.large)
        watch.feed(answer(to: old, stale, staleOptions).encoded())
        _ = Self.serve(watch, newer, eTag: [2])
        #expect(watch.takeTexts() == [newer])
        #expect(watch.takeFailures().isEmpty)
    }

    @Test(
        "blocks that do not fit give nothing, and the resource is asked for anew",
        arguments: [
            ("another ETag", 1, 1, [2], 32, .content, .changedMeanwhile),
            ("no ETag", 1, 1, nil, 32, .content, .changedMeanwhile),
            ("another number", 2, 1, [1], 32, .content, .malformedBlocks),
            ("the first again", 0, 1, [1], 32, .content, .malformedBlocks),
            ("larger blocks", 1, 2, [1], 64, .content, .malformedBlocks),
            ("a short block", 1, 1, [1], 31, .content, .malformedBlocks),
            ("an empty block", 1, 1, [1], 0, .content, .malformedBlocks),
            ("a long block", 1, 1, [1], 33, .content, .malformedBlocks),
            ("no Block2", nil, 1, [1], 32, .content, .malformedBlocks),
            ("4.08", 1, 1, [1], 32, .requestEntityIncomplete, .refused(.requestEntityIncomplete)),
            ("2.31", 1, 1, [1], 32, .continue, .unexpected(.continue)),
        ] as [(String, UInt32?, UInt8, [UInt8]?, Int, CoAPCode, CoAPObserverFailure)]
    )
    func misfits(
        _ name: String,
        _ number: UInt32?,
        _ exponent: UInt8,
        _ eTag: [UInt8]?,
        _ count: Int,
        _ code: CoAPCode,
        _ failure: CoAPObserverFailure
    ) throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large)
        let request = try #require(watch.receive(notification(token, text, id: 1, observe: 11, options)).first)
        var answered: [(CoAPOptionNumber, ByteBuffer)] = []
        if let eTag { answered.append((.eTag, ByteBuffer(bytes: eTag))) }
        if let number { answered.append((.block2, blockValue(number, true, exponent))) }
        let body = String(repeating: "y", count: count)
        #expect(watch.receive(answer(to: request, body, code: code, answered)).isEmpty)
        #expect(watch.takeFailures() == [failure])
        #expect(watch.takeTexts().isEmpty)
        // The node still notifies.
        watch.receive(notification(token, "next", id: 2, observe: 12))
        #expect(watch.takeTexts() == ["next"])

        let (second, secondOptions) = Self.part(0, of: Self.large)
        let last = try #require(watch.receive(notification(token, second, id: 3, observe: 13, secondOptions)).first)
        watch.receive(answer(to: last, body, code: code, answered))
        watch.passUntilSent(within: .seconds(5))
        #expect(Self.serve(watch, Self.large).first?.token == token)
        #expect(watch.takeTexts() == [Self.large])
    }

    @Test("a body over the limit is given up when that shows, at the latest at the limit")
    func tooLarge() throws {
        let (watch, token) = try ObserverWatch.observing { $0.maxBodyBytes = 100 }
        let sized: [(CoAPOptionNumber, ByteBuffer)] = [
            (.block2, blockValue(0, true, 1)), (.size2, ByteBuffer(bytes: [101])),
        ]
        let body = String(repeating: "z", count: 32)
        watch.receive(notification(token, body, id: 1, observe: 11, sized))
        #expect(watch.takeFailures() == [.tooLarge(limit: 100)])
        // One that never ends.
        watch.feed(notification(token, body, id: 2, observe: 12, [(.block2, blockValue(0, true, 1))]).encoded())
        var count = 0
        while let request = watch.take().first, let block = request.block(.block2), count < 10 {
            count += 1
            watch.feed(
                answer(to: request, body, [(.block2, blockValue(block.number, true, 1))]).encoded()
            )
        }
        #expect(count == 3)
        #expect(watch.takeFailures() == [.tooLarge(limit: 100)])
        #expect(watch.takeTexts().isEmpty)
    }

    @Test("a block that is not answered fails, and the resource is asked for anew")
    func unanswered() throws {
        let (watch, token) = try ObserverWatch.observing()
        let (text, options) = Self.part(0, of: Self.large)
        watch.feed(notification(token, text, id: 1, observe: 11, options).encoded())
        watch.pass(.seconds(93))
        #expect(watch.takeFailures() == [.noAnswer])
        _ = watch.take()
        watch.passUntilSent()
        _ = Self.serve(watch, Self.large)
        #expect(watch.takeTexts() == [Self.large])
    }
}
