import CoAPCodec
import NIOCore
import Testing

@Suite("Refused messages")
struct RefusalTests {
    @Test("refuses what is wrong, takes what is nearly the same, and knows the answer", arguments: RefusalVector.all)
    func refuses(vector: RefusalVector) throws {
        #expect(throws: Never.self) { try CoAPMessage(decoding: wire(vector.accepted)) }
        let error = #expect(throws: CoAPDecodeError.self) { try CoAPMessage(decoding: wire(vector.refused)) }
        #expect(error?.kind == vector.kind)
        #expect(error?.field == vector.field)
        #expect(error?.offset == vector.offset)
        #expect(error?.answer == vector.answer)
        #expect(error?.description.hasPrefix("\(vector.field) at byte \(vector.offset): ") == true)
    }

    @Test("nothing but a CON is ever answered", arguments: RefusalVector.all)
    func silence(vector: RefusalVector) throws {
        for type in CoAPMessageType.allCases where type != .confirmable {
            var bytes = wire(vector.refused)
            guard let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return }
            bytes.setInteger(first & 0xCF | type.rawValue << 4, at: bytes.readerIndex)
            do { _ = try CoAPMessage(decoding: bytes) } catch { #expect(error.answer == .ignore) }
        }
    }
}
