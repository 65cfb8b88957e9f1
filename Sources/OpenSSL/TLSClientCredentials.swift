import COpenSSL
import Synchronization

/// What one of many clients behind a shared context shows, in place of what the context's configuration says: a
/// pre-shared key of its own, or a certificate of its own.
///
/// So a thousand identities towards one broker need one context, with one copy of its authorities. Immutable once made: any
/// thread. The secret in it never appears in a description.
@safe package final class TLSClientCredentials: @unchecked Sendable {
    // @unchecked Sendable: nothing in it changes, and OpenSSL counts references to certificates and keys atomically.

    private struct Identity {
        let certificates: [X509Certificate]
        let key: X509PrivateKey
    }

    /// nil: a certificate, or nothing.
    let preSharedKey: TLSPreSharedKey?
    private let identity: Identity?
    /// The key's identity with a NUL behind it: OpenSSL keeps the address during a handshake.
    let keyName: UnsafeMutableBufferPointer<UInt8>

    /// A pre-shared key; for a context with ``TLSConfiguration/expectsOwnKeys``.
    package init(preSharedKey: TLSPreSharedKey) throws(TLSError) {
        try preSharedKey.validate()
        self.preSharedKey = preSharedKey
        self.identity = nil
        unsafe self.keyName = preSharedKey.terminatedIdentity
    }

    /// A certificate with its chain, and its key. Reads the files: blocks, not for the loop.
    ///
    /// - Throws: ``TLSError`` as ``TLSContext/init(_:)`` for the same files.
    package init(certificateChain: String, privateKey: String, passphrase: [UInt8]? = nil) throws(TLSError) {
        let chain = try TLSFile.read(path: certificateChain)
        var key = try TLSFile.readSecret(path: privateKey)
        defer { unsafe key.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) } }
        let certificates = try X509Certificate.parse(pem: chain, name: certificateChain)
        let own = try X509PrivateKey(pem: key, passphrase: passphrase, name: privateKey)
        OpenSSLError.clear()
        guard let leaf = certificates.first, unsafe X509_check_private_key(leaf.raw, own.raw) == 1 else {
            throw TLSError(
                .configuration,
                "\(privateKey) is not the key of the first certificate in \(certificateChain)",
                detail: OpenSSLError(call: "X509_check_private_key").description
            )
        }
        self.preSharedKey = nil
        self.identity = Identity(certificates: certificates, key: own)
        unsafe self.keyName = .allocate(capacity: 0)
    }

    deinit {
        unsafe self.keyName.deallocate()
    }

    /// Whether it is a certificate.
    var hasCertificate: Bool { self.identity != nil }

    /// Makes the connection show the certificate, if it is one. Before the handshake.
    func apply(to ssl: OpaquePointer) throws(TLSError) {
        guard let identity = self.identity else { return }
        OpenSSLError.clear()
        for (index, certificate) in identity.certificates.enumerated() {
            let added =
                unsafe index == 0
                ? SSL_use_certificate(ssl, certificate.raw) : shim_SSL_add1_chain_cert(ssl, certificate.raw)
            guard added == 1 else { throw Self.failure("SSL_use_certificate") }
        }
        guard unsafe SSL_use_PrivateKey(ssl, identity.key.raw) == 1 else { throw Self.failure("SSL_use_PrivateKey") }
    }

    private static func failure(_ call: String) -> TLSError {
        let detail = OpenSSLError(call: call).description
        return TLSError(.configuration, "can't use the certificate of this connection", detail: detail)
    }
}

extension TLSPreSharedKey {
    func validate() throws(TLSError) {
        guard (1...255).contains(self.identity.count), !self.identity.contains(0) else {
            throw TLSError(.configuration, "a pre-shared key's identity has 1 to 255 bytes, none of them NUL")
        }
        guard (1...Self.maxKeyBytes).contains(self.key.count) else {
            throw TLSError(.configuration, "a pre-shared key has 1 to 256 bytes, this one \(self.key.count)")
        }
    }

    /// The identity with a NUL behind it, in memory that the caller gives back.
    fileprivate var terminatedIdentity: UnsafeMutableBufferPointer<UInt8> {
        let bytes = self.identity + [0]
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = unsafe memory.initialize(from: bytes)
        return unsafe memory
    }
}

/// Where a connection finds its ``TLSClientCredentials`` when it is made: they may be read, and read again, after the
/// connections' maker was set up. Any thread.
package final class TLSCredentialsSlot: Sendable {
    private let value = Mutex<TLSClientCredentials?>(nil)

    /// Empty.
    package init() {}

    /// nil: a connection that is made now shows nothing of its own.
    package var current: TLSClientCredentials? {
        get { self.value.withLock(\.self) }
        set { self.value.withLock { $0 = newValue } }
    }
}
