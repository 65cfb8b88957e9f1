import CoAPCodec
import NIOCore
import TestSupport
import Testing

@testable import Sealing

@Suite("OSCORE receiver")
struct OSCOREReceiverTests {
    private static func pair(
        _ algorithm: OSCOREAlgorithm = .aesCCM16x64x128,
        idContext: [UInt8]? = nil,
        isExact: Bool = true
    ) throws -> (client: OSCOREPeer, receiver: OSCOREReceiver) {
        let secret = Array(0..<16 as Range<UInt8>)
        let context = try OSCOREContext(
            masterSecret: secret,
            masterSalt: [1, 2, 3],
            idContext: idContext,
            algorithm: algorithm,
            senderID: [9],
            recipientID: [7, 7]
        )
        var state = OSCOREState(
            window: OSCOREReplayWindow(),
            isExact: isExact,
            sequence: OSCORESequence(stored: 0)
        )
        state.sequence.didReserve(1000)
        let client = OSCOREPeer(
            secret: secret,
            salt: [1, 2, 3],
            senderID: [7, 7],
            recipientID: [9],
            idContext: idContext,
            algorithm: algorithm.rawValue
        )
        return (client, OSCOREReceiver(context, state: state))
    }

    private static func request(
        _ method: CoAPCode = .post,
        _ options: [(CoAPOptionNumber, [UInt8])] = [],
        body: String = "21.5"
    ) -> CoAPMessage {
        var list = CoAPOptions()
        list.append(.uriPath, "ps")
        list.append(.uriPath, "t")
        for (number, value) in options { list.append(number, ByteBuffer(bytes: value)) }
        return CoAPMessage(
            type: .confirmable,
            code: method,
            messageID: 1,
            token: CoAPToken([1, 2]) ?? .empty,
            options: list,
            payload: ByteBuffer(string: body)
        )
    }

    private func refusal(_ verdict: OSCOREReceiver.Verdict) -> OSCOREReceiver.Refusal? {
        if case .refused(let refusal) = verdict { refusal } else { nil }
    }

    @Test(
        "requests and responses go both ways with every algorithm, and nothing of them is seen outside",
        arguments: OSCOREAlgorithm.allCases
    )
    func roundTrip(algorithm: OSCOREAlgorithm) throws {
        let (client, receiver) = try Self.pair(algorithm, idContext: [4, 5])
        let plain = Self.request(.put, [(.contentFormat, [50]), (.uriQuery, Array("a=1".utf8)), (.uriHost, [0x67])])
        let outer = client.seal(plain, sequence: 5)
        #expect(outer.code == .post)
        #expect(outer.options.map(\.number) == [.uriHost, .oscore])
        guard case .opened(let inner, let request) = receiver.open(outer) else {
            Issue.record("not opened")
            return
        }
        #expect(inner == plain)
        var response = CoAPMessage(type: .acknowledgement, code: .content, messageID: 1, token: plain.token)
        response.options.append(.contentFormat, uint: 50 as UInt8)
        response.options.append(.maxAge, uint: 5 as UInt8)
        response.payload = ByteBuffer(string: "answer")
        for ownIV in [false, true] {
            let sealed = try #require(receiver.seal(response, to: request, withOwnPartialIV: ownIV))
            #expect(sealed.code == .changed)
            #expect(sealed.options.map(\.number) == [.oscore])
            #expect(client.open(sealed, to: 5) == response)
            #expect(client.open(sealed, to: 6) == nil, "not an answer to another request")
        }
    }

    @Test("any bit changed in payload or option, and any other key, number or ID, opens nothing")
    func forgeries() throws {
        let (client, receiver) = try Self.pair()
        let outer = client.seal(Self.request(), sequence: 300)
        let value = try #require(outer.options.first(.oscore))
        for index in 0..<outer.payload.readableBytes {
            for bit in 0..<8 {
                var changed = outer
                let at = changed.payload.readerIndex + index
                let byte = changed.payload.getInteger(at: at, as: UInt8.self) ?? 0
                changed.payload.setInteger(byte ^ 1 << bit, at: at)
                #expect(self.refusal(receiver.open(changed)) == .notProven)
            }
        }
        for index in 0..<value.readableBytes {
            for bit in 0..<8 {
                var bytes = Array(value.readableBytesView)
                bytes[index] ^= 1 << bit
                var changed = outer
                changed.options.remove(.oscore)
                changed.options.append(.oscore, ByteBuffer(bytes: bytes))
                #expect(self.refusal(receiver.open(changed)) != nil)
            }
        }
        for length in 0..<outer.payload.readableBytes {
            var cut = outer
            cut.payload = try #require(outer.payload.getSlice(at: outer.payload.readerIndex, length: length))
            #expect(self.refusal(receiver.open(cut)) == .notProven)
        }
        #expect(receiver.state.window == OSCOREReplayWindow(), "nothing of it has moved the window")
        guard case .opened = receiver.open(outer) else {
            Issue.record("the message itself is not opened")
            return
        }
    }

    @Test("a number comes once, in any order within the window, and never below it")
    func replays() throws {
        let (client, receiver) = try Self.pair()
        func open(_ sequence: UInt64) -> OSCOREReceiver.Refusal? {
            self.refusal(receiver.open(client.seal(Self.request(), sequence: sequence)))
        }
        for sequence in [100, 90, 99, 37, 101] as [UInt64] {
            #expect(open(sequence) == nil)
            #expect(open(sequence) == .replayed)
        }
        #expect(open(37) == .replayed)
        #expect(open(36) == .replayed)
        #expect(open(38) == nil)
        #expect(open(OSCORESequence.max) == nil)
        #expect(open(102) == .replayed)
    }

    @Test("after a restart without a window nothing is believed until an Echo has come back (Appendix B.1.2)")
    func restart() throws {
        let (client, receiver) = try Self.pair(isExact: false)
        let recorded = client.seal(Self.request(), sequence: 10)
        let fresh = client.seal(Self.request(.post, [(.echo, [1, 2, 3])]), sequence: 11)
        for _ in 0..<2 {
            guard case .unknownFreshness(let inner, let request) = receiver.open(recorded) else {
                Issue.record("not of unknown freshness")
                return
            }
            #expect(inner.options.first(.echo) == nil)
            var challenge = CoAPMessage(type: .acknowledgement, code: .unauthorized, messageID: 1)
            challenge.options.append(.echo, ByteBuffer(bytes: [1, 2, 3]))
            let sealed = try #require(receiver.seal(challenge, to: request, withOwnPartialIV: true))
            #expect(client.open(sealed, to: 10)?.options.first(.echo) == ByteBuffer(bytes: [1, 2, 3]))
        }
        guard case .unknownFreshness(let inner, let request) = receiver.open(fresh) else {
            Issue.record("not of unknown freshness")
            return
        }
        #expect(inner.options.first(.echo) == ByteBuffer(bytes: [1, 2, 3]))
        receiver.accept(request)
        #expect(self.refusal(receiver.open(fresh)) == .replayed)
        for sequence in 0...10 as ClosedRange<UInt64> {
            guard case .unknownFreshness = receiver.open(client.seal(Self.request(), sequence: sequence)) else {
                Issue.record("what may be from before is believed")
                return
            }
        }
        guard case .opened = receiver.open(client.seal(Self.request(), sequence: 12)) else {
            Issue.record("not opened")
            return
        }
    }

    @Test("what the stored window has seen is refused outright, and what an orderly end leaves behind has no holes")
    func restored() throws {
        let (client, receiver) = try Self.pair()
        let numbers = [100, 101, 140] as [UInt64]
        for number in numbers { _ = receiver.open(client.seal(Self.request(), sequence: number)) }
        // As after a crash.
        receiver.state = OSCOREState(
            window: receiver.state.window,
            isExact: false,
            sequence: OSCORESequence(stored: 0)
        )
        #expect(receiver.state.exactWindow == nil)
        for number in numbers + [0, 76] {
            #expect(self.refusal(receiver.open(client.seal(Self.request(), sequence: number))) == .replayed)
        }
        guard case .unknownFreshness(_, let late) = receiver.open(client.seal(Self.request(), sequence: 139)),
            case .unknownFreshness(_, let first) = receiver.open(client.seal(Self.request(), sequence: 120)),
            case .unknownFreshness = receiver.open(client.seal(Self.request(), sequence: 500))
        else {
            Issue.record("not of unknown freshness")
            return
        }
        // Both brought an Echo, in whatever order: those between them were made after the start, too.
        receiver.accept(late)
        receiver.accept(first)
        #expect(self.refusal(receiver.open(client.seal(Self.request(), sequence: 139))) == .replayed)
        guard case .opened = receiver.open(client.seal(Self.request(), sequence: 130)),
            case .unknownFreshness = receiver.open(client.seal(Self.request(), sequence: 119))
        else {
            Issue.record("121 and above are fresh, and nothing below")
            return
        }
        let window = try #require(receiver.state.exactWindow)
        for number in 0...200 as ClosedRange<UInt64> {
            let isNew = number > 120 && ![130, 139, 140].contains(number)
            #expect(window.allows(number) == isNew, "\(number)")
        }
    }

    @Test("a closed window allows nothing below its limit, and above it what it allowed before")
    func closed() {
        for limit in [0, 1, 30, 63, 64, 65, 100, 127, 128, 129, 1000] as [UInt64] {
            var window = OSCOREReplayWindow()
            for number in [70, 90, 127] as [UInt64] { window.insert(number) }
            let closed = window.closed(below: limit)
            for number in 0...1100 as ClosedRange<UInt64> {
                #expect(closed.allows(number) == (number >= limit && window.allows(number)), "\(limit) \(number)")
            }
        }
        #expect(OSCOREReplayWindow().closed(below: 0) == OSCOREReplayWindow())
    }

    @Test("what can't be read is 4.02, what is not proven 4.00, what has come before 4.01 (RFC 8613 §8.2)")
    func refusals() throws {
        let (client, receiver) = try Self.pair()
        func verdict(_ option: [UInt8]) -> OSCOREReceiver.Refusal? {
            var outer = client.seal(Self.request(), sequence: 1)
            outer.options.remove(.oscore)
            outer.options.append(.oscore, ByteBuffer(bytes: option))
            return self.refusal(receiver.open(outer))
        }
        #expect(verdict([]) == .malformed, "a request without kid and Partial IV")
        #expect(verdict([0x08, 7, 7]) == .malformed, "without Partial IV")
        #expect(verdict([0x01, 1]) == .malformed, "without kid")
        #expect(verdict([0x09, 1, 7]) == .malformed, "another kid")
        #expect(verdict([0x09, 2, 7, 7]) == .notProven)
        #expect(OSCOREReceiver.Refusal.malformed.code == .badOption)
        #expect(OSCOREReceiver.Refusal.replayed.code == .unauthorized)
        #expect(OSCOREReceiver.Refusal.notProven.code == .badRequest)
        let other = OSCOREPeer(secret: [1], senderID: [7, 7], recipientID: [9])
        #expect(self.refusal(receiver.open(other.seal(Self.request(), sequence: 1))) == .notProven)
    }

    @Test("what is inside is read as strictly as any message, and must be a request")
    func inside() throws {
        let (client, receiver) = try Self.pair()
        #expect(self.refusal(receiver.open(client.seal(Self.request(.content), sequence: 1))) == .notProven)
        for (index, plaintext) in ["", "00", "21", "01ff", "01f0", "01b4", "e1"].enumerated() {
            let outer = client.seal(Self.request(), sequence: 2)
            var bytes = ByteBuffer(repeating: 0, count: OSCOREMessage.spareBytes)
            bytes.writeBytes(hexBytes(plaintext))
            #expect(OSCOREMessage.message(of: &bytes, outer: outer) == nil, "\(index)")
        }
    }

    @Test("Observe counts only if it is inside and outside; a notification says so in both places (§4.1.3.5)")
    func observe() throws {
        let (client, receiver) = try Self.pair()
        let outer = client.seal(Self.request(.get, [(.observe, [])], body: ""), sequence: 1)
        #expect(outer.code == .fetch)
        guard case .opened(let inner, let request) = receiver.open(outer) else {
            Issue.record("not opened")
            return
        }
        #expect(inner.options.first(.observe)?.readableBytes == 0)
        var notification = CoAPMessage(type: .confirmable, code: .content, messageID: 7, token: inner.token)
        notification.options.append(.observe, uint: 1234 as UInt32)
        let sealed = try #require(receiver.seal(notification, to: request, withOwnPartialIV: true))
        #expect(sealed.code == .content)
        #expect(sealed.options.first { $0.number == .observe }.flatMap(\.uint) == 1234)
        #expect(client.open(sealed, to: 1)?.options.first(.observe)?.readableBytes == 0)
        // A proxy took it away, or changed it.
        for value in [nil, [1]] as [[UInt8]?] {
            var changed = client.seal(Self.request(.get, [(.observe, [])], body: ""), sequence: value == nil ? 2 : 3)
            changed.options.remove(.observe)
            if let value { changed.options.append(.observe, ByteBuffer(bytes: value)) }
            guard case .opened(let inner, _) = receiver.open(changed) else {
                Issue.record("not opened")
                return
            }
            #expect(inner.options.first(.observe) == nil)
        }
    }

    @Test("options for proxies are not believed inside, others not outside")
    func classes() throws {
        let (client, receiver) = try Self.pair()
        var outer = client.seal(Self.request(), sequence: 1)
        outer.options.append(.uriPath, "evil")
        outer.options.append(.uriQuery, "evil")
        outer.options.append(.ifMatch, ByteBuffer(bytes: [1]))
        guard case .opened(let inner, _) = receiver.open(outer) else {
            Issue.record("not opened")
            return
        }
        #expect(inner == Self.request())
    }

    @Test("numbers are never used twice, over restarts too, and only when they are written down")
    func sequence() {
        var sequence = OSCORESequence(stored: 0)
        #expect(sequence.take() == nil)
        #expect(sequence.wantsReservation == 256)
        sequence.didReserve(256)
        #expect(sequence.wantsReservation == nil)
        for number in 0..<129 as Range<UInt64> { #expect(sequence.take() == number) }
        #expect(sequence.wantsReservation == 385)
        var restarted = OSCORESequence(stored: 256)
        #expect(restarted.take() == nil)
        restarted.didReserve(512)
        #expect(restarted.take() == 256)
        var last = OSCORESequence(stored: OSCORESequence.max - 1)
        #expect(last.wantsReservation == OSCORESequence.max)
        last.didReserve(.max)
        #expect(last.take() == OSCORESequence.max - 1)
        #expect(last.take() == nil && last.wantsReservation == nil)
    }

    @Test("options are read strictly and written in one form (§6.1)")
    func options() {
        func bytes(_ bytes: UInt8...) -> ByteBuffer { ByteBuffer(bytes: bytes) }
        let good: [(String, OSCOREOption)] = [
            ("", OSCOREOption()), ("0914", OSCOREOption(sequence: 0x14, kid: bytes())),
            ("091425", OSCOREOption(sequence: 0x14, kid: bytes(0x25))),
            ("190502 4a4b 25", OSCOREOption(sequence: 5, kid: bytes(0x25), kidContext: bytes(0x4a, 0x4b))),
            ("0107", OSCOREOption(sequence: 7)), ("0100", OSCOREOption(sequence: 0)),
            ("020100", OSCOREOption(sequence: 256)), ("05ffffffffff", OSCOREOption(sequence: OSCORESequence.max)),
            ("08", OSCOREOption(kid: bytes())), ("1000", OSCOREOption(kidContext: bytes())),
        ]
        for (bytes, option) in good {
            #expect(OSCOREOption(decoding: ByteBuffer(bytes: hexBytes(bytes))) == option, "\(bytes)")
            #expect(option.encoded() == ByteBuffer(bytes: hexBytes(bytes)), "\(bytes)")
        }
        let bad = [
            "00", "0000", "06010203040506", "0701020304050607", "2014", "4014", "8914", "02", "0200", "020005", "10",
            "100501", "0114ff", "00ff",
        ]
        for bytes in bad { #expect(OSCOREOption(decoding: ByteBuffer(bytes: hexBytes(bytes))) == nil, "\(bytes)") }
        #expect(OSCOREOption(decoding: ByteBuffer(repeating: 8, count: 256)) == nil)
    }

    @Test("parameters that make no context are refused")
    func parameters() throws {
        func make(_ secret: [UInt8], _ sender: Int, _ recipient: Int, _ context: Int? = nil) throws {
            _ = try OSCOREContext(
                masterSecret: secret,
                idContext: context.map { [UInt8](repeating: 1, count: $0) },
                senderID: [UInt8](repeating: 1, count: sender),
                recipientID: [UInt8](repeating: 2, count: recipient)
            )
        }
        #expect(throws: Never.self) { try make([1], 7, 7, 255) }
        #expect(throws: OSCOREContext.ParameterError.emptySecret) { try make([], 1, 1) }
        #expect(throws: OSCOREContext.ParameterError.idTooLong(limit: 7)) { try make([1], 8, 1) }
        #expect(throws: OSCOREContext.ParameterError.idTooLong(limit: 7)) { try make([1], 1, 8) }
        #expect(throws: OSCOREContext.ParameterError.equalIDs) { try make([1], 0, 0) }
        #expect(throws: OSCOREContext.ParameterError.contextTooLong) { try make([1], 1, 1, 256) }
        let context = try OSCOREContext(masterSecret: [1], senderID: [], recipientID: [1])
        #expect("\(context)" == "OSCOREContext(redacted)" && !String(reflecting: context).contains("Key"))
    }
}
