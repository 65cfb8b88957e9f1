import NIOCore
import Testing

@testable import OpenSSL

@Suite struct TLSFailureTests {
    /// Ways to present an identity that doesn't exist, as a client would have it.
    static let unknownIdentities: [[UInt8]] = [
        Array("attik".utf8), Array("atti".utf8), Array("attic2".utf8), Array("ATTIC".utf8), Array("#".utf8),
        Array(repeating: 0x61, count: 64), Array(repeating: 0x61, count: 65), Array(repeating: 0x61, count: 255),
    ]

    @Test(
        "a wrong key is told from nothing else on the wire, and explained to both operators",
        arguments: TLSVersion.allCases
    )
    func wrongKey(version: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(key: [1, 2, 3, 4]), TLSFixture.keyServer(version))
        pair.connect()
        #expect(!pair.isComplete)
        #expect(pair.serverError?.kind == .wrongKey)
        #expect(pair.serverError?.message.contains("\"attic\"") == true)
        #expect(pair.clientError?.kind == .wrongKey)
        #expect(pair.server.peer == nil)
    }

    @Test(
        "an unknown identity looks like a wrong key from outside",
        arguments: TLSVersion.allCases,
        TLSFailureTests.unknownIdentities
    )
    func unknownIdentity(version: TLSVersion, identity: [UInt8]) throws {
        let wrong = try TLSPair(TLSFixture.keyClient(key: [1, 2, 3, 4]), TLSFixture.keyServer(version))
        wrong.connect()
        let unknown = try TLSPair(TLSFixture.keyClient(identity: identity), TLSFixture.keyServer(version))
        unknown.connect()
        #expect(unknown.serverError?.kind == .unknownIdentity)
        #expect(unknown.clientError?.kind == .wrongKey)
        let alert: [UInt8] = version == .tls12 ? [2, 20] : [2, 47]
        #expect(wrong.serverAlert == alert)
        #expect(unknown.serverAlert == alert)
        #expect(unknown.fromServer.count == wrong.fromServer.count)
    }

    @Test("the same holds beside a certificate", arguments: TLSVersion.allCases)
    func unknownIdentityBesideCertificate(version: TLSVersion) throws {
        let issued = try TLSFixture.authority().issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSFixture.keyServer(version, identity: issued.identity)
        let wrong = try TLSPair(TLSFixture.keyClient(key: [1, 2, 3, 4]), server)
        wrong.connect()
        let unknown = try TLSPair(TLSFixture.keyClient(identity: [0x78]), server)
        unknown.connect()
        #expect(wrong.serverError?.kind == .wrongKey)
        #expect(unknown.serverError?.kind == .unknownIdentity)
        #expect(wrong.serverAlert == unknown.serverAlert)
        #expect(wrong.fromServer.count == unknown.fromServer.count)
    }

    @Test(
        "an identity in TLS 1.2 is what was sent, not what stands before a NUL",
        arguments: [0, 1, 5, 63, 64, 256, 300, 2000, 60000, 65535]
    )
    func identityOnWire(count: Int) throws {
        // A client of ours can't send these: its ClientKeyExchange is rewritten on the way.
        let pair = try TLSPair(TLSFixture.keyClient(.tls12), TLSFixture.keyServer(.tls12))
        var identity = Array("attic".utf8) + [UInt8](repeating: 0, count: max(0, count - 5))
        identity.removeLast(identity.count - count)
        if count == 5 { identity[4] = 0 }
        try pair.client.start()
        let hello = try #require(pair.client.takeCiphertext())
        pair.server.receive(hello)
        var plaintext = ByteBuffer()
        try pair.server.readPlaintext(into: &plaintext)
        pair.client.receive(try #require(pair.server.takeCiphertext()))
        try pair.client.readPlaintext(into: &plaintext)
        let flight = try #require(pair.client.takeCiphertext()).readableBytesView
        let tail = Array(flight.dropFirst(5 + 4 + 2 + 5))  // The key share, then the other records.
        let shareCount = Int(flight[flight.startIndex + 4]) - 4 - 2 - 5
        let body = [UInt8(identity.count >> 8), UInt8(identity.count & 255)] + identity + tail.prefix(shareCount)
        let message = [16, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
        var records: [UInt8] = []
        for start in stride(from: 0, to: message.count, by: 16384) {
            let part = message[start..<min(start + 16384, message.count)]
            records += [22, 3, 3, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
        }
        pair.server.receive(ByteBuffer(bytes: records + tail.dropFirst(shareCount)))
        let error = #expect(throws: TLSError.self) { try pair.server.readPlaintext(into: &plaintext) }
        #expect(error?.kind == .unknownIdentity)
        #expect(pair.server.takeCiphertext().map { Array($0.readableBytesView) } == [21, 3, 3, 0, 2, 2, 20])
    }

    @Test("an identity in TLS 1.3 with a NUL in it is unknown, and looks like a wrong key from outside")
    func nulInIdentity13() throws {
        let wrong = try TLSPair(TLSFixture.keyClient(key: [1, 2, 3, 4]), TLSFixture.keyServer(.tls13))
        wrong.connect()
        // A client of ours can't send it: its ClientHello is rewritten on the way.
        for place in [0, 2, 4] {
            let pair = try TLSPair(TLSFixture.keyClient(.tls13), TLSFixture.keyServer(.tls13))
            try pair.client.start()
            var hello = Array(try #require(pair.client.takeCiphertext()).readableBytesView)
            let places = (0..<hello.count - 5).filter { hello[$0..<$0 + 5].elementsEqual(TLSFixture.identity) }
            hello[try #require(places.last) + place] = 0
            pair.server.receive(ByteBuffer(bytes: hello))
            var plaintext = ByteBuffer()
            let error = #expect(throws: TLSError.self) { try pair.server.readPlaintext(into: &plaintext) }
            #expect(error?.kind == .unknownIdentity)
            let answer = try #require(pair.server.takeCiphertext()).readableBytesView
            #expect(Array(answer.suffix(2)) == wrong.serverAlert)
        }
    }

    @Test("no common version", arguments: [(TLSVersion.tls12, TLSVersion.tls13), (.tls13, .tls12)])
    func noCommonVersion(client: TLSVersion, server: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(client), TLSFixture.keyServer(server))
        pair.connect()
        #expect(pair.serverError?.kind == .noCommonVersion)
        #expect(pair.clientError?.kind == .noCommonVersion)
    }

    @Test("a client without a key at a server with keys only", arguments: TLSVersion.allCases)
    func noKey(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let client = TLSConfiguration.client(trust: authority.trust)
        let pair = try TLSPair(client, TLSFixture.keyServer(version), serverName: "gateway.test")
        pair.connect()
        #expect(pair.serverError?.kind == .noCommonSuite)
        #expect(pair.clientError?.kind == .noCommonSuite)
    }

    @Test("a client with a key at a server without keys", arguments: TLSVersion.allCases)
    func noKeysTaken(version: TLSVersion) throws {
        let issued = try TLSFixture.authority().issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSConfiguration.server(identity: issued.identity).forcing(version)
        let pair = try TLSPair(TLSFixture.keyClient(), server)
        pair.connect()
        #expect(!pair.client.isHandshakeComplete)
        #expect(pair.clientError?.message.contains("pre-shared key") == true)
        #expect(pair.clientError?.kind == (version == .tls12 ? .unknownIdentity : .untrustedCertificate))
    }

    @Test("a server's certificate that can't be believed is refused and explained", arguments: TLSVersion.allCases)
    func serverCertificate(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let other = try TLSFixture.authority()
        let name = "gateway.test"
        let valid = try authority.issueServer(names: [name], addresses: ["127.0.0.1"], validity: TLSFixture.valid)
        let expired = try authority.issueServer(names: [name], validity: TLSFixture.expired)
        let future = try authority.issueServer(names: [name], validity: TLSFixture.future)
        let clientOnly = try authority.issueClient(commonName: name, validity: TLSFixture.valid)
        let cases: [(CertificateAuthority.Issued, TLSTrust, String, TLSError.Kind)] = [
            (expired, authority.trust, name, .certificateExpired),
            (future, authority.trust, name, .certificateNotYetValid),
            (valid, authority.trust, "other.test", .wrongHostName),
            (valid, authority.trust, "gateway.test.", .wrongHostName),
            (valid, authority.trust, "127.0.0.2", .wrongHostName),
            (valid, other.trust, name, .untrustedCertificate),
            (valid, .nothing, name, .untrustedCertificate),
            (clientOnly, authority.trust, name, .untrustedCertificate),
        ]
        for (issued, trust, name, kind) in cases {
            let server = TLSConfiguration.server(identity: issued.identity).forcing(version)
            let pair = try TLSPair(.client(trust: trust), server, serverName: name)
            pair.connect()
            #expect(!pair.client.isHandshakeComplete)
            #expect(pair.clientError?.kind == kind, "\(name): \(String(describing: pair.clientError))")
            #expect(pair.serverError?.kind == .certificateRefused)
            #expect(pair.client.peer == nil)
        }
    }

    @Test("a client's certificate that can't be believed is refused and explained", arguments: TLSVersion.allCases)
    func clientCertificate(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let other = try TLSFixture.authority()
        let gateway = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let cases: [(TLSIdentity?, TLSError.Kind)] = [
            (try authority.issueClient(commonName: "n", validity: TLSFixture.expired).identity, .certificateExpired),
            (try authority.issueClient(commonName: "n", validity: TLSFixture.future).identity, .certificateNotYetValid),
            (try other.issueClient(commonName: "n", validity: TLSFixture.valid).identity, .untrustedCertificate),
            (nil, .noCertificate),
        ]
        let server = TLSConfiguration.server(
            identity: gateway.identity,
            clientCertificates: .required,
            trust: authority.trust
        ).forcing(version)
        for (identity, kind) in cases {
            let client = TLSConfiguration.client(trust: authority.trust, identity: identity)
            let pair = try TLSPair(client, server, serverName: "gateway.test")
            pair.connect()
            #expect(!pair.server.isHandshakeComplete)
            #expect(pair.serverError?.kind == kind, "\(String(describing: pair.serverError))")
            #expect(pair.server.peer == nil)
            // In TLS 1.3 the client is through before the server has looked.
            let isAfterwards = version == .tls13
            #expect(pair.client.isHandshakeComplete == isAfterwards)
            #expect([.certificateRefused, .noCertificate, .noCommonSuite].contains(pair.clientError?.kind))
        }
    }

    @Test("what is no TLS is refused, and said to be none")
    func notTLS() throws {
        let cases: [([UInt8], TLSError.Kind, String)] = [
            ([0x10, 0x0E, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 2, 0x61, 0x62], .notTLS, "plain MQTT"),
            (Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), .notTLS, "HTTP"),
            ([UInt8](repeating: 0xFF, count: 64), .notTLS, "not TLS"),
            ([UInt8](repeating: 0, count: 64), .notTLS, "not TLS"),
        ]
        for (bytes, kind, words) in cases {
            let server = try TLSConnection(context: TLSContext(TLSFixture.keyServer()))
            try server.start()
            server.receive(ByteBuffer(bytes: bytes))
            var plaintext = ByteBuffer()
            let error = try #require(throws: TLSError.self) { try server.readPlaintext(into: &plaintext) }
            #expect(error.kind == kind)
            #expect(error.message.contains(words), "\(error)")
            #expect(!error.detail.isEmpty)
            // And it stays failed, with the same words.
            server.receive(ByteBuffer(bytes: bytes))
            #expect(throws: error) { try server.readPlaintext(into: &plaintext) }
            #expect(throws: error) { try server.flush() }
        }
        let client = try TLSConnection(context: TLSContext(TLSFixture.keyClient()))
        try client.start()
        client.receive(ByteBuffer(bytes: [0x20, 2, 0, 0, 0, 0, 0, 0]))
        var plaintext = ByteBuffer()
        #expect(throws: TLSError.self) { try client.readPlaintext(into: &plaintext) }
    }

    @Test("a ClientHello with any byte changed or cut short traps nothing")
    func mangledHello() throws {
        let client = try TLSConnection(context: TLSContext(TLSFixture.keyClient()))
        try client.start()
        let hello = Array(try #require(client.takeCiphertext()).readableBytesView)
        let context = try TLSContext(TLSFixture.keyServer())
        for index in hello.indices {
            var changed = hello
            changed[index] ^= UInt8(index % 255 + 1)
            let server = try TLSConnection(context: context)
            server.receive(ByteBuffer(bytes: changed))
            var plaintext = ByteBuffer()
            try? server.readPlaintext(into: &plaintext)
            #expect(!server.isHandshakeComplete)
        }
    }

    @Test("the end of the transport during the handshake is explained on both sides")
    func cut() throws {
        let client = try TLSConnection(context: TLSContext(TLSFixture.keyClient()))
        try client.start()
        #expect(client.endOfInput()?.kind == .peerClosed)
        #expect(client.endOfInput() == nil)
        let server = try TLSConnection(context: TLSContext(TLSFixture.keyServer()))
        #expect(server.endOfInput()?.kind == .peerClosed)
    }

    @Test("the random key of an unknown identity lets nobody in, whatever key a lookup would have")
    func uselessKeys() throws {
        for key in [[], [UInt8](repeating: 7, count: 257)] {
            for version in TLSVersion.allCases {
                let server = TLSConfiguration.server(keyLookup: { _ in key }).forcing(version)
                let pair = try TLSPair(TLSFixture.keyClient(key: key.isEmpty ? [0] : [7]), server)
                pair.connect()
                #expect(pair.serverError?.kind == .unknownIdentity)
            }
        }
    }
}
