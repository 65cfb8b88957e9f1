import Foundation
import Testing

@testable import OpenSSL

@Suite struct ClientNameTests {
    private static let source = TLSClientName.alternativeName(uriPrefix: "urn:sealgate:")

    private func certificate(_ alternatives: String?, commonName: String = "node") throws -> X509Certificate {
        let issued = try TLSFixture.authority().issueClient(
            commonName: commonName,
            alternatives: alternatives,
            validity: TLSFixture.valid
        )
        return try #require(X509Certificate.parse(pem: Array(issued.certificate.utf8), name: "x").first)
    }

    @Test(
        "the one alternative name that can be a device's counts, and none if there are several",
        arguments: [
            ("DNS:attic", "attic"), ("URI:urn:sealgate:attic", "attic"), ("DNS:attic,IP:10.0.0.1", "attic"),
            ("URI:urn:sealgate:attic,URI:https://example.org/attic", "attic"),
            ("DNS:attic,email:someone@example.org", "attic"),
            ("DNS:attic,DNS:hall", nil), ("DNS:attic,DNS:attic", nil), ("DNS:attic,URI:urn:sealgate:attic", nil),
            ("URI:urn:sealgate:a,URI:urn:sealgate:b", nil), ("IP:10.0.0.1", nil), ("email:attic@example.org", nil),
            ("URI:URN:SEALGATE:attic", nil), ("URI:urn:sealgat:attic", nil), ("URI:https://urn:sealgate:attic", nil),
        ] as [(String, String?)]
    )
    func alternatives(text: String, name: String?) throws {
        let certificate = try self.certificate(text)
        #expect(certificate.clientName(Self.source) == name)
        #expect(certificate.clientName(.commonName) == "node")
    }

    @Test("without the extension there is no alternative name, whatever the common name is")
    func none() throws { #expect(try self.certificate(nil).clientName(Self.source) == nil) }

    @Test(
        "a name with a NUL, or one that is no UTF-8, makes all of them count for nothing",
        arguments: [
            // dNSName "attic", then dNSName "a\0b", URI "urn:sealgate:\0", dNSName 0xFF.
            "DER:30:0c:82:05:61:74:74:69:63:82:03:61:00:62",
            "DER:30:17:82:05:61:74:74:69:63:86:0e:75:72:6e:3a:73:65:61:6c:67:61:74:65:3a:00",
            "DER:30:0a:82:05:61:74:74:69:63:82:01:ff",
            // "attic\0.evil" alone, and what is no list of names at all.
            "DER:30:0d:82:0b:61:74:74:69:63:00:2e:65:76:69:6c",
            "DER:04:02:61:62",
        ]
    )
    func unreadable(text: String) throws {
        let certificate = try self.certificate(text)
        #expect(certificate.clientName(Self.source) == nil)
        #expect(certificate.alternativeNames.hasUnreadable)
    }

    @Test("a common name with a NUL names nobody")
    func nulInCommonName() throws {
        let issued = try TLSFixture.authority().issueClient(commonName: "atticXevil", validity: TLSFixture.valid)
        let base64 = issued.certificate.split(separator: "\n").filter { !$0.hasPrefix("-----") }.joined()
        var der = Array(try #require(Data(base64Encoded: base64)))
        let name = Array("atticXevil".utf8)
        let start = try #require((0..<der.count - name.count).first { der[$0..<$0 + name.count].elementsEqual(name) })
        der[start + 5] = 0
        let pem = "-----BEGIN CERTIFICATE-----\n\(Data(der).base64EncodedString())\n-----END CERTIFICATE-----\n"
        let certificate = try #require(X509Certificate.parse(pem: Array(pem.utf8), name: "x").first)
        #expect(certificate.commonName == nil)
        #expect(certificate.clientName(.commonName) == nil)
    }

    @Test("a server takes the name from where it is told to")
    func handshake() throws {
        let authority = try TLSFixture.authority()
        let gateway = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let node = try authority.issueClient(
            commonName: "Somebody's phone",
            alternatives: "URI:urn:sealgate:phone",
            validity: TLSFixture.valid
        )
        var server = TLSConfiguration.server(
            identity: gateway.identity,
            clientCertificates: .required,
            trust: authority.trust
        )
        server.clientName = Self.source
        let client = TLSConfiguration.client(trust: authority.trust, identity: node.identity)
        let pair = try TLSPair(client, server, serverName: "gateway.test")
        pair.connect()
        #expect(pair.server.peer?.certificate?.clientName == "phone")
    }
}
