import NIOCore
import Sealing
import TestSupport
import Testing

@Suite struct V1CipherTests {
    /// The sample of the published article, which was sealed under an empty session ID.
    static let published = (
        payload: "1d54dd1af0f75a91a00d4dcd8f4ad28d,d1a0b14d187c5adfc948dfd77c2b2ee5,"
            + "564633a4a053153bcbd6ed25370346d5,c66697df7e7d467112757c841bfb6bce051d6289",
        staticIV: "abcdef2345678901", ivKey: "2345678901abcdef", dataKey: "0123456789abcdef",
        passphrase: "mypassphrase"
    )

    static var publishedKeys: V1Keys {
        get throws {
            try V1Keys(
                staticIV: Array(published.staticIV.utf8),
                ivKey: Array(published.ivKey.utf8),
                dataKey: Array(published.dataKey.utf8),
                passphrase: Array(published.passphrase.utf8)
            )
        }
    }

    @Test(
        "opens what the vectors say opens, with and without the node id, and nothing else",
        arguments: SealedVectors.all.v1
    )
    func vectors(vector: SealedVectors.V1) throws {
        let cipher = V1Cipher(keys: try keys(of: vector))
        let payload = ByteBuffer(bytes: vector.payload.bytes)
        let nodeID = Array(vector.nodeID.utf8)
        let others = (0..<3).map { Array(String(repeating: "\($0)", count: 32).utf8) }
        for expected in [nodeID, nil] {
            guard vector.opens else {
                #expect(throws: V1Refusal.self) {
                    try cipher.open(payload, nodeID: expected, sessionIDs: [Array(vector.sessionID.utf8)])
                }
                continue
            }
            let opened = try cipher.open(
                payload,
                nodeID: expected,
                sessionIDs: others + [Array(vector.sessionID.utf8)]
            )
            #expect(opened.nodeID == nodeID)
            #expect(opened.iv == vector.iv?.bytes)
            #expect(Array(opened.data.readableBytesView) == vector.data?.bytes)
            #expect(opened.sessionIndex == 3)
            #expect(throws: V1Refusal.badSeal) { try cipher.open(payload, nodeID: expected, sessionIDs: others) }
            #expect(throws: V1Refusal.badSeal) { try cipher.open(payload, nodeID: expected, sessionIDs: []) }
        }
    }

    @Test("seals what the vectors hold to the same bytes", arguments: SealedVectors.all.v1.filter(\.opens))
    func sealing(vector: SealedVectors.V1) throws {
        let data = try #require(vector.data)
        let sealed = try [V1Form.hex, .raw].map { form in
            try V1Cipher.seal(
                ByteBuffer(bytes: data.bytes),
                keys: try keys(of: vector),
                nodeID: Array(vector.nodeID.utf8),
                sessionID: Array(vector.sessionID.utf8),
                iv: try #require(vector.iv).bytes,
                form: form
            )
        }
        let isRaw = vector.payload.bytes[16] == UInt8(ascii: ",")
        let payload = Array(sealed[isRaw ? 1 : 0].readableBytesView)
        if isRaw {
            #expect(payload == vector.payload.bytes)
        } else {
            let text = String(decoding: vector.payload.bytes, as: UTF8.self).filter { !$0.isWhitespace }
            #expect(String(decoding: payload, as: UTF8.self) == text.lowercased())
        }
    }

    @Test("opens the article's sample when told that the session ID is empty, and not otherwise")
    func article() throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let payload = ByteBuffer(string: Self.published.payload)
        let opened = try cipher.open(payload, nodeID: nil, sessionIDs: [[]])
        #expect(String(decoding: opened.iv, as: UTF8.self) == " f9dc2766548509e")
        #expect(String(decoding: opened.nodeID, as: UTF8.self) == "11242238")
        #expect(String(buffer: opened.data) == "5")
        #expect(throws: V1Refusal.badSeal) { try cipher.open(payload, nodeID: nil, sessionIDs: []) }
        #expect(throws: V1Refusal.badSeal) {
            try cipher.open(payload, nodeID: Array("11242239".utf8), sessionIDs: [[]])
        }
    }

    @Test("tells data with 0 to 40 zero bytes at its end apart", arguments: [V1Form.hex, .raw])
    func trailingZeros(form: V1Form) throws {
        let keys = V1Keys.random()
        let cipher = V1Cipher(keys: keys)
        for head in ["", "a", "0123456789abcdef"] {
            for zeros in 0...40 {
                let data = ByteBuffer(bytes: Array(head.utf8) + [UInt8](repeating: 0, count: zeros))
                let payload = try V1Cipher.seal(
                    data,
                    keys: keys,
                    nodeID: Array("7".utf8),
                    sessionID: Array("s".utf8),
                    form: form
                )
                let opened = try cipher.open(payload, nodeID: Array("7".utf8), sessionIDs: [Array("s".utf8)])
                #expect(opened.data == data)
            }
        }
    }

    @Test("opens raw messages wherever commas fall, whatever the lengths")
    func commas() throws {
        let keys = V1Keys.random()
        let cipher = V1Cipher(keys: keys)
        let session = Array("session".utf8)
        var manyCuts = 0
        for count in 0..<3000 {
            let nodeID = Array(repeating: UInt8(ascii: "n"), count: 1 + count % 40)
            let data = ByteBuffer(repeating: UInt8(truncatingIfNeeded: count), count: count % 200)
            let payload = try V1Cipher.seal(data, keys: keys, nodeID: nodeID, sessionID: session, form: .raw)
            let bytes = Array(payload.readableBytesView)
            let cuts = stride(from: 33, to: bytes.count - 40, by: 16).filter { bytes[$0] == UInt8(ascii: ",") }
            if cuts.count > 1 { manyCuts += 1 }
            for expected in [nodeID, nil] {
                let opened = try cipher.open(payload, nodeID: expected, sessionIDs: [session])
                #expect(opened.data == data && opened.nodeID == nodeID)
            }
        }
        #expect(manyCuts > 20)
    }

    @Test(
        "tolerates blanks and line breaks after a comma of the hex form, and nowhere else",
        arguments: [
            (", ", true), (",\n", true), (",\r\n", true), (",\t \r\n  ", true), (" ,", false), ("\n,", false),
            (",\u{0B}", false), (",x", false), (",,", false), (",\0", false),
            ("," + String(repeating: " ", count: 16), true), ("," + String(repeating: " ", count: 17), false),
        ]
    )
    func blanks(comma: String, isTolerated: Bool) throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let text = Self.published.payload.split(separator: ",").joined(separator: comma)
        let opened = try? cipher.open(ByteBuffer(string: text), nodeID: nil, sessionIDs: [[]])
        #expect((opened != nil) == isTolerated)
    }

    @Test("refuses blanks at either end and inside a field")
    func blanksElsewhere() throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let text = Self.published.payload
        var inside = text
        inside.insert(" ", at: text.index(text.startIndex, offsetBy: 50))
        for spelling in [" " + text, text + " ", text + "\n", inside] {
            #expect(throws: V1Refusal.malformed) {
                try cipher.open(ByteBuffer(string: spelling), nodeID: nil, sessionIDs: [[]])
            }
        }
    }

    @Test("takes the fields in either case, and the MAC in lower case only")
    func cases() throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let text = Self.published.payload
        let fields = text.dropLast(40).uppercased() + text.suffix(40)
        #expect(
            try cipher.open(ByteBuffer(string: fields), nodeID: nil, sessionIDs: [[]]).data == ByteBuffer(string: "5")
        )
        for spelling in [text.uppercased(), text.dropLast(1).dropLast(0) + "A"] {
            #expect(throws: V1Refusal.malformed) {
                try cipher.open(ByteBuffer(string: String(spelling)), nodeID: nil, sessionIDs: [[]])
            }
        }
    }

    @Test("refuses a MAC that is cut, longer, empty or missing")
    func macs() throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let text = Self.published.payload
        for count in 1...41 {
            #expect(throws: V1Refusal.malformed) {
                try cipher.open(ByteBuffer(string: String(text.dropLast(count))), nodeID: nil, sessionIDs: [[]])
            }
        }
        #expect(throws: V1Refusal.malformed) {
            try cipher.open(ByteBuffer(string: text + "00"), nodeID: nil, sessionIDs: [[]])
        }
        let raw = try V1Cipher.seal(
            ByteBuffer(string: "5"),
            keys: Self.publishedKeys,
            nodeID: [49],
            sessionID: [],
            form: .raw
        )
        for count in 1...41 {
            let cut = ByteBuffer(bytes: raw.readableBytesView.dropLast(count))
            #expect(throws: V1Refusal.malformed) { try cipher.open(cut, nodeID: nil, sessionIDs: [[]]) }
        }
    }

    @Test("refuses every change of one bit, in hex and raw form", arguments: [V1Form.hex, .raw])
    func bits(form: V1Form) throws {
        let keys = V1Keys.random()
        let cipher = V1Cipher(keys: keys)
        let nodeID = Array("42".utf8)
        let payload = try V1Cipher.seal(
            ByteBuffer(string: "on"),
            keys: keys,
            nodeID: nodeID,
            sessionID: [1],
            form: form
        )
        for bit in 0..<(8 * payload.readableBytes) {
            var changed = Array(payload.readableBytesView)
            changed[bit / 8] ^= 1 << (bit % 8)
            // The case of a hex digit is no change of the message.
            let isRespelt = form == .hex && bit % 8 == 5 && bit / 8 < 99 && changed[bit / 8] > 0x40
            let opened = try? cipher.open(ByteBuffer(bytes: changed), nodeID: nodeID, sessionIDs: [[1]])
            #expect((opened != nil) == isRespelt, "bit \(bit)")
        }
    }

    @Test("does linear work on a megabyte of commas, and on a megabyte cut like a message")
    func megabyte() throws {
        let cipher = V1Cipher(keys: try Self.publishedKeys)
        let commas = ByteBuffer(repeating: UInt8(ascii: ","), count: 1 << 20)
        let count = 16 * 65_536 + 59
        var shaped = ByteBuffer(repeating: UInt8(ascii: ","), count: count - 40)
        shaped.writeString(String(repeating: "a", count: 40))
        let clock = ContinuousClock()
        let duration = clock.measure {
            #expect(throws: V1Refusal.malformed) { try cipher.open(commas, nodeID: nil, sessionIDs: [[]]) }
            #expect(throws: V1Refusal.badSeal) { try cipher.open(shaped, nodeID: [49], sessionIDs: [[]]) }
            #expect(throws: V1Refusal.badSeal) { try cipher.open(shaped, nodeID: nil, sessionIDs: [[]]) }
        }
        #expect(duration < .seconds(10))
    }

    @Test("seals under IVs that are 16 printable bytes and differ; refuses other lengths and node ids")
    func sealingRules() throws {
        let keys = V1Keys.random()
        let cipher = V1Cipher(keys: keys)
        var ivs: Set<[UInt8]> = []
        for _ in 0..<50 {
            let payload = try V1Cipher.seal(ByteBuffer(), keys: keys, nodeID: [49], sessionID: [])
            let iv = try cipher.open(payload, nodeID: [49], sessionIDs: [[]]).iv
            #expect(iv.allSatisfy { (0x21...0x7E).contains($0) })
            ivs.insert(iv)
        }
        #expect(ivs.count == 50)
        #expect(throws: V1KeysError(field: "iv", problem: .length(15, allowed: [16]))) {
            try V1Cipher.seal(ByteBuffer(), keys: keys, nodeID: [49], sessionID: [], iv: Array(1...15))
        }
        #expect(throws: V1KeysError(field: "node_id", problem: .empty)) {
            try V1Cipher.seal(ByteBuffer(), keys: keys, nodeID: [], sessionID: [])
        }
    }

    private func keys(of vector: SealedVectors.V1) throws -> V1Keys {
        try V1Keys(
            staticIV: vector.staticIV.bytes,
            ivKey: vector.ivKey.bytes,
            dataKey: vector.dataKey.bytes,
            passphrase: vector.passphrase.bytes
        )
    }
}
