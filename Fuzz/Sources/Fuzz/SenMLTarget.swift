import CoAPCodec
import NIOCore

/// Any bytes as a SenML pack, in JSON and in CBOR: what is accepted is resolved, and reads the same when written.
enum SenMLTarget {
    static func check(_ input: FuzzInput) {
        var input = input
        let form: SenMLForm = input.byte() & 1 == 0 ? .json : .cbor
        let pack = ByteBuffer(bytes: input.remaining())
        do {
            let records = try SenMLPack.records(of: pack.moved(by: 3), form, maxRecords: 16)
            Tally.count(form == .json ? "json" : "cbor")
            expect((1...16).contains(records.count), "another number of records")
            for record in records { Self.check(record) }
            Self.checkTimes(pack, form, records)
        } catch {
            Tally.count("refused")
            expect((0...pack.readableBytes).contains(error.offset), "a refusal beyond the pack")
            expect(!error.description.isEmpty, "no words")
        }
    }

    private static func check(_ record: SenMLRecord) {
        let levels = record.name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        expect(levels.allSatisfy { !$0.isEmpty }, "an empty level")
        let isPlain = record.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x23 && $0 != 0x2B }
        expect(isPlain, "a name of other characters")
        expect(record.value != nil || record.sum != nil, "a record without a value")
        let written = record.payload(as: .records)
        do {
            let again = try SenMLPack.records(of: written, .json)
            expect(again == [record], "written as another record: \(String(buffer: written))")
        } catch {
            // Escapes make text longer, so that a long one may not fit a second time.
            if case .tooLong = error.kind { return }
            fatalError("what was written is refused: \(error)")
        }
        if case .number(let number)? = record.value {
            let text = String(buffer: record.payload(as: .values))
            expect(text == number.description && Double(text) == number.double, "another number: \(text)")
        }
    }

    /// With a clock, all but the times is the same, and no time is relative.
    private static func checkTimes(_ pack: ByteBuffer, _ form: SenMLForm, _ records: [SenMLRecord]) {
        let now = SenMLNumber.integer(1_700_000_000)
        guard let timed = try? SenMLPack.records(of: pack, form, maxRecords: 16, now: now) else { return }
        expect(timed.map(\.name) == records.map(\.name), "other records")
        expect(timed.allSatisfy { $0.time != nil }, "a record without a time")
    }
}
