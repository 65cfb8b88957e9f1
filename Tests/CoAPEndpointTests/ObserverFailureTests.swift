import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

@Suite("Observing: failures and hostile answers")
struct ObserverFailureTests {
    /// Something that is no good representation.
    struct Answer: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: CoAPCode
        var options: [(CoAPOptionNumber, [UInt8])] = []
        let failure: CoAPObserverFailure

        init(
            _ name: String,
            _ code: CoAPCode = .content,
            _ options: [(CoAPOptionNumber, [UInt8])] = [],
            _ failure: CoAPObserverFailure
        ) {
            self.testDescription = name
            self.code = code
            self.options = options
            self.failure = failure
        }

        var buffers: [(CoAPOptionNumber, ByteBuffer)] { self.options.map { ($0, ByteBuffer(bytes: $1)) } }
    }

    static let vectors: [Answer] = [
        Answer("4.04", .notFound, [], .refused(.notFound)),
        Answer("4.06", .notAcceptable, [], .refused(.notAcceptable)),
        Answer("5.00", .internalServerError, [], .refused(.internalServerError)),
        Answer("2.31 that never ends", .continue, [], .unexpected(.continue)),
        Answer("2.03 that nobody asked for", .valid, [], .unexpected(.valid)),
        Answer("2.04", .changed, [], .unexpected(.changed)),
        Answer("class 3", CoAPCode(3, 1), [], .unexpected(CoAPCode(3, 1))),
        Answer("critical option 9 (OSCORE)", .content, [(.oscore, [])], .badOption(.oscore)),
        Answer(
            "critical option 65001",
            .content,
            [(CoAPOptionNumber(rawValue: 65001), [1])],
            .badOption(CoAPOptionNumber(rawValue: 65001))
        ),
        Answer("Uri-Path in a response", .content, [(.uriPath, [97])], .badOption(.uriPath)),
        Answer("Block2 twice", .content, [(.block2, [0x06]), (.block2, [0x06])], .badOption(.block2)),
        Answer("Block2 of four bytes", .content, [(.block2, [0, 0, 0, 6])], .badOption(.block2)),
        Answer("Block2 of the reserved size", .content, [(.block2, [0x07])], .badOption(.block2)),
        Answer("Block2 that is not the first", .content, [(.block2, [0x10])], .malformedBlocks),
        Answer("a first block that is short", .content, [(.block2, [0x0A])], .malformedBlocks),
        Answer("a first block that is long", .content, [(.block2, [0x08])], .malformedBlocks),
    ]

    private static let body = String(repeating: "x", count: 20)

    @Test("in the answer to the request nothing is taken, and it is asked again later", arguments: Self.vectors)
    func inAnswers(_ vector: Answer) throws {
        let watch = ObserverWatch()
        watch.observe()
        let request = try watch.takeRequest()
        #expect(watch.receive(answer(to: request, Self.body, code: vector.code, observe: 1, vector.buffers)).isEmpty)
        #expect(watch.takeFailures() == [vector.failure])
        #expect(watch.takeTexts().isEmpty && watch.takeEstablished().isEmpty)
        watch.passUntilSent(within: .seconds(5))
        watch.receive(answer(to: try watch.takeRequest(), "good", observe: 1))
        #expect(watch.takeTexts() == ["good"])
        #expect(watch.takeEstablished() == [true])
    }

    @Test("in a notification nothing is taken; an option that is not understood is rejected", arguments: Self.vectors)
    func inNotifications(_ vector: Answer) throws {
        for type in [CoAPMessageType.confirmable, .nonConfirmable] {
            let (watch, token) = try ObserverWatch.observing()
            let message = notification(
                token,
                Self.body,
                type: type,
                code: vector.code,
                id: 9,
                observe: 11,
                vector.buffers
            )
            let isRejected = if case .badOption = vector.failure { true } else { false }
            let expected =
                isRejected ? [empty(.reset, 9)] : type == .confirmable ? [empty(.acknowledgement, 9)] : []
            #expect(watch.receive(message) == expected)
            #expect(watch.receive(message) == expected)
            #expect(watch.takeFailures() == [vector.failure])
            #expect(watch.takeTexts().isEmpty)
            watch.passUntilSent(within: .seconds(5))
            watch.receive(answer(to: try watch.takeRequest(), "good", observe: 12))
            #expect(watch.takeTexts() == ["good"])
        }
    }

    @Test(
        "elective options that are unknown, too long or there twice change nothing",
        arguments: [
            [(.init(rawValue: 65000), [1])], [(.contentFormat, [1, 2, 3])], [(.maxAge, [0, 0, 0, 0, 1])],
            [(.eTag, [])], [(.eTag, [1, 2, 3, 4, 5, 6, 7, 8, 9])], [(.contentFormat, [0]), (.contentFormat, [50])],
            [(.size2, [1, 2, 3, 4, 5])], [(.locationPath, [97])],
        ] as [[(CoAPOptionNumber, [UInt8])]]
    )
    func elective(_ options: [(CoAPOptionNumber, [UInt8])]) throws {
        let (watch, token) = try ObserverWatch.observing()
        let buffers = options.map { ($0, ByteBuffer(bytes: $1)) }
        watch.receive(notification(token, "1", id: 9, observe: 11, buffers))
        #expect(watch.representations.last?.maxAge == 60)
        #expect(watch.representations.last?.contentFormat ?? .textPlain == .textPlain)
        #expect(watch.takeTexts() == ["1"])
    }

    @Test("an Observe of four bytes is none: the resource is not observed")
    func longObserve() throws {
        let watch = ObserverWatch()
        watch.observe()
        let request = try watch.takeRequest()
        watch.receive(answer(to: request, "0", [(.observe, ByteBuffer(bytes: [0, 0, 0, 1]))]))
        #expect(watch.takeEstablished() == [false])
    }

    @Test("a RST to the request, and then to no other")
    func reset() throws {
        let watch = ObserverWatch()
        watch.observe()
        let request = try watch.takeRequest()
        #expect(watch.receive(empty(.reset, request.messageID)).isEmpty)
        #expect(watch.receive(empty(.reset, request.messageID)).isEmpty)
        #expect(watch.takeFailures() == [.reset])
        watch.passUntilSent(within: .seconds(5))
        #expect(try watch.takeRequest().token != request.token)
    }

    @Test("the wait doubles up to the limit, and a success ends it")
    func backoff() throws {
        let watch = ObserverWatch()
        watch.observe()
        for round in 0..<10 {
            watch.receive(empty(.reset, try watch.takeRequest().messageID))
            let full = min(TimeAmount.seconds(5 << Int64(round)), .minutes(5))
            let wait = watch.passUntilSent()
            #expect(wait * 2 >= full && wait <= full)
        }
        watch.receive(answer(to: try watch.takeRequest(), "0", observe: 1))
        watch.passUntilSent()
        watch.receive(empty(.reset, try watch.takeRequest().messageID))
        #expect(watch.passUntilSent() <= .seconds(5))
    }

    @Test(
        "5.03 and 4.29 say how long to wait, up to a limit",
        arguments: [
            (.serviceUnavailable, 30, 30), (.serviceUnavailable, 0, 1), (.tooManyRequests, 7, 7),
            (.serviceUnavailable, .max, 3600),
        ] as [(CoAPCode, UInt32, Int64)]
    )
    func retryAfter(_ code: CoAPCode, _ maxAge: UInt32, _ wait: Int64) throws {
        let watch = ObserverWatch()
        watch.observe()
        watch.receive(answer(to: try watch.takeRequest(), code: code, maxAge: maxAge))
        #expect(watch.takeFailures() == [.refused(code)])
        #expect(watch.passUntilSent() == .seconds(wait))
    }

    @Test("a node that was out of reach and notifies again is among the observed at once")
    func back() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.pass(.seconds(200))
        #expect(watch.takeFailures() == [.noAnswer])
        _ = watch.take()
        watch.receive(notification(token, "1", id: 1, observe: 11))
        #expect(watch.takeTexts() == ["1"] && watch.takeEstablished() == [true])
    }

    // MARK: Messages that answer nothing

    @Test("a wrong address, a wrong token, a wrong Message ID: nothing is taken, and the request goes on")
    func strangers() throws {
        let watch = ObserverWatch()
        watch.observe()
        let request = try watch.takeRequest()
        var wrongToken = answer(to: request, "forged", observe: 1)
        wrongToken.token = token("wrong")
        var wrongID = answer(to: request, "forged", observe: 1)
        wrongID.messageID &+= 1
        #expect(watch.receive(wrongToken).isEmpty)
        #expect(watch.receive(wrongID).isEmpty)
        #expect(watch.receive(answer(to: request, "forged", observe: 1), from: ObserverWatch.other).isEmpty)
        #expect(watch.receive(empty(.acknowledgement, request.messageID), from: ObserverWatch.other).isEmpty)
        #expect(watch.receive(empty(.reset, request.messageID), from: ObserverWatch.other).isEmpty)
        #expect(watch.receive(empty(.reset, request.messageID &+ 1)).isEmpty)
        #expect(watch.takeTexts().isEmpty && watch.takeFailures().isEmpty)
        #expect(watch.observer.counters.misplaced == 6)
        watch.passUntilSent()
        #expect(watch.take() == [request])
        watch.receive(answer(to: request, "good", observe: 1))
        #expect(watch.takeTexts() == ["good"])
    }

    @Test("responses under a token that is not known are rejected, whoever sends them; ACKs never are")
    func unknownTokens() throws {
        let (watch, good) = try ObserverWatch.observing()
        for type in [CoAPMessageType.confirmable, .nonConfirmable] {
            let unknown = notification(token("forged"), "1", type: type, id: 1, observe: 99)
            #expect(watch.receive(unknown) == [empty(.reset, 1)])
            #expect(watch.receive(unknown, from: ObserverWatch.other) == [empty(.reset, 1)])
            let elsewhere = notification(good, "1", type: type, id: 2, observe: 99)
            #expect(watch.receive(elsewhere, from: ObserverWatch.other) == [empty(.reset, 2)])
        }
        #expect(watch.receive(empty(.acknowledgement, 1)).isEmpty)
        #expect(watch.takeTexts().isEmpty && watch.takeFailures().isEmpty)
        watch.receive(notification(good, "1", id: 3, observe: 11))
        #expect(watch.takeTexts() == ["1"])
    }

    @Test("requests and pings are rejected if confirmable, and else passed over")
    func requests() throws {
        let (watch, _) = try ObserverWatch.observing()
        #expect(watch.receive(request(.get, "a", id: 1)) == [empty(.reset, 1)])
        #expect(watch.receive(request(.post, "a", type: .nonConfirmable, id: 2)).isEmpty)
        #expect(watch.receive(empty(.confirmable, 3)) == [empty(.reset, 3)])
    }

    @Test("datagrams that are no message are rejected if confirmable, and change nothing")
    func malformed() throws {
        let (watch, good) = try ObserverWatch.observing()
        var huge = notification(good, "", type: .confirmable, id: 4, observe: 11)
        huge.payload = ByteBuffer(repeating: 1, count: 5000)
        watch.feed(huge.encoded())
        #expect(watch.take() == [empty(.reset, 4)])
        for bytes in [[], [0x40], [0x00, 0x45, 0, 1], [0x59, 0x45, 0, 1], [0x50, 0x45, 0, 1, 0xFF]] as [[UInt8]] {
            watch.feed(ByteBuffer(bytes: bytes))
            #expect(watch.take().isEmpty)
        }
        watch.feed(ByteBuffer(bytes: [0x40, 0xE1, 0, 9]))  // CON 7.01.
        #expect(watch.take() == [empty(.reset, 9)])
        #expect(watch.takeTexts().isEmpty && watch.takeFailures().isEmpty)
        #expect(watch.observer.counters.malformed == 7)
    }

    @Test("a node that answers at random, and forgers around it: nothing grows, nothing loops")
    func random() {
        var generator = SeededGenerator(seed: 5)
        let watch = ObserverWatch()
        for path in ["a", "b", "c"] { watch.observe(CoAPResource(path: [path])) }
        var tokens: [CoAPToken] = []
        var ids: [UInt16] = [0]
        for _ in 0..<5000 {
            for message in watch.take() where message.code == .get {
                tokens.append(message.token)
                ids.append(message.messageID)
            }
            tokens = tokens.suffix(6)
            ids = ids.suffix(6)
            var options = CoAPOptions()
            for number in [4, 6, 12, 14, 23, 28, 9, 65001] as [UInt16]
            where Int.random(in: 0..<4, using: &generator) == 0 {
                let count = Int.random(in: 0...4, using: &generator)
                let value = (0..<count).map { _ in UInt8.random(in: 0...40, using: &generator) }
                options.append(CoAPOptionNumber(rawValue: number), ByteBuffer(bytes: value))
            }
            let codes: [CoAPCode] = [
                .content, .content, .content, .empty, .continue, .notFound, .get, .serviceUnavailable,
            ]
            let code = codes.randomElement(using: &generator) ?? .content
            let message = CoAPMessage(
                type: CoAPMessageType(rawValue: UInt8.random(in: 0...3, using: &generator)) ?? .reset,
                code: code,
                messageID: Bool.random(using: &generator) ? ids.randomElement(using: &generator) ?? 0 : 7,
                token: code.isEmpty ? .empty : tokens.randomElement(using: &generator) ?? .empty,
                options: code.isEmpty ? CoAPOptions() : options,
                payload: ByteBuffer(
                    repeating: 0,
                    count: code.isEmpty ? 0 : [0, 16, 32, 64].randomElement(using: &generator) ?? 0
                )
            )
            watch.feed(
                message.encoded(),
                from: Int.random(in: 0..<8, using: &generator) == 0 ? Self.forger : ObserverWatch.node
            )
            watch.pass(.milliseconds(Int64.random(in: 0...2000, using: &generator)))
        }
        #expect(watch.observer.targetCount == 3 && watch.observer.nodeCount == 1)
        #expect(watch.observer.timerCount <= 4 * 3 + 64 + 1)
        #expect(!watch.takeTexts().isEmpty)
    }

    private static let forger = CoAPPeer(ipv4: 0x0A00_0099, port: 1)
}
