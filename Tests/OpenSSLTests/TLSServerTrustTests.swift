import Foundation
import TestSupport
import Testing

@testable import OpenSSL

/// Whom a client believes: pins, directories of authorities, and by which time.
@Suite struct TLSServerTrustTests {
    private let authority: CertificateAuthority
    private let issued: CertificateAuthority.Issued

    init() throws {
        self.authority = try TLSFixture.authority()
        self.issued = try self.authority.issueServer(names: ["broker.test"], validity: TLSFixture.valid)
    }

    private static func pin(_ issued: CertificateAuthority.Issued) throws -> [UInt8] {
        let certificates = try X509Certificate.parse(pem: Array(issued.certificate.utf8), name: "the certificate")
        return try #require(certificates.first?.publicKeyDigest)
    }

    private func connect(
        _ client: TLSConfiguration,
        _ server: CertificateAuthority.Issued? = nil,
        version: TLSVersion = .tls13,
        name: String? = "broker.test"
    ) throws -> TLSPair {
        let server = TLSConfiguration.server(identity: (server ?? self.issued).identity).forcing(version)
        let pair = try TLSPair(client, server, serverName: name)
        pair.connect()
        return pair
    }

    // MARK: Pins

    @Test("a pin is the SHA-256 of the public key as other programs compute it")
    func pinValue() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("server.crt", self.issued.certificate)
        let script =
            "openssl x509 -in \(file) -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -r"
        let finished = try await ChildProcess.run("sh", ["-c", script])
        #expect(finished.text.hasPrefix(hexText(try Self.pin(self.issued))))
    }

    @Test("a pin alone decides: neither authority nor name nor dates count", arguments: TLSVersion.allCases)
    func pinAlone(version: TLSVersion) throws {
        let stranger = try CertificateAuthority(commonName: "Nobody's", validity: TLSFixture.valid)
        for validity in [TLSFixture.valid, TLSFixture.expired, TLSFixture.future] {
            let server = try stranger.issueServer(names: ["elsewhere.test"], validity: validity)
            var client = TLSConfiguration.client()
            client.pins = [[UInt8](repeating: 0, count: 32), try Self.pin(server)]
            for name in ["broker.test", "192.0.2.1", nil] {
                let pair = try self.connect(client, server, version: version, name: name)
                #expect(pair.isComplete, "\(String(describing: pair.clientError))")
                #expect(pair.client.peer?.certificate?.commonName == "elsewhere.test")
            }
        }
    }

    @Test("another key than the pinned one is refused and explained", arguments: TLSVersion.allCases)
    func wrongPin(version: TLSVersion) throws {
        let renewed = try self.authority.issueServer(names: ["broker.test"], validity: TLSFixture.valid)
        for trust in [TLSTrust.nothing, self.authority.trust] {
            var client = TLSConfiguration.client(trust: trust)
            client.pins = [try Self.pin(renewed)]
            let pair = try self.connect(client, version: version)
            #expect(!pair.isComplete && pair.client.peer == nil)
            #expect(pair.clientError?.kind == .wrongPin)
            #expect(pair.clientError?.message.contains("CN=broker.test") == true)
        }
    }

    @Test("with a pin and an authority both must hold", arguments: TLSVersion.allCases)
    func pinAndAuthority(version: TLSVersion) throws {
        var client = TLSConfiguration.client(trust: self.authority.trust)
        client.pins = [try Self.pin(self.issued)]
        #expect(try self.connect(client, version: version).isComplete)
        #expect(try self.connect(client, version: version, name: "b.test").clientError?.kind == .wrongHostName)
        let other = try CertificateAuthority(commonName: "Another", validity: TLSFixture.valid)
        client.trust = other.trust
        #expect(try self.connect(client, version: version).clientError?.kind == .untrustedCertificate)
    }

    @Test("a pin of another length is a mistake")
    func pinLength() throws {
        var client = TLSConfiguration.client()
        client.pins = [[1, 2, 3]]
        #expect(throws: TLSError.self) { try TLSContext(client) }
    }

    // MARK: Directories

    @Test("a directory's authorities are those of its .crt and .pem files")
    func directory() throws {
        let directory = try TemporaryDirectory()
        let other = try CertificateAuthority(commonName: "Another", validity: TLSFixture.valid)
        try directory.write("a.crt", other.authority.certificate)
        try directory.write("readme.txt", "nothing")
        try directory.write(".half.pem", "nothing yet")
        let client = TLSConfiguration.client(trust: .directory(directory.path))
        #expect(try self.connect(client).clientError?.kind == .untrustedCertificate)
        try directory.write("b.pem", self.authority.authority.certificate)
        #expect(try self.connect(client).isComplete)
        // A server's, too.
        let node = try other.issueClient(commonName: "kitchen", validity: TLSFixture.valid)
        let server = TLSConfiguration.server(
            identity: self.issued.identity,
            clientCertificates: .required,
            trust: .directory(directory.path)
        )
        let pair = try TLSPair(
            .client(trust: self.authority.trust, identity: node.identity),
            server,
            serverName: "broker.test"
        )
        pair.connect()
        #expect(pair.server.peer?.certificate?.clientName == "kitchen")
        try directory.write("c.crt", "nonsense")
        let error = #expect(throws: TLSError.self) { try TLSContext(client) }
        #expect(error?.message.contains("c.crt") == true)
    }

    @Test("a directory without any authority is a mistake")
    func emptyDirectory() throws {
        let directory = try TemporaryDirectory()
        let error = #expect(throws: TLSError.self) { try TLSContext(.client(trust: .directory(directory.path))) }
        #expect(error?.message == "\(directory.path) holds no file whose name ends in .crt or .pem")
    }

    // MARK: Time

    @Test("certificates and revocation lists are judged by the time that is given")
    func time() throws {
        let server = try self.authority.issueServer(names: ["broker.test"], validity: TLSFixture.valid)
        var client = TLSConfiguration.client(trust: self.authority.trust)
        for (time, kind) in [
            (TLSFixture.now - 400 * TLSFixture.day, TLSError.Kind.certificateNotYetValid), (TLSFixture.now, nil),
            (TLSFixture.now + 400 * TLSFixture.day, .certificateExpired),
        ] {
            client.verificationTime = { time }
            #expect(try self.connect(client, server).clientError?.kind == kind)
        }
        let list = try self.authority.revocationList(of: [], validity: TLSFixture.valid)
        let node = try self.authority.issueClient(
            commonName: "kitchen",
            validity: .days(90, from: TLSFixture.now - 30 * TLSFixture.day)
        )
        var listener = TLSConfiguration.server(
            identity: server.identity,
            clientCertificates: .required,
            trust: self.authority.trust
        )
        listener.revocations = .pem(list)
        client = .client(trust: self.authority.trust, identity: node.identity)
        for (time, kind) in [
            (TLSFixture.now, TLSError.Kind?.none), (TLSFixture.now + 3 * TLSFixture.day, .revocationUnknown),
        ] {
            listener.verificationTime = { time }
            let pair = try TLSPair(client, listener, serverName: "broker.test")
            pair.connect()
            #expect(pair.serverError?.kind == kind)
        }
    }

    @Test("by a time that is only the earliest possible, what is not valid yet passes, and what has expired does not")
    func earliestTime() throws {
        let server = try self.authority.issueServer(names: ["broker.test"], validity: TLSFixture.valid)
        var client = TLSConfiguration.client(trust: self.authority.trust)
        client.isVerificationTimeBound = { true }
        for (time, kind) in [
            (TLSFixture.now - 400 * TLSFixture.day, TLSError.Kind?.none), (TLSFixture.now, nil),
            (TLSFixture.now + 400 * TLSFixture.day, .certificateExpired),
        ] {
            client.verificationTime = { time }
            #expect(try self.connect(client, server).clientError?.kind == kind)
        }
        client.verificationTime = { TLSFixture.now - 400 * TLSFixture.day }
        let stranger = try CertificateAuthority(commonName: "Another authority", validity: TLSFixture.valid)
        let foreign = try stranger.issueServer(names: ["broker.test"], validity: TLSFixture.valid)
        #expect(try self.connect(client, foreign).clientError != nil)
        client.isVerificationTimeBound = { false }
        #expect(try self.connect(client, server).clientError?.kind == .certificateNotYetValid)
    }

    // MARK: ALPN

    @Test("names of application protocols that can't be sent are a mistake")
    func protocols() throws {
        for name in ["", String(repeating: "a", count: 256)] {
            var client = TLSConfiguration.client(trust: .system)
            client.applicationProtocols = [name]
            #expect(throws: TLSError.self) { try TLSContext(client) }
        }
    }
}
