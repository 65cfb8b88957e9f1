import NIOCore
import TestSupport
import Testing

@testable import OpenSSL

/// Many clients behind one context, each with what it shows.
@Suite struct TLSClientCredentialsTests {
    private func pair(
        _ context: TLSContext,
        _ credentials: TLSClientCredentials?,
        _ server: TLSConfiguration,
        serverName: String? = nil
    ) throws -> TLSPair {
        let client = try TLSConnection(context: context, serverName: serverName, credentials: credentials)
        let pair = try TLSPair(client, TLSContext(server))
        pair.connect()
        return pair
    }

    private func ownKeys(_ version: TLSVersion) throws -> TLSContext {
        var configuration = TLSConfiguration.client()
        configuration.expectsOwnKeys = true
        return try TLSContext(configuration.forcing(version))
    }

    private func key(_ name: String, _ key: String) throws -> TLSClientCredentials {
        try TLSClientCredentials(preSharedKey: TLSPreSharedKey(identity: Array(name.utf8), key: Array(key.utf8)))
    }

    @Test("connections of one context have a key each", arguments: TLSVersion.allCases)
    func keys(version: TLSVersion) throws {
        let keys = ["lamp": "0123456789abcdef", "kitchen": "fedcba9876543210"]
        let server = TLSConfiguration.server(keyLookup: { identity in
            keys[String(decoding: identity, as: UTF8.self)].map { Array($0.utf8) }
        })
        let context = try self.ownKeys(version)
        for (name, key) in keys {
            let pair = try self.pair(context, try self.key(name, key), server)
            #expect(pair.server.peer?.preSharedKeyIdentity == Array(name.utf8))
            #expect(pair.client.peer?.version == version)
        }
        let wrong = try self.pair(context, try self.key("lamp", "fedcba9876543210"), server)
        #expect(wrong.server.peer == nil && wrong.clientError != nil)
    }

    @Test("a connection that brings no key gets nowhere", arguments: TLSVersion.allCases)
    func noKey(version: TLSVersion) throws {
        let pair = try self.pair(try self.ownKeys(version), nil, TLSFixture.keyServer(version))
        #expect(pair.client.peer == nil && pair.server.peer == nil)
    }

    @Test("connections of one context have a certificate each", arguments: TLSVersion.allCases)
    func certificates(version: TLSVersion) throws {
        let authority = try TLSFixture.authority()
        let directory = try TemporaryDirectory()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let server = TLSConfiguration.server(
            identity: issued.identity,
            clientCertificates: .required,
            trust: authority.trust
        )
        let context = try TLSContext(TLSConfiguration.client(trust: authority.trust).forcing(version))
        for name in ["lamp", "kitchen"] {
            let client = try authority.issueClient(commonName: name, validity: TLSFixture.valid)
            let credentials = try TLSClientCredentials(
                certificateChain: try directory.write("\(name).crt", client.certificate),
                privateKey: try directory.write("\(name).key", client.privateKey)
            )
            let pair = try self.pair(context, credentials, server, serverName: "gateway.test")
            #expect(pair.server.peer?.certificate?.clientName == name)
        }
        let bare = try self.pair(context, nil, server, serverName: "gateway.test")
        #expect(bare.server.peer == nil)
        let lamp = directory.file("lamp.crt")
        #expect(throws: TLSError.self) {
            try TLSClientCredentials(certificateChain: lamp, privateKey: directory.file("kitchen.key"))
        }
        #expect(throws: TLSError.self) {
            try TLSClientCredentials(certificateChain: lamp, privateKey: directory.file("none.key"))
        }
    }

    @Test("a key that TLS can't carry is refused", arguments: [("", "key"), ("a\u{0}b", "key"), ("lamp", "")])
    func badKeys(name: String, key: String) {
        #expect(throws: TLSError.self) { try self.key(name, key) }
    }
}
