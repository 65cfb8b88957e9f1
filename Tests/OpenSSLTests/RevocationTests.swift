import Foundation
import TestSupport
import Testing

@testable import OpenSSL

@Suite struct RevocationTests {
    private let authority: CertificateAuthority
    private let gateway: CertificateAuthority.Issued
    private let good: CertificateAuthority.Issued
    private let bad: CertificateAuthority.Issued

    init() throws {
        self.authority = try TLSFixture.authority()
        self.gateway = try self.authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        self.good = try self.authority.issueClient(commonName: "good", validity: TLSFixture.valid)
        self.bad = try self.authority.issueClient(commonName: "bad", validity: TLSFixture.valid)
    }

    private func list(
        _ revoked: [CertificateAuthority.Issued] = [],
        _ validity: CertificateAuthority.Validity = TLSFixture.valid
    ) throws -> String {
        try self.authority.revocationList(of: revoked.map(\.certificate), validity: validity)
    }

    private func server(_ version: TLSVersion, _ lists: TLSRevocations) -> TLSConfiguration {
        var server = TLSConfiguration.server(
            identity: self.gateway.identity,
            clientCertificates: .required,
            trust: self.authority.trust
        )
        server.revocations = lists
        return server.forcing(version)
    }

    private func connect(_ node: CertificateAuthority.Issued, _ server: TLSConfiguration) throws -> TLSPair {
        let client = TLSConfiguration.client(trust: self.authority.trust, identity: node.identity)
        let pair = try TLSPair(client, server, serverName: "gateway.test")
        pair.connect()
        return pair
    }

    @Test("a revoked certificate is refused, the others are not", arguments: TLSVersion.allCases)
    func revoked(version: TLSVersion) throws {
        let server = self.server(version, .pem(try self.list([self.bad])))
        #expect(try self.connect(self.good, server).server.peer?.certificate?.commonName == "good")
        let pair = try self.connect(self.bad, server)
        #expect(pair.server.peer == nil)
        #expect(pair.serverError?.kind == .certificateRevoked)
        #expect(pair.serverError?.message.contains("was revoked by CN=Test CA") == true)
    }

    @Test("a list that is out of date, from the future or another authority's lets nobody in")
    func failClosed() throws {
        let other = try CertificateAuthority(commonName: "Other CA", validity: TLSFixture.valid)
        let cases: [(String, String)] = [
            (try self.list([], TLSFixture.expired), "is out of date; fetch a new one"),
            (try self.list([], TLSFixture.future), "is from the future"),
            (try other.revocationList(of: [], validity: TLSFixture.valid), "have none of its authority (CN=Test CA)"),
        ]
        for (list, message) in cases {
            let pair = try self.connect(self.good, self.server(.tls13, .pem(list)))
            #expect(pair.server.peer == nil)
            #expect(pair.serverError?.kind == .revocationUnknown)
            #expect(pair.serverError?.message.contains(message) == true, "\(String(describing: pair.serverError))")
        }
    }

    @Test("a list that another key signed under the authority's name lets nobody in")
    func forged() throws {
        let forger = try TLSFixture.authority()
        let list = try forger.revocationList(of: [], validity: TLSFixture.valid)
        let pair = try self.connect(self.good, self.server(.tls13, .pem(list)))
        #expect(pair.server.peer == nil)
        #expect(pair.serverError?.kind == .revocationUnknown)
    }

    @Test("several lists and several authorities in one file, each for its own")
    func several() throws {
        let other = try CertificateAuthority(commonName: "Other CA", validity: TLSFixture.valid)
        let node = try other.issueClient(commonName: "node", validity: TLSFixture.valid)
        let lost = try other.issueClient(commonName: "lost", validity: TLSFixture.valid)
        let lists = try self.list() + other.revocationList(of: [lost.certificate], validity: TLSFixture.valid)
        var server = self.server(.tls13, .pem(lists))
        server.trust = .pem(self.authority.authority.certificate + other.authority.certificate)
        #expect(try self.connect(self.good, server).server.peer != nil)
        #expect(try self.connect(node, server).server.peer != nil)
        #expect(try self.connect(lost, server).serverError?.kind == .certificateRevoked)
    }

    @Test("what holds no list, or half a one, is refused at the start", arguments: ["", "x", "certificate", "cut"])
    func unusable(kind: String) throws {
        let list = try self.list()
        let text =
            switch kind {
            case "certificate": self.authority.authority.certificate
            case "cut": list + list.prefix(100)
            default: kind
            }
        let error = #expect(throws: TLSError.self) { try TLSContext(self.server(.tls13, .pem(text))) }
        #expect(error?.kind == .configuration)
        #expect(error?.message == "the revocation lists holds no usable PEM revocation list")
    }

    @Test("lists without client certificates are a mistake")
    func senseless() throws {
        var server = self.server(.tls13, .pem(try self.list()))
        server.clientCertificates = .ignored
        #expect(throws: TLSError.self) { try TLSContext(server) }
    }

    @Test("what could not be used once is tried again at each look, without any other change of the lists")
    func retried() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("crl.pem")
        let trust = directory.file("ca.crt")
        func write(_ text: String, _ path: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
        try write(self.list(), path)
        try write(self.authority.authority.certificate, trust)
        var server = self.server(.tls13, .file(path))
        server.trust = .file(trust)
        let source = try TLSContextSource(server)
        try FileManager.default.removeItem(atPath: trust)
        try write(self.list([self.bad]), path)
        let before = source.current
        let error = #expect(throws: TLSError.self) { try source.refresh() }
        #expect(error?.message.contains("ca.crt") == true)
        #expect(try !source.refresh())
        #expect(source.current === before)
        try write(self.authority.authority.certificate, trust)
        #expect(try source.refresh())
        #expect(source.current !== before)
        #expect(try self.connect(self.bad, source.current.configuration).serverError?.kind == .certificateRevoked)
        #expect(try !source.refresh())
    }

    @Test("a list that changes on disk is taken, one that can't be used leaves the old one, and each is told once")
    func refreshed() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("crl.pem")
        func write(_ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
        func isTaken(_ node: CertificateAuthority.Issued, _ source: TLSContextSource) throws -> Bool {
            let client = TLSConfiguration.client(trust: self.authority.trust, identity: node.identity)
            let pair = try TLSPair(client, source.current, serverName: "gateway.test")
            pair.connect()
            return pair.server.peer != nil
        }
        try write(self.list())
        let source = try TLSContextSource(self.server(.tls13, .file(path)))
        #expect(try isTaken(self.bad, source))
        #expect(try !source.refresh())
        try write(self.list([self.bad]))
        #expect(try source.refresh())
        #expect(try !isTaken(self.bad, source) && isTaken(self.good, source))
        try write("nonsense")
        #expect(throws: TLSError.self) { try source.refresh() }
        #expect(try !source.refresh())
        #expect(try !isTaken(self.bad, source) && isTaken(self.good, source))
        try FileManager.default.removeItem(atPath: path)
        #expect(throws: TLSError.self) { try source.refresh() }
        #expect(try !source.refresh())
        try write("nonsense")
        #expect(throws: TLSError.self) { try source.refresh() }
        try write(self.list())
        #expect(try source.refresh())
        #expect(try isTaken(self.bad, source))
    }
}
