import Testing

@testable import OpenSSL

@Suite struct CertificateAuthorityTests {
    @Test("certificates carry their names, dates and issuer")
    func contents() throws {
        let validity = CertificateAuthority.Validity(notBefore: 1_700_000_000, notAfter: 2_600_000_000)
        let authority = try CertificateAuthority(commonName: "Köhler CA", validity: validity)
        let issued = try authority.issueServer(
            names: ["a.test"],
            addresses: ["10.0.0.1", "fe80::1"],
            validity: validity
        )
        let certificate = try #require(X509Certificate.parse(pem: Array(issued.certificate.utf8), name: "x").first)
        #expect(certificate.commonName == "a.test")
        #expect(certificate.issuer == #"CN=K\C3\B6hler CA"#)
        #expect(certificate.notBefore == "2023-11-14 22:13:20Z")
        #expect(certificate.notAfter == "2052-05-22 14:13:20Z")
        #expect(certificate.alternativeNames.dns == ["a.test"])
        #expect(certificate.alternativeNames.addresses.first == [10, 0, 0, 1])
        #expect(issued.privateKey.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    }

    @Test("serial numbers differ")
    func serials() throws {
        let authority = try TLSFixture.authority()
        let first = try authority.issueClient(commonName: "n", validity: TLSFixture.valid)
        let second = try authority.issueClient(commonName: "n", validity: TLSFixture.valid)
        #expect(first.certificate != second.certificate)
    }

    @Test(
        "names that could smuggle something in are refused",
        arguments: ["", "a,IP:1.2.3.4", "a b", "a\nb", "email:x", "ä.test", String(repeating: "a", count: 254)]
    )
    func badNames(name: String) throws {
        let authority = try TLSFixture.authority()
        #expect(throws: TLSError.self) { try authority.issueServer(names: [name], validity: TLSFixture.valid) }
        #expect(throws: TLSError.self) {
            try authority.issueServer(names: ["a"], addresses: [name], validity: TLSFixture.valid)
        }
    }

    @Test("common names are bounded and printable", arguments: ["", "a\0b", "a\nb", String(repeating: "a", count: 65)])
    func badCommonNames(name: String) throws {
        let authority = try TLSFixture.authority()
        #expect(throws: TLSError.self) { try authority.issueClient(commonName: name, validity: TLSFixture.valid) }
    }
}
