import CoAPCodec
import NIOCore
import Testing

@Suite("Messages")
struct MessageTests {
    @Test("reads and writes", arguments: MessageVector.all)
    func vectors(vector: MessageVector) throws {
        let bytes = wire(vector.bytes)
        #expect(try CoAPMessage(decoding: bytes) == vector.message)
        #expect(hex(vector.message.encoded()) == hex(bytes))
        #expect(vector.message.encodedSize == bytes.readableBytes)
    }

    @Test("reads the same in the middle of a buffer", arguments: MessageVector.all)
    func moved(vector: MessageVector) throws {
        let bytes = wire(vector.bytes)
        var around = wire("EEEEEE")
        around.writeImmutableBuffer(bytes)
        around.writeBytes(wire("0102").readableBytesView)
        let datagram = try #require(around.getSlice(at: 3, length: bytes.readableBytes))
        #expect(try CoAPMessage(decoding: datagram) == vector.message)
    }

    @Test("codes are written as people write them, and know their class")
    func codes() {
        #expect(CoAPCode.content.description == "2.05")
        #expect(CoAPCode(4, 29).description == "4.29")
        for value in UInt8.min...UInt8.max {
            let code = CoAPCode(rawValue: value)
            let kinds = [code.isEmpty, code.isRequest, code.isResponse, code.isReserved]
            #expect(kinds.filter(\.self).count == 1, "\(code)")
            #expect(code.isReserved == [1, 6, 7].contains(value >> 5), "\(code)")
        }
    }

    @Test("tokens differ by length and by bytes")
    func tokens() {
        #expect(token("") == CoAPToken.empty)
        #expect(token("00") != token(""))
        #expect(token("00") != token("0000"))
        #expect(token("0102030405060708").count == 8)
        #expect(token("'node'").description == "6e6f6465")
        #expect(CoAPToken([1, 2, 3, 4, 5, 6, 7, 8, 9]) == nil)
    }

    @Test("a datagram over the limit is refused by its size, and one under it is not")
    func size() throws {
        let bytes = wire("50 02 0001 FF \(String(repeating: "00", count: 95))")
        #expect(bytes.readableBytes == 100)
        #expect(throws: Never.self) { try CoAPMessage(decoding: bytes, maxBytes: 100) }
        let error = #expect(throws: CoAPDecodeError.self) { try CoAPMessage(decoding: bytes, maxBytes: 99) }
        #expect(error?.kind == .tooLarge(bytes: 100, limit: 99))
    }

    @Test("thousands of empty options are refused at the bound")
    func manyOptions() throws {
        func message(_ count: Int) -> ByteBuffer { wire("40 01 0001 B0 \(String(repeating: "00", count: count - 1))") }
        let most = try CoAPMessage(decoding: message(160))
        #expect(most.options.count == 160)
        let error = #expect(throws: CoAPDecodeError.self) { try CoAPMessage(decoding: message(161)) }
        #expect(error?.kind == .tooManyOptions(limit: 160))
        #expect(error?.answer == .reset(messageID: 1))
        #expect(throws: CoAPDecodeError.self) { try CoAPMessage(decoding: message(60_000)) }
    }
}
