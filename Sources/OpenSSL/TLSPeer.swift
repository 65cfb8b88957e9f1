import COpenSSL

/// What a handshake proved about the peer, and how the connection is protected.
package struct TLSPeer: Equatable, Sendable {
    /// A certificate of the peer that was verified up to a trusted authority.
    package struct Certificate: Equatable, Sendable {
        /// The subject's common name, if there is exactly one.
        package var commonName: String?
        /// The name that it proves, from where the configuration says (``TLSConfiguration/clientName``); nil: nobody's.
        package var clientName: String?
        package var dnsNames: [String]
        /// 4 or 16 bytes each.
        package var addresses: [[UInt8]]
        /// "2026-01-02 03:04:05Z", for the operator.
        package var notAfter: String

        package init(
            commonName: String?,
            clientName: String?,
            dnsNames: [String] = [],
            addresses: [[UInt8]] = [],
            notAfter: String
        ) {
            self.commonName = commonName
            self.clientName = clientName
            self.dnsNames = dnsNames
            self.addresses = addresses
            self.notAfter = notAfter
        }
    }

    /// On a server: the identity whose key the client proved. On a client with a key: its own identity, if the server
    /// proved to have the key.
    package var preSharedKeyIdentity: [UInt8]?
    package var certificate: Certificate?
    package var version: TLSVersion
    /// OpenSSL's name, "ECDHE-PSK-CHACHA20-POLY1305".
    package var cipher: String
    /// Whether a key that leaks later leaves this connection's past secret.
    package var hasForwardSecrecy: Bool
    /// What ALPN settled on; nil if nothing.
    package var applicationProtocol: String?

    package init(
        preSharedKeyIdentity: [UInt8]? = nil,
        certificate: Certificate? = nil,
        version: TLSVersion,
        cipher: String,
        hasForwardSecrecy: Bool
    ) {
        self.preSharedKeyIdentity = preSharedKeyIdentity
        self.certificate = certificate
        self.version = version
        self.cipher = cipher
        self.hasForwardSecrecy = hasForwardSecrecy
    }

    /// Reads it from a connection whose handshake is complete. `identity` is what was last offered; it counts only if
    /// the handshake really used a pre-shared key. `clientName` says where a certificate carries its name.
    init?(_ ssl: OpaquePointer, identity: [UInt8]?, clientName: TLSClientName) {
        guard let version = unsafe TLSVersion(wireValue: SSL_version(ssl)),
            let suite = unsafe SSL_get_current_cipher(ssl)
        else { return nil }
        self.version = version
        unsafe self.cipher = String(cString: SSL_CIPHER_get_name(suite))
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        if let name = unsafe name, count > 0 {
            self.applicationProtocol = unsafe String(
                decoding: UnsafeBufferPointer(start: name, count: Int(count)),
                as: UTF8.self
            )
        }
        let usedKey: Bool
        switch version {
        case .tls13:
            // Tickets are off on both sides, so that a "resumed" session is the one made from the external key.
            usedKey = unsafe SSL_session_reused(ssl) == 1
            self.hasForwardSecrecy = unsafe !usedKey || shim_SSL_get_negotiated_group(ssl) != 0
        case .tls12:
            usedKey = unsafe SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk
            self.hasForwardSecrecy = unsafe SSL_CIPHER_get_kx_nid(suite) != NID_kx_psk
        }
        self.preSharedKeyIdentity = usedKey ? identity : nil
        if !usedKey, unsafe SSL_get_verify_result(ssl) == X509_V_OK, let raw = unsafe SSL_get1_peer_certificate(ssl) {
            let certificate = unsafe X509Certificate(taking: raw)
            let names = certificate.alternativeNames
            self.certificate = Certificate(
                commonName: certificate.commonName,
                clientName: certificate.clientName(clientName),
                dnsNames: names.dns,
                addresses: names.addresses,
                notAfter: certificate.notAfter
            )
        }
    }
}
