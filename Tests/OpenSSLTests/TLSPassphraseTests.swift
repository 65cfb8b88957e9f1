import Foundation
import TestSupport
import Testing

@testable import OpenSSL

/// Private keys that are encrypted, and files that are exchanged while they are in use.
@Suite struct TLSPassphraseTests {
    private let directory: TemporaryDirectory
    private let authority: CertificateAuthority

    init() throws {
        self.directory = try TemporaryDirectory()
        self.authority = try TLSFixture.authority()
    }

    private func issue() throws -> CertificateAuthority.Issued {
        try self.authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
    }

    /// The key encrypted as `openssl pkcs8` or, in the traditional form, `openssl ec` does.
    private func encrypt(_ key: String, _ arguments: [String]) async throws -> String {
        let plain = try self.directory.write("plain.key", key)
        let finished = try await ChildProcess.run(
            "openssl",
            arguments + ["-in", plain, "-passout", "pass:open sesame"]
        )
        #expect(finished.exit == .status(0))
        return finished.text + "\n"
    }

    @Test(
        "an encrypted key opens with its passphrase",
        arguments: [["pkcs8", "-topk8", "-v2", "aes-256-cbc"], ["ec", "-aes128"]]
    )
    func encrypted(_ arguments: [String]) async throws {
        let issued = try self.issue()
        let chain = try self.directory.write("server.crt", issued.certificate)
        let key = try self.directory.write("server.key", try await self.encrypt(issued.privateKey, arguments))
        func context(_ passphrase: String?) throws -> TLSContext {
            let passphrase = passphrase.map { Array($0.utf8) }
            return try TLSContext(
                .server(identity: .files(certificateChain: chain, privateKey: key, passphrase: passphrase))
            )
        }
        _ = try context("open sesame")
        for (passphrase, words) in [
            ("open", "does not open with the passphrase"), ("", "does not open with the passphrase"),
            (String(repeating: "a", count: 1025), "does not open with the passphrase"),
            (nil, "no passphrase for it is named"),
        ] {
            let error = #expect(throws: TLSError.self) { try context(passphrase) }
            #expect(error?.message.contains("server.key is encrypted") == true)
            #expect(error?.message.contains(words) == true, "\(String(describing: error))")
        }
    }

    @Test("a passphrase for a key that is not encrypted does no harm, and shows nowhere")
    func needless() throws {
        let issued = try self.issue()
        let identity = TLSIdentity.files(
            certificateChain: try self.directory.write("server.crt", issued.certificate),
            privateKey: try self.directory.write("server.key", issued.privateKey),
            passphrase: Array("open sesame".utf8)
        )
        _ = try TLSContext(.server(identity: identity))
        var dumped = ""
        dump(identity, to: &dumped)
        for text in ["\(identity)", String(reflecting: identity), dumped] {
            #expect(!text.contains("sesame") && !text.contains("111"))
        }
    }

    @Test(
        "a new pair is taken as a whole: a certificate without its key leaves the old pair in force, and is told once"
    )
    func halfWritten() throws {
        let first = try self.issue()
        let chain = try self.directory.write("server.crt", first.certificate)
        let key = try self.directory.write("server.key", first.privateKey)
        let source = try TLSContextSource(.server(identity: .files(certificateChain: chain, privateKey: key)))
        #expect(try !source.refresh())
        let old = source.current
        #expect(old.identityExpiry == TLSFixture.valid.notAfter)
        let second = try self.authority.issueServer(names: ["gateway.test"], validity: .days(5, from: TLSFixture.now))
        try self.directory.write("server.crt", second.certificate)
        let error = #expect(throws: TLSError.self) { try source.refresh() }
        #expect(error?.message.contains("is not the key of the first certificate") == true)
        #expect(try !source.refresh())
        #expect(source.current === old)
        try self.directory.write("server.key", second.privateKey)
        #expect(try source.refresh())
        #expect(source.current.identityExpiry == TLSFixture.now + 5 * TLSFixture.day)
        #expect(try !source.refresh())
    }

    @Test("an authority that is added to a directory is taken, and so is a secret that changes")
    func added() throws {
        let authorities = try TemporaryDirectory()
        try authorities.write("a.crt", self.authority.authority.certificate)
        let secret = try self.directory.write("key", "one")
        let source = try TLSContextSource(secrets: [secret]) {
            var configuration = TLSConfiguration.client(trust: .directory(authorities.path))
            configuration.preSharedKey = try TLSPreSharedKey(identity: [1], key: TLSFile.read(path: secret))
            return configuration
        }
        #expect(try !source.refresh())
        let other = try CertificateAuthority(commonName: "Another", validity: TLSFixture.valid)
        try authorities.write("b.crt", other.authority.certificate)
        #expect(try source.refresh())
        try self.directory.write("key", "other")
        #expect(try source.refresh())
        #expect(source.current.configuration.preSharedKey?.key == Array("other".utf8))
        #expect(try !source.refresh())
        try FileManager.default.removeItem(atPath: secret)
        #expect(throws: TLSError.self) { try source.refresh() }
        #expect(try !source.refresh())
        #expect(source.current.configuration.preSharedKey?.key == Array("other".utf8))
    }
}
