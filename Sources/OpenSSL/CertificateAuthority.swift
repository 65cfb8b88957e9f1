import COpenSSL

/// A small authority on P-256 for trying things out and for tests: makes itself, servers and clients as PEM text.
/// Touches no file.
package final class CertificateAuthority {
    /// When a certificate is valid: seconds since 1970, both ends included.
    package struct Validity: Equatable, Sendable {
        package var notBefore: Int64
        package var notAfter: Int64

        package init(notBefore: Int64, notAfter: Int64) {
            self.notBefore = notBefore
            self.notAfter = notAfter
        }

        /// From an hour before `now`, as clocks of small machines differ, for a number of days.
        package static func days(_ count: Int, from now: Int64) -> Self {
            Self(notBefore: now - 3600, notAfter: now + Int64(count) * 86400)
        }
    }

    /// A certificate and its private key as PEM. The key is secret: for a file of mode 0600, never for a log.
    package struct Issued: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
        package var certificate: String
        package var privateKey: String

        package var description: String { "Issued(certificate and key, redacted)" }
        package var debugDescription: String { self.description }
        package var customMirror: Mirror { Mirror(self, children: ["certificate": self.certificate]) }
    }

    private static let maxNameBytes = 64

    /// The authority's own certificate, for those who shall believe it, and its key.
    package let authority: Issued
    let key: X509PrivateKey
    let certificate: X509Certificate

    /// `commonName`: 1 to 64 bytes of UTF-8, as in every name below.
    package init(commonName: String, validity: Validity) throws(TLSError) {
        self.key = try X509PrivateKey()
        let builder = try X509Builder(commonName: commonName, key: self.key, validity: validity)
        try builder.addExtension(NID_basic_constraints, "critical,CA:TRUE,pathlen:0", issuer: nil)
        try builder.addExtension(NID_key_usage, "critical,keyCertSign,cRLSign", issuer: nil)
        try builder.addExtension(NID_subject_key_identifier, "hash", issuer: nil)
        self.certificate = try builder.sign(by: self.key, issuer: nil)
        self.authority = try Issued(certificate: self.certificate.pem(), privateKey: self.key.pem())
    }

    /// A server's certificate for host names and IP addresses; at least one of both together.
    package func issueServer(
        names: [String],
        addresses: [String] = [],
        validity: Validity
    ) throws(TLSError) -> Issued {
        guard let first = names.first ?? addresses.first else {
            throw TLSError(.configuration, "a server's certificate needs a host name or an IP address")
        }
        for name in names {
            guard name.utf8.count <= 253, name.utf8.allSatisfy(Self.isHostNameByte), !name.isEmpty else {
                throw TLSError(.configuration, "\(printable(name.utf8)) is no host name")
            }
        }
        for address in addresses {
            // The characters of addresses only; whether it is one, OpenSSL finds out.
            guard address.utf8.allSatisfy({ Self.isHostNameByte($0) || $0 == 0x3A }) else {
                throw TLSError(.configuration, "\(printable(address.utf8)) is no IP address")
            }
        }
        let alternatives = names.map { "DNS:\($0)" } + addresses.map { "IP:\($0)" }
        // A long host name doesn't fit in a common name; who verifies looks at the alternatives only.
        let commonName = first.utf8.count <= Self.maxNameBytes ? first : "server"
        return try self.issue(
            commonName: commonName,
            usage: "serverAuth",
            alternatives: alternatives.joined(separator: ","),
            validity: validity
        )
    }

    /// A client's certificate. The common name is the device it stands for, or else an alternative name is.
    ///
    /// - Parameter alternatives: The subjectAltName extension in OpenSSL's notation, `URI:urn:sealgate:attic`; nil: none.
    package func issueClient(
        commonName: String,
        alternatives: String? = nil,
        validity: Validity
    ) throws(TLSError) -> Issued {
        try self.issue(commonName: commonName, usage: "clientAuth", alternatives: alternatives, validity: validity)
    }

    private func issue(
        commonName: String,
        usage: String,
        alternatives: String?,
        validity: Validity
    ) throws(TLSError) -> Issued {
        let key = try X509PrivateKey()
        let builder = try X509Builder(commonName: commonName, key: key, validity: validity)
        try builder.addExtension(NID_basic_constraints, "critical,CA:FALSE", issuer: self.certificate)
        try builder.addExtension(NID_key_usage, "critical,digitalSignature", issuer: self.certificate)
        try builder.addExtension(NID_ext_key_usage, usage, issuer: self.certificate)
        try builder.addExtension(NID_subject_key_identifier, "hash", issuer: self.certificate)
        try builder.addExtension(NID_authority_key_identifier, "keyid", issuer: self.certificate)
        if let alternatives {
            try builder.addExtension(NID_subject_alt_name, alternatives, issuer: self.certificate)
        }
        let certificate = try builder.sign(by: self.key, issuer: self.certificate)
        return try Issued(certificate: certificate.pem(), privateKey: key.pem())
    }

    private static func isHostNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x2A: true  // Digits, letters, - . _ *
        default: false
        }
    }
}
