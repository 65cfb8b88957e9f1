import CoAPCodec
import NIOCore
import TestSupport
import Testing

@Suite("SenML packs that are refused")
struct SenMLRefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        /// JSON as it is; CBOR in the notation of the tables.
        var pack: String
        var error: SenMLError
        var testDescription: String { self.name }

        init(
            _ name: String,
            _ pack: String,
            _ kind: SenMLError.Kind,
            _ field: String = "",
            record: Int = 1,
            at offset: Int
        ) {
            self.name = name
            self.pack = pack
            self.error = SenMLError(kind, field: field, record: record, offset: offset)
        }
    }

    @Test("in JSON", arguments: jsonCases)
    func inJSON(refused: Case) {
        #expect(throws: refused.error) { try SenMLPack.records(of: ByteBuffer(string: refused.pack), .json) }
        #expect(!refused.error.description.contains("secret"))
    }

    @Test("in CBOR", arguments: cborCases)
    func inCBOR(refused: Case) {
        #expect(throws: refused.error) { try SenMLPack.records(of: wire(refused.pack), .cbor) }
    }

    @Test("bytes that are no UTF-8, and texts in other encodings")
    func encodings() {
        let good = Array(#"[{"n":"a","v":1}]"#.utf8)
        func refused(_ bytes: [UInt8]) -> Bool {
            (try? SenMLPack.records(of: ByteBuffer(bytes: bytes), .json)) == nil
        }
        #expect(!refused(good))
        #expect(refused([0xEF, 0xBB, 0xBF] + good))
        #expect(refused(good.flatMap { [0, $0] }))
        #expect(refused(good.flatMap { [$0, 0] }))
        for bad: [UInt8] in [
            [0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0xE2, 0x82],
        ] {
            #expect(refused(Array(#"[{"n":"a","vs":""#.utf8) + bad + Array(#""}]"#.utf8)))
            #expect(refused([0x81, 0xA2, 0x00, 0x61, 0x61, 0x03, 0x60 + UInt8(bad.count)] + bad))
        }
    }

    @Test(
        "nothing traps: vectors cut, with each byte changed, put in, taken out, and noise",
        arguments: SenMLForm.allCases
    )
    func hostile(form: SenMLForm) {
        func check(_ bytes: some Collection<UInt8>) {
            guard let records = try? SenMLPack.records(of: ByteBuffer(bytes: bytes), form) else { return }
            for record in records {
                // What is accepted can be written, and read again.
                let pack = record.payload(as: .records)
                if (try? SenMLPack.records(of: pack, .json)) != [record] { Issue.record("\(String(buffer: pack))") }
            }
        }
        let values: [UInt8] =
            switch form {
            case .json: Array("\"\\[]{},:-.09eEtfnu_ \u{0}\u{7F}".utf8) + [0x80, 0xC3, 0xED, 0xFF]
            case .cbor:
                [0x00, 0x17, 0x1F, 0x5F, 0x60, 0x7F, 0xF4, 0xF9] + (0...7).flatMap { [$0 << 5 | 0x1B, $0 << 5 | 2] }
            }
        for vector in SenMLVector.all {
            let bytes = Array((form == .json ? ByteBuffer(string: vector.json) : wire(vector.cbor)).readableBytesView)
            for index in bytes.indices {
                check(bytes[..<index])
                check(bytes[..<index] + bytes[(index + 1)...])
                // What lies further behind is more of the same. The fuzzer has more time.
                guard index < 40 else { continue }
                for value in values {
                    var changed = bytes
                    changed[index] = value
                    check(changed)
                    check(bytes[..<index] + [value] + bytes[index...])
                }
            }
        }
        var generator = SeededGenerator(seed: 8428)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &generator)
            check((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
    }

    @Test("what claims to be huge takes no more than its bytes")
    func claims() {
        // Lengths and counts of 2⁶⁴ - 1, of 2⁶³ and of 2³² - 1, wherever one can stand.
        for claim in ["FFFFFFFFFFFFFFFF", "8000000000000000", "00000000FFFFFFFF"] {
            for pack in [
                "9B\(claim)", "9B\(claim) A1", "81BB\(claim)", "81BB\(claim) 00", "81A1 00 7B\(claim)",
                "81A1 08 5B\(claim)",
                "81A1 7B\(claim)", "81A1 61'x' 9B\(claim)", "81A1 61'x' BB\(claim) 00 00", "81A1 61'x' 7B\(claim)",
                "81A1 61'x' 5B\(claim)", "81A1 02 C4 9B\(claim)", "81A1 61'x' DB\(claim)",
            ] {
                #expect(throws: SenMLError.self, "\(pack)") { try SenMLPack.records(of: wire(pack), .cbor) }
            }
        }
    }

    @Test("deep nesting ends at the limit, not at the end of the stack")
    func depth() throws {
        func json(_ depth: Int) -> ByteBuffer {
            let value = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            return ByteBuffer(string: #"[{"n":"a","v":1,"x":\#(value)}]"#)
        }
        func cbor(_ depth: Int, _ byte: UInt8) -> ByteBuffer {
            ByteBuffer(
                bytes: [0x81, 0xA3, 0x00, 0x61, 0x61, 0x02, 0x01, 0x61, 0x78] + Array(repeating: byte, count: depth) + [
                    0
                ]
            )
        }
        #expect(try SenMLPack.records(of: json(8), .json).count == 1)
        #expect(throws: SenMLError(.tooDeep(limit: 8), record: 1, offset: 28)) {
            try SenMLPack.records(of: json(9), .json)
        }
        #expect(throws: SenMLError(.tooDeep(limit: 8), record: 1, offset: 28)) {
            try SenMLPack.records(of: json(30_000), .json)
        }
        for byte: UInt8 in [0x81, 0xC1, 0xD8] {
            let each = byte == 0xD8 ? 2 : 1
            func nested(_ depth: Int) -> ByteBuffer {
                byte == 0xD8 ? cbor(depth * 2, byte) : cbor(depth, byte)
            }
            #expect(try SenMLPack.records(of: nested(7), .cbor).count == 1)
            #expect(throws: SenMLError(.tooDeep(limit: 8), record: 1, offset: 9 + 8 * each + 1)) {
                try SenMLPack.records(of: nested(8), .cbor)
            }
            #expect(throws: SenMLError.self) { try SenMLPack.records(of: nested(30_000), .cbor) }
        }
    }

    // MARK: Tables

    private static let jsonCases: [Case] = [
        Case("nothing", "", .truncated, record: 0, at: 0),
        Case("blanks alone", " \n ", .truncated, record: 0, at: 3),
        Case("no array", #"{"n":"a","v":1}"#, .syntax, record: 0, at: 0),
        Case("an empty pack", "[]", .noRecords, record: 0, at: 0),
        Case("no records in it", "[1]", .syntax, at: 1),
        Case("an end in the middle", #"[{"n":"a","v":1"#, .truncated, at: 15),
        Case("an end behind a comma", #"[{"n":"a","v":1},"#, .truncated, record: 2, at: 17),
        Case("a comma too many", #"[{"n":"a","v":1},]"#, .syntax, record: 2, at: 17),
        Case("a comma too many in a record", #"[{"n":"a","v":1,}]"#, .wrongType, at: 16),
        Case("a comma too few", #"[{"n":"a" "v":1}]"#, .syntax, at: 10),
        Case("something behind", #"[{"n":"a","v":1}] x"#, .trailingBytes, record: 0, at: 18),
        Case("a comment", #"[{"n":"a","v":1/**/}]"#, .syntax, at: 15),
        Case("a field twice", #"[{"n":"a","n":"b","v":1}]"#, .duplicate, "n", at: 14),
        Case("a field twice, once escaped", #"[{"n":"a","\u006e":"b","v":1}]"#, .duplicate, "n", at: 19),
        Case("a number as name", #"[{"n":5,"v":1}]"#, .wrongType, "n", at: 6),
        Case("text as value", #"[{"n":"a","v":"1"}]"#, .wrongType, "v", at: 14),
        Case("null as value", #"[{"n":"a","v":null}]"#, .wrongType, "v", at: 14),
        Case("a number as bool", #"[{"n":"a","vb":1}]"#, .wrongType, "vb", at: 15),
        Case("a bool in capitals", #"[{"n":"a","vb":True}]"#, .wrongType, "vb", at: 15),
        Case("half a bool", #"[{"n":"a","vb":tru}]"#, .syntax, "vb", at: 18),
        Case("data as a number", #"[{"n":"a","vd":1}]"#, .wrongType, "vd", at: 15),
        Case("data with the other alphabet", #"[{"n":"a","vd":"+/8"}]"#, .data, "vd", at: 20),
        Case("data of one digit", #"[{"n":"a","vd":"A"}]"#, .data, "vd", at: 18),
        Case("data with bits too many", #"[{"n":"a","vd":"AB"}]"#, .data, "vd", at: 19),
        Case("data with padding in the middle", #"[{"n":"a","vd":"A=A="}]"#, .data, "vd", at: 21),
        Case("NaN", #"[{"n":"a","v":NaN}]"#, .wrongType, "v", at: 14),
        Case("infinity", #"[{"n":"a","v":-Infinity}]"#, .syntax, "v", at: 15),
        Case("a number over all doubles", #"[{"n":"a","v":1e309}]"#, .number, "v", at: 14),
        Case("an exponent of many digits", #"[{"n":"a","v":1e99999999999999999999}]"#, .number, "v", at: 14),
        Case("a sum over all doubles", #"[{"n":"a","bv":1.7e308,"v":1.7e308}]"#, .number, "v", at: 1),
        Case("a leading zero", #"[{"n":"a","v":01}]"#, .syntax, "v", at: 16),
        Case("a plus", #"[{"n":"a","v":+1}]"#, .wrongType, "v", at: 14),
        Case("a point at the end", #"[{"n":"a","v":1.}]"#, .syntax, "v", at: 16),
        Case("an exponent without digits", #"[{"n":"a","v":1e}]"#, .syntax, "v", at: 16),
        Case("a minus alone", #"[{"n":"a","v":-}]"#, .syntax, "v", at: 15),
        Case("the first half of a pair", #"[{"n":"a","vs":"\ud83d"}]"#, .syntax, "vs", at: 22),
        Case("the first half and something else", #"[{"n":"a","vs":"\ud83d\u0041"}]"#, .syntax, "vs", at: 28),
        Case("the second half of a pair", #"[{"n":"a","vs":"\ude00"}]"#, .syntax, "vs", at: 22),
        Case("an escape that is none", #"[{"n":"a","vs":"\x"}]"#, .syntax, "vs", at: 18),
        Case("three digits", #"[{"n":"a","vs":"\u00g0"}]"#, .syntax, "vs", at: 20),
        Case("a control character", "[{\"n\":\"a\",\"vs\":\"\u{1}\"}]", .syntax, "vs", at: 17),
        Case("a field that must be understood", #"[{"n":"a","v":1,"secret_":1}]"#, .notUnderstood, at: 26),
        Case("a label that is too long", #"[{"\#(String(repeating: "x", count: 65))":1}]"#, .tooLong(limit: 64), at: 2),
        Case("a version to come", #"[{"bver":11,"n":"a","v":1}]"#, .version, "bver", at: 1),
        Case("a version that is none", #"[{"bver":0,"n":"a","v":1}]"#, .version, "bver", at: 1),
        Case("half a version", #"[{"bver":9.5,"n":"a","v":1}]"#, .version, "bver", at: 1),
        Case("no value", #"[{"n":"a"}]"#, .valueCount, at: 1),
        Case("two values", #"[{"n":"a","v":1,"vs":"1"}]"#, .valueCount, at: 1),
        Case("two values of other types", #"[{"n":"a","vb":true,"vd":""}]"#, .valueCount, at: 1),
        Case("no name", #"[{"v":1}]"#, .name, "n", at: 1),
        Case("a bad record behind good ones", #"[{"n":"a","v":1},{"n":"b"}]"#, .valueCount, record: 2, at: 17),
    ]

    private static let cborCases: [Case] = [
        Case("nothing", "", .truncated, record: 0, at: 0),
        Case("no array", "A1 00 61'a'", .syntax, record: 0, at: 0),
        Case("an empty pack", "80", .noRecords, record: 0, at: 0),
        Case("an empty pack without a length", "9F FF", .noRecords, record: 0, at: 0),
        Case("a pack without an end", "9F A2 00 61'a' 02 01", .truncated, record: 0, at: 7),
        Case("no records in it", "81 01", .syntax, at: 2),
        Case("a record too few", "82 A2 00 61'a' 02 01", .truncated, record: 2, at: 7),
        Case("a field too few", "81 A3 00 61'a' 02 01", .truncated, at: 7),
        Case("something behind", "81 A2 00 61'a' 02 01 00", .trailingBytes, record: 0, at: 7),
        Case("a break where none may be", "81 A2 00 61'a' FF", .syntax, at: 6),
        Case("a break as value", "81 A2 00 61'a' 02 FF", .wrongType, "v", at: 7),
        Case("a break between label and value of an extension", "81 BF 61'x' FF", .syntax, at: 5),
        Case("text without a length", "81 A2 00 7F 61'a' FF", .syntax, "n", at: 3),
        Case("bytes without a length", "81 A2 00 61'a' 08 5F 41FF FF", .syntax, "vd", at: 6),
        Case("an integer without a length", "81 A2 00 61'a' 02 1F", .syntax, "v", at: 6),
        Case("a reserved length", "81 A2 00 61'a' 02 1C", .syntax, "v", at: 6),
        Case("a reserved simple value", "81 A2 00 61'a' 61'x' F800", .syntax, at: 7),
        Case("half an integer", "81 A2 00 61'a' 02 19 00", .truncated, "v", at: 7),
        Case("half a float", "81 A2 00 61'a' 02 FB 00000000", .truncated, "v", at: 7),
        Case("half a text", "81 A2 00 62'a'", .truncated, "n", at: 4),
        Case("a label that is no integer and no text", "81 A1 F5 01", .syntax, at: 3),
        Case("a label of bytes", "81 A1 41'n' 01", .syntax, at: 3),
        Case("a field twice", "81 A3 00 61'a' 00 61'b' 02 01", .duplicate, "n", at: 6),
        Case("a field twice, once long", "81 A3 00 61'a' 1800 61'b' 02 01", .duplicate, "n", at: 7),
        Case("a number as name", "81 A2 00 05 02 01", .wrongType, "n", at: 4),
        Case("bytes as name", "81 A2 00 41'a' 02 01", .wrongType, "n", at: 4),
        Case("text as value", "81 A2 00 61'a' 02 61'1'", .wrongType, "v", at: 7),
        Case("null as value", "81 A2 00 61'a' 02 F6", .wrongType, "v", at: 7),
        Case("a number as bool", "81 A2 00 61'a' 04 01", .wrongType, "vb", at: 7),
        Case("text as data", "81 A2 00 61'a' 08 61'a'", .wrongType, "vd", at: 7),
        Case("a big integer", "81 A2 00 61'a' 02 C2 4101", .wrongType, "v", at: 7),
        Case("NaN", "81 A2 00 61'a' 02 F97E00", .number, "v", at: 9),
        Case("infinity", "81 A2 00 61'a' 02 FB7FF0000000000000", .number, "v", at: 15),
        Case("a fraction over all doubles", "81 A2 00 61'a' 02 C482 19012C 1A3B9ACA00", .number, "v", at: 7),
        Case("a fraction with a huge exponent", "81 A2 00 61'a' 02 C482 3B7FFFFFFFFFFFFFFF 01", .number, "v", at: 7),
        Case("a fraction of three parts", "81 A2 00 61'a' 02 C483 01 01 01", .syntax, "v", at: 7),
        Case("a fraction without a length", "81 A2 00 61'a' 02 C49F 01 01 FF", .syntax, "v", at: 7),
        Case("a fraction of floats", "81 A2 00 61'a' 02 C482 F93C00 01", .number, "v", at: 7),
        Case("a name that is too long", "81 A2 00 790101", .tooLong(limit: 256), "n", at: 6),
        Case("a field that must be understood", "81 A3 00 61'a' 02 01 67'secret_' 01", .notUnderstood, at: 15),
        Case("a version to come", "81 A3 20 0B 00 61'a' 02 01", .version, "bver", at: 1),
        Case("no value, for labels of JSON are not known", "81 A2 00 61'a' 61'v' 01", .valueCount, at: 1),
        Case("a label that is not known, in place of one", "81 A2 00 61'a' 1863 01", .valueCount, at: 1),
        Case("two values", "81 A3 00 61'a' 02 01 04 F5", .valueCount, at: 1),
    ]
}
