/// Which suites and groups are spoken, best first. A server goes by this order, not by the client's; only ChaCha20 is
/// pulled forward for a client that lists it first, because such a client has no AES in hardware.
enum TLSCipherPolicy {
    /// Certificates in TLS 1.2: forward secrecy and AEAD, nothing else.
    private static let certificateSuites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    ]

    /// Pre-shared keys in TLS 1.2. OpenSSL has no ECDHE-PSK with AES-GCM; its CBC suites with SHA-2 run as
    /// encrypt-then-MAC (RFC 7366). Plain PSK has no forward secrecy: AEAD only, and only after everything else.
    private static let keySuites = [
        "ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-PSK-AES128-CBC-SHA256", "ECDHE-PSK-AES256-CBC-SHA384",
        "DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-CHACHA20-POLY1305", "DHE-PSK-AES256-GCM-SHA384",
        "PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305", "PSK-AES256-GCM-SHA384",
    ]

    /// The list for TLS 1.2. Pre-shared keys come first: a client that offers them has one, and it is the identity
    /// that counts. A client with a key and nothing to trust doesn't offer certificate suites at all.
    static func suites(for configuration: TLSConfiguration) -> String {
        var suites: [String] = []
        if configuration.usesPreSharedKeys { suites += self.keySuites }
        let certificates =
            switch configuration.role {
            case .server: configuration.identity != nil
            case .client: configuration.usesServerCertificates
            }
        if certificates || suites.isEmpty { suites += self.certificateSuites }
        return suites.joined(separator: ":")
    }

    /// TLS 1.3. An external pre-shared key goes with SHA-256 (RFC 8446 §4.2.11), so that suites with SHA-384 come
    /// last: a server that picked one could not accept the key.
    static let suites13 = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"

    static let groups = "X25519:P-256:P-384"
}
