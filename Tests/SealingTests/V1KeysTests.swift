import Sealing
import Testing

@Suite struct V1KeysTests {
    static func key(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

    @Test("takes keys of 16, 24 and 32 bytes", arguments: [16, 24, 32], [16, 24, 32])
    func lengths(ivKey: Int, dataKey: Int) throws {
        let keys = try V1Keys(
            staticIV: Self.key(16),
            ivKey: Self.key(ivKey),
            dataKey: Self.key(dataKey),
            passphrase: [1]
        )
        #expect(keys.ivKey.count == ivKey)
        #expect(keys.dataKey.count == dataKey)
    }

    struct Refused: Sendable, CustomStringConvertible {
        let lengths: [Int]
        let error: V1KeysError
        let description: String
    }

    @Test(
        "refuses other lengths, and names the field as key files do",
        arguments: [
            Refused(
                lengths: [15, 16, 16, 1],
                error: .init(field: "static_iv", problem: .length(15, allowed: [16])),
                description: "static_iv must have 16 bytes, and has 15"
            ),
            Refused(
                lengths: [32, 16, 16, 1],
                error: .init(field: "static_iv", problem: .length(32, allowed: [16])),
                description: "static_iv must have 16 bytes, and has 32"
            ),
            Refused(
                lengths: [16, 17, 16, 1],
                error: .init(field: "iv_key", problem: .length(17, allowed: [16, 24, 32])),
                description: "iv_key must have 16 or 24 or 32 bytes, and has 17"
            ),
            Refused(
                lengths: [16, 16, 0, 1],
                error: .init(field: "data_key", problem: .length(0, allowed: [16, 24, 32])),
                description: "data_key must have 16 or 24 or 32 bytes, and has 0"
            ),
            Refused(
                lengths: [16, 16, 16, 0],
                error: .init(field: "passphrase", problem: .empty),
                description: "passphrase is empty"
            ),
        ]
    )
    func refused(refused: Refused) {
        let lengths = refused.lengths
        #expect(throws: refused.error) {
            try V1Keys(
                staticIV: Self.key(lengths[0]),
                ivKey: Self.key(lengths[1]),
                dataKey: Self.key(lengths[2]),
                passphrase: Self.key(lengths[3])
            )
        }
        #expect(refused.error.description == refused.description)
    }

    @Test("new keys have the lengths of AES-128, and differ")
    func random() {
        let keys = V1Keys.random()
        #expect([keys.staticIV.count, keys.ivKey.count, keys.dataKey.count] == [16, 16, 16])
        #expect(keys.passphrase.count == 32)
        #expect(keys != V1Keys.random())
    }

    @Test("show nothing of themselves")
    func redacted() throws {
        let keys = try V1Keys(
            staticIV: Self.key(16),
            ivKey: Self.key(16),
            dataKey: Self.key(16),
            passphrase: Array("sesame".utf8)
        )
        var dumped = ""
        dump(keys, to: &dumped)
        for shown in ["\(keys)", String(reflecting: keys), "\([keys])", dumped] {
            #expect(!shown.contains("97") && !shown.contains("115") && !shown.contains("sesame"))
        }
    }

    @Test(
        "a node id is 1 to 64 bytes without a zero",
        arguments: [
            ("", V1KeysError.Problem.empty), ("a\0b", .zeroByte),
            (String(repeating: "n", count: 65), .tooLong(65, limit: 64)),
        ]
    )
    func nodeID(nodeID: String, problem: V1KeysError.Problem) throws {
        #expect(throws: V1KeysError(field: "node_id", problem: problem)) {
            try V1Member(device: "d", keys: .random(), nodeID: nodeID)
        }
        #expect(
            try V1Member(device: "d", keys: .random(), nodeID: String(repeating: "n", count: 64)).nodeID.count == 64
        )
    }
}
