import Foundation

@testable import OpenSSL

/// Keys, certificates and configurations that the tests share.
enum TLSFixture {
    static let identity: [UInt8] = Array("attic".utf8)
    static let key: [UInt8] = Array("0123456789abcdef".utf8)

    static let now = Int64(Date().timeIntervalSince1970)
    static let day: Int64 = 86400

    static let valid = CertificateAuthority.Validity.days(2, from: Self.now)
    static let expired = CertificateAuthority.Validity(
        notBefore: Self.now - 2 * Self.day,
        notAfter: Self.now - Self.day
    )
    static let future = CertificateAuthority.Validity(notBefore: Self.now + Self.day, notAfter: Self.now + 2 * Self.day)

    static func authority() throws -> CertificateAuthority {
        try CertificateAuthority(commonName: "Test CA", validity: self.valid)
    }

    static func keyClient(
        identity: [UInt8] = Self.identity,
        key: [UInt8] = Self.key,
        _ version: TLSVersion? = nil
    ) -> TLSConfiguration {
        let configuration = TLSConfiguration.client(preSharedKey: TLSPreSharedKey(identity: identity, key: key))
        return version.map { configuration.forcing($0) } ?? configuration
    }

    static func keyServer(_ version: TLSVersion? = nil, identity: TLSIdentity? = nil) -> TLSConfiguration {
        let configuration = TLSConfiguration.server(
            identity: identity,
            keyLookup: { $0 == Self.identity ? Self.key : nil }
        )
        return version.map { configuration.forcing($0) } ?? configuration
    }
}

extension CertificateAuthority.Issued {
    var identity: TLSIdentity { .pem(certificateChain: self.certificate, privateKey: self.privateKey) }
}

extension CertificateAuthority {
    var trust: TLSTrust { .pem(self.authority.certificate) }
}
