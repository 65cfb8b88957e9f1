import CoAPCodec
import NIOCore
import OpenSSL

@testable import Sealing

/// An OSCORE option of any bytes, a plaintext of any bytes that is sealed well, and both as they come.
enum OSCORETarget {
    private static func context(server: Bool) -> OSCOREContext {
        guard
            let context = try? OSCOREContext(
                masterSecret: [1],
                senderID: server ? [9] : [7],
                recipientID: server ? [7] : [9]
            )
        else { fatalError("no context") }
        return context
    }

    nonisolated(unsafe) private static let client = Self.context(server: false)
    nonisolated(unsafe) private static let server = Self.context(server: true)

    static func check(_ input: FuzzInput) {
        var input = input
        let count = Int(input.byte())
        let value = ByteBuffer(bytes: input.bytes(count))
        let plaintext = input.remaining()
        let option = OSCOREOption(decoding: value.moved(by: 3))
        if let option { expect(option.encoded() == value, "an option of two forms") }

        // As it comes: nothing that was not sealed is opened.
        var outer = CoAPMessage(type: .confirmable, code: plaintext.count % 2 == 0 ? .post : .fetch, messageID: 1)
        outer.options.append(.oscore, value)
        outer.payload = ByteBuffer(bytes: plaintext)
        let receiver = OSCOREReceiver(
            self.server,
            state: OSCOREState(window: OSCOREReplayWindow(), isExact: true, sequence: OSCORESequence(stored: 0))
        )
        guard case .refused = receiver.open(outer) else { fatalError("opened what was not sealed") }
        expect(receiver.state.window == OSCOREReplayWindow(), "the window has moved for nothing")

        // Sealed by the client, which may be hostile: read as strictly as any message.
        guard let number = option?.sequence, option?.kid == ByteBuffer(bytes: [7]) else { return }
        let id = self.client.senderID
        let sealed = self.client.withParameters(number: number, by: id, request: number, id) { nonce, aad in
            self.client.algorithm.aead.seal(
                plaintext,
                key: Array(self.client.keys.prefix(16)),
                nonce: Array(nonce),
                aad: Array(aad)
            )
        }
        outer.payload = ByteBuffer(bytes: sealed)
        switch receiver.open(outer) {
        case .opened(let inner, _):
            Tally.count("opened")
            expect(inner.code.isRequest && inner.code.rawValue == plaintext[0], "another code")
            expect(!inner.options.contains { OSCOREMessage.isOuterOnly($0.number) }, "an outer option from inside")
            guard let again = try? CoAPMessage(decoding: inner.encoded()) else { fatalError("no message inside") }
            expect(again == inner, "another message inside")
            guard case .refused(.replayed) = receiver.open(outer) else { fatalError("opened twice") }
        case .refused(let refusal):
            Tally.count("refused")
            expect(refusal == .notProven, "refused as \(refusal)")
        case .unknownFreshness: fatalError("there is a window")
        }
    }
}
