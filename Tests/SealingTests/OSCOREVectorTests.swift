import CoAPCodec
import NIOCore
import TestSupport
import Testing

@testable import Sealing

/// All vectors of RFC 8613, Appendix C.
@Suite("OSCORE: the vectors of RFC 8613")
struct OSCOREVectorTests {
    /// C.1 to C.3: parameters of the client, and what both sides derive.
    struct Derivation: Sendable, CustomTestStringConvertible {
        let name: String
        let salt: String
        let senderID: String
        let recipientID: String
        let idContext: String?
        let senderInfo: String
        let recipientInfo: String
        let ivInfo: String
        let senderKey: String
        let recipientKey: String
        let commonIV: String
        let senderNonce: String
        let recipientNonce: String

        var testDescription: String { self.name }

        func context(server: Bool) throws -> OSCOREContext {
            try OSCOREContext(
                masterSecret: hexBytes("0102030405060708090a0b0c0d0e0f10"),
                masterSalt: hexBytes(self.salt),
                idContext: self.idContext.map(hexBytes),
                senderID: hexBytes(server ? self.recipientID : self.senderID),
                recipientID: hexBytes(server ? self.senderID : self.recipientID)
            )
        }
    }

    static let c1 = Derivation(
        name: "C.1",
        salt: "9e7ca92223786340",
        senderID: "",
        recipientID: "01",
        idContext: nil,
        senderInfo: "8540f60a634b657910",
        recipientInfo: "854101f60a634b657910",
        ivInfo: "8540f60a6249560d",
        senderKey: "f0910ed7295e6ad4b54fc793154302ff",
        recipientKey: "ffb14e093c94c9cac9471648b4f98710",
        commonIV: "4622d4dd6d944168eefb54987c",
        senderNonce: "4622d4dd6d944168eefb54987c",
        recipientNonce: "4722d4dd6d944169eefb54987c"
    )
    static let c2 = Derivation(
        name: "C.2",
        salt: "",
        senderID: "00",
        recipientID: "01",
        idContext: nil,
        senderInfo: "854100f60a634b657910",
        recipientInfo: "854101f60a634b657910",
        ivInfo: "8540f60a6249560d",
        senderKey: "321b26943253c7ffb6003b0b64d74041",
        recipientKey: "e57b5635815177cd679ab4bcec9d7dda",
        commonIV: "be35ae297d2dace910c52e99f9",
        senderNonce: "bf35ae297d2dace910c52e99f9",
        recipientNonce: "bf35ae297d2dace810c52e99f9"
    )
    static let c3 = Derivation(
        name: "C.3",
        salt: "9e7ca92223786340",
        senderID: "",
        recipientID: "01",
        idContext: "37cbf3210017a2d3",
        senderInfo: "85404837cbf3210017a2d30a634b657910",
        recipientInfo: "8541014837cbf3210017a2d30a634b657910",
        ivInfo: "85404837cbf3210017a2d30a6249560d",
        senderKey: "af2a1300a5e95788b356336eeecd2b92",
        recipientKey: "e39a0c7c77b43f03b4b39ab9a268699f",
        commonIV: "2ca58fb85ff1b81c0b7181b85e",
        senderNonce: "2ca58fb85ff1b81c0b7181b85e",
        recipientNonce: "2da58fb85ff1b81d0b7181b85e"
    )

    @Test("C.1 to C.3: info, keys, Common IV and nonces, on both sides", arguments: [c1, c2, c3])
    func derivation(vector: Derivation) throws {
        let client = try vector.context(server: false)
        func info(_ id: String, _ type: String, _ count: Int) -> String {
            hexText(
                OSCOREContext.info(
                    id: hexBytes(id),
                    idContext: client.idContext,
                    client.algorithm,
                    type: type,
                    count: count
                )
            )
        }
        #expect(info(vector.senderID, "Key", 16) == vector.senderInfo)
        #expect(info(vector.recipientID, "Key", 16) == vector.recipientInfo)
        #expect(info("", "IV", 13) == vector.ivInfo)
        #expect(hexText(client.keys) == vector.senderKey + vector.recipientKey + vector.commonIV)
        #expect(Self.parameters(client, 0, by: client.senderID).nonce == vector.senderNonce)
        #expect(Self.parameters(client, 0, by: client.recipientID).nonce == vector.recipientNonce)
        let server = try vector.context(server: true)
        #expect(hexText(server.keys) == vector.recipientKey + vector.senderKey + vector.commonIV)
    }

    /// Nonce and associated data of a request, in hex.
    private static func parameters(
        _ context: OSCOREContext,
        _ number: UInt64,
        by id: OSCOREID
    ) -> (nonce: String, aad: String) {
        context.withParameters(number: number, by: id, request: number, id) { nonce, aad in
            (hexText(Array(nonce)), hexText(Array(aad)))
        }
    }

    /// C.4 to C.6: a request, sealed by the client.
    struct RequestVector: Sendable, CustomTestStringConvertible {
        let name: String
        let context: Derivation
        let plain: String
        let plaintext: String
        let aad: String
        let nonce: String
        let option: String
        let message: String

        var testDescription: String { self.name }
    }

    static let requests = [
        RequestVector(
            name: "C.4",
            context: c1,
            plain: "44015d1f00003974396c6f63616c686f737483747631",
            plaintext: "01b3747631",
            aad: "8368456e63727970743040488501810a40411440",
            nonce: "4622d4dd6d944168eefb549868",
            option: "0914",
            message: "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e"
        ),
        RequestVector(
            name: "C.5",
            context: c2,
            plain: "440171c30000b932396c6f63616c686f737483747631",
            plaintext: "01b3747631",
            aad: "8368456e63727970743040498501810a4100411440",
            nonce: "bf35ae297d2dace910c52e99ed",
            option: "091400",
            message: "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0"
        ),
        RequestVector(
            name: "C.6",
            context: c3,
            plain: "44012f8eef9bbf7a396c6f63616c686f737483747631",
            plaintext: "01b3747631",
            aad: "8368456e63727970743040488501810a40411440",
            nonce: "2ca58fb85ff1b81c0b7181b84a",
            option: "19140837cbf3210017a2d3",
            message: "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3"
        ),
    ]

    @Test("C.4 to C.6: requests are opened as they were meant", arguments: requests)
    func request(vector: RequestVector) throws {
        let context = try vector.context.context(server: true)
        let outer = try CoAPMessage(decoding: ByteBuffer(bytes: hexBytes(vector.message)))
        let plain = try CoAPMessage(decoding: ByteBuffer(bytes: hexBytes(vector.plain)))
        let option = try #require(outer.options.first(.oscore).flatMap(OSCOREOption.init(decoding:)))
        #expect(option.sequence == 20)
        #expect(option.kid == ByteBuffer(bytes: hexBytes(vector.context.senderID)))
        #expect(option.kidContext == vector.context.idContext.map { ByteBuffer(bytes: hexBytes($0)) })
        #expect(option.encoded() == ByteBuffer(bytes: hexBytes(vector.option)))
        let plaintext = OSCOREMessage.plaintext(of: plain, room: 0)
        #expect(hexText(Array(plaintext.readableBytesView)) == vector.plaintext)
        let parameters = Self.parameters(context, 20, by: context.recipientID)
        #expect(parameters.aad == vector.aad && parameters.nonce == vector.nonce)

        let receiver = OSCOREReceiver(
            context,
            state: OSCOREState(window: OSCOREReplayWindow(), isExact: true, sequence: OSCORESequence(stored: 0))
        )
        guard case .opened(let inner, let request) = receiver.open(outer) else {
            Issue.record("\(vector.name) is not opened")
            return
        }
        #expect(inner == plain)
        #expect(request.sequence == 20)
    }

    @Test("C.7 and C.8: responses to C.4, without and with a Partial IV")
    func responses() throws {
        let receiver = OSCOREReceiver(
            try Self.c1.context(server: true),
            state: OSCOREState(window: OSCOREReplayWindow(), isExact: true, sequence: OSCORESequence(stored: 0))
        )
        receiver.state.sequence.didReserve(1)
        let outer = try CoAPMessage(decoding: ByteBuffer(bytes: hexBytes(Self.requests[0].message)))
        guard case .opened(_, let request) = receiver.open(outer) else {
            Issue.record("C.4 is not opened")
            return
        }
        let plain = try CoAPMessage(
            decoding: ByteBuffer(bytes: hexBytes("64455d1f00003974ff48656c6c6f20576f726c6421"))
        )
        let first = try #require(receiver.seal(plain, to: request, withOwnPartialIV: false))
        #expect(
            hexText(Array(first.encoded().readableBytesView))
                == "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"
        )
        let second = try #require(receiver.seal(plain, to: request, withOwnPartialIV: true))
        #expect(
            hexText(Array(second.encoded().readableBytesView))
                == "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"
        )
        #expect(receiver.seal(plain, to: request, withOwnPartialIV: true) == nil, "no number is reserved")
    }
}
