import CoAPCodec
import NIOCore
import Testing

@Suite("SenML packs")
struct SenMLTests {
    private func check(_ pack: ByteBuffer, _ form: SenMLForm, _ vector: SenMLVector) throws {
        let records = try SenMLPack.records(of: pack, form)
        #expect(records.map { String(buffer: $0.payload(as: .records)) } == vector.records)
        if !vector.values.isEmpty {
            #expect(records.map { String(buffer: $0.payload(as: .values)) } == vector.values)
        }
        // What is resolved is a pack, and resolved it is the same.
        for record in records {
            let payload = record.payload(as: .records)
            #expect(try SenMLPack.records(of: payload, .json) == [record], "\(String(buffer: payload))")
        }
    }

    @Test("in JSON are resolved", arguments: SenMLVector.all.filter { !$0.json.isEmpty })
    func json(vector: SenMLVector) throws { try self.check(ByteBuffer(string: vector.json), .json, vector) }

    @Test("in CBOR are resolved", arguments: SenMLVector.all.filter { !$0.cbor.isEmpty })
    func cbor(vector: SenMLVector) throws { try self.check(wire(vector.cbor), .cbor, vector) }

    @Test("with a clock no time stays relative to now")
    func now() throws {
        let pack = ByteBuffer(
            string:
                #"[{"n":"a","v":1},{"n":"a","t":-1.5,"v":2},{"n":"a","t":5,"v":3},{"n":"a","bt":1500000000,"t":1,"v":4}]"#
        )
        let times = try SenMLPack.records(of: pack, .json, now: .integer(1_700_000_000)).map { $0.time?.description }
        #expect(times == ["1700000000", "1699999998.5", "1700000005", "1500000001"])
        #expect(
            try SenMLPack.records(of: pack, .json).map { $0.time?.description } == [nil, "-1.5", "5", "1500000001"]
        )
    }

    @Test("names become the levels below the topic of the pack")
    func topics() throws {
        let pack = ByteBuffer(string: #"[{"n":"urn:dev:x:1/temp","v":1},{"n":"a.b_c-d:e","v":1}]"#)
        let topics = try SenMLPack.records(of: pack, .json).map {
            String(buffer: $0.topic(below: ByteBuffer(string: "nodes/kitchen")))
        }
        #expect(topics == ["nodes/kitchen/urn:dev:x:1/temp", "nodes/kitchen/a.b_c-d:e"])
    }

    private static let badNames = [
        "", "/a", "a/", "a//b", "a/./b", "a/../b", "a/..", "+", "a+", "#", "a/#", "-a", ".a", ":a", "_a", "a b", "é",
        "a\\u0000",
        "$SYS", "a%", String(repeating: "a", count: 257),
    ]

    @Test("with a name that no topic can end in are refused", arguments: badNames)
    func names(name: String) {
        // The base name counts as much as the name.
        for pack in [#"[{"n":"\#(name)","v":1}]"#, #"[{"bn":"\#(name)","v":1}]"#] {
            #expect(throws: SenMLError.self) { try SenMLPack.records(of: ByteBuffer(string: pack), .json) }
        }
    }

    @Test("have the form that their content format says")
    func forms() {
        #expect(SenMLForm(.senMLJSON) == .json && SenMLForm(.senMLCBOR) == .cbor)
        #expect(SenMLForm(.json) == nil && SenMLForm(.cbor) == nil && SenMLForm(.textPlain) == nil)
    }

    @Test("a bound of records, bytes, names and digits holds exactly")
    func bounds() throws {
        func records(_ count: Int) -> String {
            "[" + Array(repeating: #"{"n":"a","v":1}"#, count: count).joined(separator: ",") + "]"
        }
        #expect(try SenMLPack.records(of: ByteBuffer(string: records(64)), .json).count == 64)
        #expect(throws: SenMLError(.tooManyRecords(limit: 64), record: 65, offset: 64 * 16 + 1)) {
            try SenMLPack.records(of: ByteBuffer(string: records(65)), .json)
        }
        #expect(throws: SenMLError(.tooManyRecords(limit: 1), record: 2, offset: 17)) {
            try SenMLPack.records(of: ByteBuffer(string: records(2)), .json, maxRecords: 1)
        }
        let text = #"[{"n":"a","vs":""}]"#
        let filler = String(repeating: "x", count: 65_536 - text.utf8.count)
        let longest = text.replacing("\"\"", with: "\"\(filler)\"")
        #expect(try SenMLPack.records(of: ByteBuffer(string: longest), .json).count == 1)
        #expect(throws: SenMLError(.tooLong(limit: 65_536))) {
            try SenMLPack.records(of: ByteBuffer(string: longest + " "), .json)
        }
        let name = String(repeating: "a", count: 256)
        #expect(try SenMLPack.records(of: ByteBuffer(string: #"[{"n":"\#(name)","v":1}]"#), .json).first?.name == name)
        let digits = String(repeating: "1", count: 64)
        #expect(try SenMLPack.records(of: ByteBuffer(string: #"[{"n":"a","v":\#(digits)}]"#), .json).count == 1)
        #expect(throws: SenMLError(.number, field: "v", record: 1, offset: 78)) {
            try SenMLPack.records(of: ByteBuffer(string: #"[{"n":"a","v":\#(digits)1}]"#), .json)
        }
    }
}
