import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import Gateway

@Suite("TLS that gateway.conf asks for")
struct TLSSettingsTests {
    private static let now = Int64(Date().timeIntervalSince1970)

    private static let configuration =
        BadFile.head + """
            [[listener]]
            protocol = "mqtts"
            bind = "[::]:0"
            certificate = "gateway.crt"
            key = "gateway.key"
            client_ca = "ca.crt"
            client_crl = "crl.pem"
            [uplink.cloud]
            address = "mqtts://h"
            ca = "ca.crt.cloud"
            """

    /// All files as they should be, but for those that `change` writes again; then what is found, from the line on.
    private func findings(_ change: (TemporaryDirectory, CertificateAuthority) throws -> Void = { _, _ in }) throws
        -> [String]
    {
        let directory = try TemporaryDirectory()
        let file = try directory.write("gateway.conf", Self.configuration, mode: 0o644)
        let valid = CertificateAuthority.Validity.days(2, from: Self.now)
        let authority = try CertificateAuthority(commonName: "Test CA", validity: valid)
        let gateway = try authority.issueServer(names: ["gateway.test"], validity: valid)
        try directory.write("gateway.crt", gateway.certificate)
        try directory.write("gateway.key", gateway.privateKey)
        try directory.write("ca.crt", authority.authority.certificate)
        try directory.write("ca.crt.cloud", authority.authority.certificate)
        try directory.write("crl.pem", authority.revocationList(of: [], validity: valid))
        try change(directory, authority)
        let before = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        let configuration = try GatewayConfiguration.load(path: file)
        let problems = configuration.checkFiles()
        let findings = problems + configuration.checkTLS(besides: problems)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() == before)
        return findings.map {
            $0.description.replacingOccurrences(of: directory.path + "/", with: "")
                .replacingOccurrences(of: #" \[.*\]$"#, with: "", options: .regularExpression)
        }
    }

    @Test("nothing is found where all is right")
    func good() throws {
        #expect(try self.findings() == [])
    }

    @Test("what only looks like PEM is found, each with its line and key")
    func contents() throws {
        let nonsense = { (what: String) in "-----BEGIN \(what)-----\nAAAA\n-----END \(what)-----\n" }
        let cases: [(file: String, what: String, finding: String)] = [
            ("gateway.crt", "CERTIFICATE", "gateway.conf:10: listener[2].certificate: gateway.crt holds no usable PEM"),
            ("gateway.key", "PRIVATE KEY", "gateway.conf:11: listener[2].key: "),
            ("ca.crt", "CERTIFICATE", "gateway.conf:12: listener[2].client_ca: ca.crt holds no usable PEM certificate"),
            ("crl.pem", "X509 CRL", "gateway.conf:13: listener[2].client_crl: crl.pem holds no usable PEM revocation"),
            ("ca.crt.cloud", "CERTIFICATE", "gateway.conf:16: uplink.cloud.ca: ca.crt.cloud holds no usable PEM"),
        ]
        for (file, what, finding) in cases {
            let found = try self.findings { directory, _ in try directory.write(file, nonsense(what)) }
            #expect(found.count == 1 && found[0].hasPrefix(finding), "\(found)")
        }
    }

    @Test("a key of another certificate is found")
    func otherKey() throws {
        let found = try self.findings { directory, authority in
            let other = try authority.issueServer(names: ["b"], validity: .days(2, from: Self.now))
            try directory.write("gateway.key", other.privateKey)
        }
        let finding = "gateway.key is not the key of the first certificate in gateway.crt"
        #expect(found == ["gateway.conf:11: listener[2].key: \(finding)"])
    }

    @Test("a key that is encrypted opens with its passphrase, and one that does not is found")
    func passphrase() async throws {
        let directory = try TemporaryDirectory()
        let valid = CertificateAuthority.Validity.days(2, from: Self.now)
        let authority = try CertificateAuthority(commonName: "Test CA", validity: valid)
        let client = try authority.issueClient(commonName: "attic", validity: valid)
        try directory.write("a.crt", client.certificate)
        let plain = try directory.write("plain", client.privateKey)
        let arguments = ["pkcs8", "-topk8", "-in", plain, "-passout", "pass:open sesame"]
        let key = try await ChildProcess.run("openssl", arguments)
        try directory.write("a.key", key.text + "\n")
        try FileManager.default.createDirectory(
            atPath: directory.path + "/authorities",
            withIntermediateDirectories: false
        )
        try directory.write("authorities/a.pem", authority.authority.certificate, mode: 0o644)
        let file = try directory.write(
            "gateway.conf",
            BadFile.head + BadFile.uplink + """
                ca = "authorities"
                certificate = "a.crt"
                key = "a.key"
                key_passphrase_file = "a.pass"
                """
        )
        func findings() throws -> [String] {
            let configuration = try GatewayConfiguration.load(path: file)
            let problems = configuration.checkFiles()
            return (problems + configuration.checkTLS(besides: problems)).map(\.description)
        }
        try directory.write("a.pass", "utf8:open sesame\n")
        #expect(try findings() == [])
        try directory.write("a.pass", "utf8:open\n")
        let wrong = try findings()
        #expect(wrong.count == 1 && wrong[0].contains(":11: uplink.cloud.key: "), "\(wrong)")
        #expect(wrong.first?.contains("a.key is encrypted, and does not open with the passphrase") == true)
        try directory.write("a.pass", "open sesame")
        #expect(try findings().first?.contains(":12: uplink.cloud.key_passphrase_file: ") == true)
        try directory.write("authorities/b.crt", "nonsense", mode: 0o644)
        let foreign = try findings()
        let isFound = foreign.contains { $0.contains(":9: uplink.cloud.ca: ") && $0.contains("holds no certificate") }
        #expect(isFound, "\(foreign)")
    }

    @Test("a file that is not there is told of once")
    func missing() throws {
        let found = try self.findings { directory, _ in
            try FileManager.default.removeItem(atPath: directory.path + "/gateway.crt")
        }
        #expect(found == ["gateway.conf:10: listener[2].certificate: the file \"gateway.crt\" does not exist"])
    }

    @Test("a revocation list that is out of date is a warning")
    func outdated() throws {
        let found = try self.findings { directory, authority in
            let past = CertificateAuthority.Validity(notBefore: Self.now - 90_000, notAfter: Self.now - 3_600)
            try directory.write("crl.pem", authority.revocationList(of: [], validity: past))
        }
        let start =
            "gateway.conf:13: warning: listener[2].client_crl: the revocation list of CN=Test CA is out of date since 20"
        #expect(found.count == 1 && found[0].hasPrefix(start), "\(found)")
    }
}
