/// A version of the protocol. 1.2 is the floor: older ones can't be named.
package enum TLSVersion: String, Sendable, Comparable, CaseIterable {
    case tls12 = "1.2"
    case tls13 = "1.3"

    package static func < (a: Self, b: Self) -> Bool { a == .tls12 && b == .tls13 }
}

/// A client's pre-shared key and the name under which the server knows it. The key never appears in a description.
package struct TLSPreSharedKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Longest key in bytes: what OpenSSL takes for TLS 1.2.
    package static let maxKeyBytes = 256

    /// 1 to 255 bytes without NUL: TLS 1.2 as OpenSSL speaks it ends the identity at a NUL.
    package var identity: [UInt8]
    /// 1 to ``maxKeyBytes`` bytes. Secret.
    package var key: [UInt8]

    package init(identity: [UInt8], key: [UInt8]) {
        self.identity = identity
        self.key = key
    }

    package var description: String { "TLSPreSharedKey(identity: \(printable(self.identity)), key: redacted)" }
    package var debugDescription: String { self.description }
    package var customMirror: Mirror { Mirror(self, children: ["identity": printable(self.identity)]) }
}

/// The certificate chain that an endpoint shows, leaf first, and the private key of its leaf.
package enum TLSIdentity: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// PEM files. A key file that group or others may touch (a mode wider than 0600) is refused. `passphrase` opens an
    /// encrypted key: 1 to ``TLSIdentity/maxPassphraseBytes`` bytes, secret.
    case files(certificateChain: String, privateKey: String, passphrase: [UInt8]? = nil)
    /// PEM text, for tests and for a demonstration that writes nothing. The key is secret.
    case pem(certificateChain: String, privateKey: String)

    /// Longest passphrase in bytes that OpenSSL takes.
    package static let maxPassphraseBytes = 1024

    package var description: String {
        switch self {
        case .files(let chain, let key, _): "TLSIdentity(certificate: \(chain), key: \(key))"
        case .pem: "TLSIdentity(PEM text, redacted)"
        }
    }
    package var debugDescription: String { self.description }
    package var customMirror: Mirror { Mirror(self, children: [("identity", self.description)]) }
}

/// Whose certificates are believed.
package enum TLSTrust: Sendable, Equatable {
    /// Nobody's: right for an endpoint that only does pre-shared keys.
    case nothing
    /// What the operating system trusts.
    case system
    /// A PEM file with one or more authorities.
    case file(String)
    /// A directory: the authorities in each of its files whose names end in `.crt` or `.pem`.
    case directory(String)
    /// PEM text with one or more authorities.
    case pem(String)
}

/// Which certificates of clients are no longer believed, by the revocation lists of their authorities.
package enum TLSRevocations: Sendable, Equatable {
    /// Nobody looks.
    case unchecked
    /// A PEM file, at most 1 MiB, with the lists of all authorities in a chain, the root's own included. An authority
    /// whose list is missing or out of date lets nobody in.
    case file(String)
    /// The same as PEM text.
    case pem(String)
}

/// What an endpoint may speak, what it shows, and whom it believes. Read once, by `TLSContext`.
package struct TLSConfiguration: Sendable {
    package enum Role: Sendable, Equatable {
        case client
        case server
    }

    /// What a server does about certificates of its clients.
    package enum ClientCertificates: Sendable, Equatable {
        /// Doesn't ask.
        case ignored
        /// Asks; a client without one may come in, a client with one that `trust` doesn't cover may not.
        case optional
        /// A client that proves a pre-shared key needs none; every other does.
        case required
    }

    /// The key of an identity, or nil when it is unknown. Called on the event loop during a handshake, so it must not
    /// block. Identities are 1 to 64 bytes without NUL; others are never asked for. Keys longer than
    /// ``TLSPreSharedKey/maxKeyBytes`` are none.
    package typealias KeyLookup = @Sendable (_ identity: [UInt8]) -> [UInt8]?

    /// The time by which certificates and revocation lists are judged, in seconds since 1970. Called on the event loop at the
    /// beginning of each connection, so it must not block.
    package typealias VerificationTime = @Sendable () -> Int64

    package var role: Role
    package var minimumVersion: TLSVersion = .tls12
    package var maximumVersion: TLSVersion = .tls13
    package var identity: TLSIdentity?
    package var trust: TLSTrust
    /// The time by which peers' certificates are judged; nil: this machine's clock.
    package var verificationTime: VerificationTime?
    /// Whether ``verificationTime`` is only the earliest that it can be: then what is not valid yet may be, and is taken, and what
    /// has expired has expired. Called like that. Nil: it is the time.
    package var isVerificationTimeBound: (@Sendable () -> Bool)?
    /// Client only: SHA-256 of the SubjectPublicKeyInfo of a server's certificate (RFC 7469 §2.4), 32 bytes each. One of them
    /// must be the server's. With `trust: .nothing` that alone decides: neither chain nor name nor dates are looked at.
    package var pins: [[UInt8]] = []
    /// Client only: what ALPN offers (RFC 7301), best first, 1 to 255 bytes each; none: no such extension.
    package var applicationProtocols: [String] = []
    /// Server only; authorities come from `trust`.
    package var clientCertificates: ClientCertificates = .ignored
    /// Server only: holds for certificates of clients.
    package var revocations: TLSRevocations = .unchecked
    /// Server only: where a client's certificate carries its name.
    package var clientName: TLSClientName = .commonName
    /// Server only: switches pre-shared keys on.
    package var keyLookup: KeyLookup?
    /// Client only: switches pre-shared keys on.
    package var preSharedKey: TLSPreSharedKey?
    /// Client only: switches pre-shared keys on, and each connection brings its own: ``TLSClientCredentials``.
    package var expectsOwnKeys = false

    /// A client. With a pre-shared key and `trust: .nothing` the server must prove that it has the key too; a
    /// certificate in its place is refused.
    package static func client(
        preSharedKey: TLSPreSharedKey? = nil,
        trust: TLSTrust = .nothing,
        identity: TLSIdentity? = nil
    ) -> Self {
        var configuration = Self(role: .client, trust: trust)
        configuration.preSharedKey = preSharedKey
        configuration.identity = identity
        return configuration
    }

    /// A server with a certificate, pre-shared keys, or both.
    package static func server(
        identity: TLSIdentity? = nil,
        keyLookup: KeyLookup? = nil,
        clientCertificates: ClientCertificates = .ignored,
        trust: TLSTrust = .nothing
    ) -> Self {
        var configuration = Self(role: .server, trust: trust)
        configuration.identity = identity
        configuration.keyLookup = keyLookup
        configuration.clientCertificates = clientCertificates
        return configuration
    }

    private init(role: Role, trust: TLSTrust) {
        self.role = role
        self.trust = trust
    }

    /// The same configuration with one version only.
    package func forcing(_ version: TLSVersion) -> Self {
        var copy = self
        copy.minimumVersion = version
        copy.maximumVersion = version
        return copy
    }

    var usesPreSharedKeys: Bool { self.keyLookup != nil || self.offersPreSharedKeys }

    /// Whether a client has a pre-shared key, here or for each connection.
    var offersPreSharedKeys: Bool { self.preSharedKey != nil || self.expectsOwnKeys }

    /// Whether a client goes by the server's certificate.
    var usesServerCertificates: Bool { self.trust != .nothing || !self.pins.isEmpty }
}

/// Bytes of a peer for a log: printable ASCII in quotes, everything else as `\xNN`; at most 64 bytes are shown.
func printable(_ bytes: some Collection<UInt8>) -> String {
    var text = "\""
    for byte in bytes.prefix(64) {
        switch byte {
        case 0x22, 0x5C: text += "\\" + String(UnicodeScalar(byte))
        case 0x20...0x7E: text += String(UnicodeScalar(byte))
        default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }
    return text + (bytes.count > 64 ? "…\"" : "\"")
}
