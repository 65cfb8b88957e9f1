import NIOCore
import Testing

@testable import OpenSSL

@Suite struct TLSHandshakeTests {
    @Test("a pre-shared key proves its identity, with forward secrecy", arguments: TLSVersion.allCases)
    func preSharedKey(version: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(), TLSFixture.keyServer(version))
        pair.connect()
        let peer = try #require(pair.server.peer)
        #expect(peer.preSharedKeyIdentity == TLSFixture.identity)
        #expect(peer.certificate == nil)
        #expect(peer.version == version)
        #expect(peer.hasForwardSecrecy)
        #expect(pair.client.peer?.preSharedKeyIdentity == TLSFixture.identity)
        #expect(pair.clientError == nil && pair.serverError == nil)
        switch version {
        case .tls12: #expect(peer.cipher == "ECDHE-PSK-CHACHA20-POLY1305")
        case .tls13: #expect(peer.cipher == "TLS_AES_128_GCM_SHA256")
        }
    }

    @Test("a key is preferred to the server's certificate", arguments: TLSVersion.allCases)
    func keyBeforeCertificate(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSFixture.keyServer(version, identity: issued.identity)
        var client = TLSFixture.keyClient()
        client.trust = authority.trust
        let pair = try TLSPair(client, server, serverName: "gateway.test")
        pair.connect()
        #expect(pair.server.peer?.preSharedKeyIdentity == TLSFixture.identity)
        #expect(pair.client.peer?.certificate == nil)
    }

    @Test("a client with a certificate comes in beside the keys", arguments: TLSVersion.allCases)
    func certificateBesideKeys(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        var server = TLSFixture.keyServer(version, identity: issued.identity)
        server.trust = authority.trust
        server.clientCertificates = .required
        let node = try authority.issueClient(commonName: "node-7", validity: TLSFixture.valid)
        let client = TLSConfiguration.client(trust: authority.trust, identity: node.identity)
        let pair = try TLSPair(client, server, serverName: "gateway.test")
        pair.connect()
        #expect(pair.server.peer?.preSharedKeyIdentity == nil)
        #expect(pair.server.peer?.certificate?.commonName == "node-7")
        // And one with a key needs no certificate.
        let keyPair = try TLSPair(TLSFixture.keyClient(), server)
        keyPair.connect()
        #expect(keyPair.server.peer?.preSharedKeyIdentity == TLSFixture.identity)
    }

    @Test("a certificate is verified against the host name", arguments: TLSVersion.allCases)
    func certificate(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(
            names: ["gateway.test", "*.example.org"],
            addresses: ["127.0.0.1", "::1"],
            validity: TLSFixture.valid
        )
        let server = TLSConfiguration.server(identity: issued.identity).forcing(version)
        for name in ["gateway.test", "GATEWAY.test", "a.example.org", "127.0.0.1", "::1"] {
            let pair = try TLSPair(.client(trust: authority.trust), server, serverName: name)
            pair.connect()
            #expect(pair.isComplete, "\(name): \(String(describing: pair.clientError))")
            #expect(pair.client.peer?.certificate?.dnsNames == ["gateway.test", "*.example.org"])
            #expect(pair.client.peer?.certificate?.addresses.map(\.count) == [4, 16])
            #expect(pair.client.peer?.hasForwardSecrecy == true)
            #expect(pair.server.peer?.certificate == nil)
        }
    }

    @Test("an optional client certificate may be absent", arguments: TLSVersion.allCases)
    func optionalClientCertificate(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSConfiguration.server(
            identity: issued.identity,
            clientCertificates: .optional,
            trust: authority.trust
        ).forcing(version)
        let pair = try TLSPair(.client(trust: authority.trust), server, serverName: "gateway.test")
        pair.connect()
        #expect(pair.isComplete)
        #expect(pair.server.peer?.certificate == nil)
    }

    @Test("versions are as forced", arguments: TLSVersion.allCases)
    func forced(version: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(version), TLSFixture.keyServer())
        pair.connect()
        #expect(pair.server.peer?.version == version)
    }

    @Test("nothing is resumed: no ticket leaves the server", arguments: TLSVersion.allCases)
    func noTickets(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSConfiguration.server(identity: issued.identity).forcing(version)
        let pair = try TLSPair(.client(trust: authority.trust), server, serverName: "gateway.test")
        pair.connect()
        let bytes = pair.fromServer.count
        pair.exchange()
        #expect(pair.isComplete)
        #expect(pair.fromServer.count == bytes)
        #expect(!pair.client.hasTicket)
    }

    @Test("a handshake survives bytes one at a time", arguments: TLSVersion.allCases)
    func drip(version: TLSVersion) throws {
        let pair = try TLSPair(TLSFixture.keyClient(), TLSFixture.keyServer(version))
        pair.portion = 1
        pair.connect()
        #expect(pair.isComplete)
    }
}
