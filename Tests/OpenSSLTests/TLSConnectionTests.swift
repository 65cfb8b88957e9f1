import NIOCore
import Testing

@testable import OpenSSL

@Suite struct TLSConnectionTests {
    private static func connected(_ version: TLSVersion) throws -> TLSPair {
        let pair = try TLSPair(TLSFixture.keyClient(), TLSFixture.keyServer(version))
        pair.connect()
        try #require(pair.isComplete)
        return pair
    }

    @Test("a megabyte crosses both ways, whole", arguments: TLSVersion.allCases, [Int.max, 1400, 1])
    func megabyte(version: TLSVersion, portion: Int) throws {
        let pair = try Self.connected(version)
        pair.portion = portion
        let bytes = (0..<(portion == 1 ? 50_000 : 1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        pair.client.write(ByteBuffer(bytes: bytes))
        pair.server.write(ByteBuffer(bytes: bytes.reversed()))
        try pair.client.flush()
        try pair.server.flush()
        pair.exchange()
        #expect(pair.serverReceived == ByteBuffer(bytes: bytes))
        #expect(pair.clientReceived == ByteBuffer(bytes: bytes.reversed()))
    }

    @Test("a burst of writes becomes as few records as 16 KiB allow", arguments: TLSVersion.allCases)
    func coalescing(version: TLSVersion) throws {
        for (sizes, records) in [
            ([4, 4, 4, 4], 1), (Array(repeating: 4, count: 4096), 1), (Array(repeating: 4, count: 4097), 2),
            ([16384], 1), ([1, 16384], 2), ([16384, 1], 2), ([10, 40000, 10], 3), ([0, 5, 0], 1),
        ] {
            let pair = try Self.connected(version)
            let before = pair.fromClient.count
            for (index, size) in sizes.enumerated() {
                pair.client.write(ByteBuffer(repeating: UInt8(truncatingIfNeeded: index), count: size))
            }
            try pair.client.flush()
            pair.exchange()
            #expect(Self.records(pair.fromClient[before...]) == records, "\(sizes.count) writes")
            var expected = ByteBuffer()
            for (index, size) in sizes.enumerated() {
                expected.writeRepeatingByte(UInt8(truncatingIfNeeded: index), count: size)
            }
            #expect(pair.serverReceived == expected)
            #expect(pair.client.pendingBytes == 0)
        }
    }

    private static func records(_ bytes: ArraySlice<UInt8>) -> Int {
        var rest = bytes
        var count = 0
        while rest.count >= 5 {
            rest = rest.dropFirst(5 + Int(rest[rest.startIndex + 3]) << 8 + Int(rest[rest.startIndex + 4]))
            count += 1
        }
        return count
    }

    @Test("writes before the handshake wait for it, and nothing is sent in the clear", arguments: TLSVersion.allCases)
    func earlyWrites(version: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(), TLSFixture.keyServer(version))
        pair.client.write(ByteBuffer(string: "hello"))
        try pair.client.flush()
        #expect(pair.client.takeCiphertext() == nil)
        pair.connect()
        try pair.client.flush()
        pair.exchange()
        #expect(pair.serverReceived == ByteBuffer(string: "hello"))
    }

    @Test("close_notify ends one direction in order, and is no truncation", arguments: TLSVersion.allCases)
    func closeNotify(version: TLSVersion) throws {
        let pair = try Self.connected(version)
        pair.client.write(ByteBuffer(string: "last"))
        pair.client.close()
        pair.client.write(ByteBuffer(string: "too late"))
        pair.exchange()
        #expect(pair.serverReceived == ByteBuffer(string: "last"))
        #expect(pair.server.isPeerClosed)
        #expect(pair.server.endOfInput() == nil)
        pair.server.close()
        pair.exchange()
        #expect(pair.client.isPeerClosed)
        #expect(pair.clientError == nil && pair.serverError == nil)
    }

    @Test("an end without close_notify is a truncation", arguments: TLSVersion.allCases)
    func truncated(version: TLSVersion) throws {
        let pair = try Self.connected(version)
        #expect(pair.server.endOfInput()?.kind == .truncated)
    }

    @Test("a changed, repeated or cut record ends the connection", arguments: TLSVersion.allCases)
    func tampered(version: TLSVersion) throws {
        for change in 0..<3 {
            let pair = try Self.connected(version)
            pair.client.write(ByteBuffer(string: "secret"))
            try pair.client.flush()
            var record = Array(try #require(pair.client.takeCiphertext()).readableBytesView)
            switch change {
            case 0: record[record.count - 1] ^= 1
            case 1: record += record
            default: record = record.dropLast() + [0x17, 3, 3, 0, 1, 0]
            }
            pair.server.receive(ByteBuffer(bytes: record))
            var plaintext = ByteBuffer()
            let error = #expect(throws: TLSError.self) { try pair.server.readPlaintext(into: &plaintext) }
            #expect(error?.kind == .protocolError)
            // The first copy of a repeated record is genuine.
            #expect(plaintext == ByteBuffer(string: change == 1 ? "secret" : ""))
        }
    }

    @Test("what one connection holds ends with it")
    func released() throws {
        weak var connection: TLSConnection?
        try {
            let pair = try Self.connected(.tls13)
            connection = pair.server
        }()
        #expect(connection == nil)
    }
}
