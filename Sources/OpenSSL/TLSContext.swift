import COpenSSL

/// Owner of one SSL_CTX: made once from a configuration, shared by all connections of a listener or uplink. Immutable
/// once made, so that any loop may make connections from it.
@safe package final class TLSContext: @unchecked Sendable {
    let raw: OpaquePointer
    package let configuration: TLSConfiguration
    /// A client's identity with a NUL behind it: OpenSSL keeps the address during a handshake.
    let clientIdentity: UnsafeMutableBufferPointer<UInt8>
    /// When the own certificate expires, in seconds since 1970; nil without one.
    package private(set) var identityExpiry: Int64?

    /// Reads the files of the configuration. Blocks on the disk: not for the event loop.
    package init(_ configuration: TLSConfiguration) throws(TLSError) {
        OpenSSLError.clear()
        let method = unsafe configuration.role == .server ? TLS_server_method() : TLS_client_method()
        guard let raw = unsafe SSL_CTX_new(method) else { throw TLSContext.failure("SSL_CTX_new") }
        unsafe self.raw = raw
        self.configuration = configuration
        let identity = (configuration.preSharedKey?.identity ?? []) + [0]
        unsafe self.clientIdentity = .allocate(capacity: identity.count)
        _ = unsafe self.clientIdentity.initialize(from: identity)
        // From here on `deinit` cleans up.
        try self.validate()
        try self.applyPolicy()
        try self.loadIdentity()
        try self.loadTrust()
        try self.applyPins()
        try self.offerProtocols()
        try self.loadRevocations()
        unsafe TLSPreSharedKeyCallbacks.install(on: raw, configuration)
    }

    deinit {
        unsafe SSL_CTX_free(self.raw)
        unsafe self.clientIdentity.deallocate()
    }

    private func validate() throws(TLSError) {
        let configuration = self.configuration
        guard configuration.minimumVersion <= configuration.maximumVersion else {
            throw TLSError(.configuration, "the least TLS version is above the greatest")
        }
        try configuration.preSharedKey?.validate()
        if configuration.role == .server, configuration.identity == nil, configuration.keyLookup == nil {
            throw TLSError(.configuration, "a TLS server needs a certificate or pre-shared keys")
        }
        if configuration.clientCertificates == .ignored, configuration.revocations != .unchecked {
            throw TLSError(.configuration, "there are revocation lists, but client certificates are not asked for")
        }
        if configuration.clientCertificates != .ignored, configuration.trust == .nothing {
            throw TLSError(.configuration, "client certificates are asked for, but no authority for them is named")
        }
    }

    private func applyPolicy() throws(TLSError) {
        let configuration = self.configuration
        var options =
            shim_SSL_OP_NO_COMPRESSION | shim_SSL_OP_NO_RENEGOTIATION | shim_SSL_OP_CIPHER_SERVER_PREFERENCE
            | shim_SSL_OP_PRIORITIZE_CHACHA
        // No resumption: an identity is proven anew by every connection, and a revoked key opens nothing.
        options |= shim_SSL_OP_NO_TICKET
        // TLS 1.3 without a Diffie-Hellman exchange: OpenSSL's server falls back to it only when the peer offers
        // nothing else. Our client doesn't offer it.
        if configuration.role == .server { options |= shim_SSL_OP_ALLOW_NO_DHE_KEX }
        _ = unsafe SSL_CTX_set_options(self.raw, options)
        _ = unsafe shim_SSL_CTX_set_session_cache_mode(self.raw, Int(SSL_SESS_CACHE_OFF))
        _ = unsafe shim_SSL_CTX_set_mode(self.raw, Int(SSL_MODE_RELEASE_BUFFERS))
        // Memory that a client may claim for its chain before it has proven anything.
        if configuration.role == .server { _ = unsafe shim_SSL_CTX_set_max_cert_list(self.raw, 32 << 10) }
        // A server that asks for certificates refuses external keys without one; on a client it would refuse its own.
        let sessionContext = configuration.role == .server ? Array("sealgate".utf8) : []
        guard
            unsafe SSL_CTX_set_num_tickets(self.raw, 0) == 1,
            unsafe SSL_CTX_set_session_id_context(self.raw, sessionContext, UInt32(sessionContext.count)) == 1,
            unsafe shim_SSL_CTX_set_min_proto_version(self.raw, configuration.minimumVersion.wireValue) == 1,
            unsafe shim_SSL_CTX_set_max_proto_version(self.raw, configuration.maximumVersion.wireValue) == 1,
            unsafe SSL_CTX_set_cipher_list(self.raw, TLSCipherPolicy.suites(for: configuration)) == 1,
            unsafe SSL_CTX_set_ciphersuites(self.raw, TLSCipherPolicy.suites13) == 1,
            unsafe shim_SSL_CTX_set1_groups_list(self.raw, TLSCipherPolicy.groups) == 1,
            unsafe shim_SSL_CTX_set_dh_auto(self.raw, 1) == 1
        else { throw Self.failure("SSL_CTX") }
    }

    private func loadIdentity() throws(TLSError) {
        guard let identity = self.configuration.identity else { return }
        let (chainName, keyName): (String, String)
        let chain: [UInt8]
        var key: [UInt8]
        var passphrase: [UInt8]?
        switch identity {
        case .files(let chainPath, let keyPath, let keyPassphrase):
            (chainName, keyName) = (chainPath, keyPath)
            chain = try TLSFile.read(path: chainPath)
            key = try TLSFile.readSecret(path: keyPath)
            passphrase = keyPassphrase
        case .pem(let chainText, let keyText):
            (chainName, keyName) = ("the certificate", "the private key")
            chain = Array(chainText.utf8)
            key = Array(keyText.utf8)
        }
        defer { unsafe key.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) } }

        let certificates = try X509Certificate.parse(pem: chain, name: chainName)
        self.identityExpiry = certificates.first?.expiry
        OpenSSLError.clear()
        for (index, certificate) in certificates.enumerated() {
            let added =
                unsafe index == 0
                ? SSL_CTX_use_certificate(self.raw, certificate.raw)
                : shim_SSL_CTX_add1_chain_cert(self.raw, certificate.raw)
            guard added == 1 else {
                throw Self.failure("SSL_CTX_use_certificate", "can't use the certificate in \(chainName)")
            }
        }
        let privateKey = try X509PrivateKey(pem: key, passphrase: passphrase, name: keyName)
        guard unsafe SSL_CTX_use_PrivateKey(self.raw, privateKey.raw) == 1,
            unsafe SSL_CTX_check_private_key(self.raw) == 1
        else {
            throw Self.failure(
                "SSL_CTX_use_PrivateKey",
                "\(keyName) is not the key of the first certificate in \(chainName)"
            )
        }
    }

    private func loadTrust() throws(TLSError) {
        OpenSSLError.clear()
        switch self.configuration.trust {
        case .nothing: break
        case .system:
            guard unsafe SSL_CTX_set_default_verify_paths(self.raw) == 1 else {
                throw Self.failure("SSL_CTX_set_default_verify_paths")
            }
        case .file(let path): try self.trust(TLSFile.read(path: path), name: path)
        case .pem(let text): try self.trust(Array(text.utf8), name: "the authorities")
        case .directory(let path):
            for file in try TLSFile.certificates(inDirectory: path) {
                try self.trust(TLSFile.read(path: file), name: file)
            }
        }
        let mode: Int32 =
            switch (self.configuration.role, self.configuration.clientCertificates) {
            case (.client, _), (.server, .optional): SSL_VERIFY_PEER
            case (.server, .required): SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
            case (.server, .ignored): SSL_VERIFY_NONE
            }
        unsafe SSL_CTX_set_verify(self.raw, mode, TLSVerification.callback)
    }

    private func trust(_ pem: [UInt8], name: String) throws(TLSError) {
        let store = unsafe SSL_CTX_get_cert_store(self.raw)
        for certificate in try X509Certificate.parse(pem: pem, name: name) {
            OpenSSLError.clear()
            guard unsafe X509_STORE_add_cert(store, certificate.raw) == 1 else {
                throw Self.failure("X509_STORE_add_cert", "can't use the authorities in \(name)")
            }
            // The names tell a client which of its certificates to show.
            if self.configuration.clientCertificates != .ignored {
                _ = unsafe SSL_CTX_add_client_CA(self.raw, certificate.raw)
            }
        }
    }

    private func loadRevocations() throws(TLSError) {
        let lists: [X509RevocationList]
        switch self.configuration.revocations {
        case .unchecked: return
        case .file(let path): lists = try X509RevocationList.parse(pem: TLSFile.read(path: path), name: path)
        case .pem(let text): lists = try X509RevocationList.parse(pem: Array(text.utf8), name: "the revocation lists")
        }
        let store = unsafe SSL_CTX_get_cert_store(self.raw)
        OpenSSLError.clear()
        for list in lists {
            guard unsafe X509_STORE_add_crl(store, list.raw) == 1 else {
                throw Self.failure("X509_STORE_add_crl", "can't use a revocation list")
            }
        }
        // The whole chain: an authority in the middle may have been revoked too.
        guard unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)) == 1 else {
            throw Self.failure("X509_STORE_set_flags")
        }
    }

    private func applyPins() throws(TLSError) {
        let pins = self.configuration.pins
        guard !pins.isEmpty else { return }
        guard pins.allSatisfy({ $0.count == Digest.Algorithm.sha256.count }) else {
            throw TLSError(.configuration, "a pin is the SHA-256 of a public key: 32 bytes")
        }
        unsafe SSL_CTX_set_cert_verify_callback(self.raw, TLSVerification.pinCallback, nil)
    }

    private func offerProtocols() throws(TLSError) {
        let names = self.configuration.applicationProtocols
        guard !names.isEmpty else { return }
        var list: [UInt8] = []
        for name in names {
            guard (1...255).contains(name.utf8.count) else {
                throw TLSError(.configuration, "the name of an application protocol has 1 to 255 bytes")
            }
            list.append(UInt8(name.utf8.count))
            list += name.utf8
        }
        // This one returns 0 when it went well.
        guard unsafe SSL_CTX_set_alpn_protos(self.raw, list, UInt32(list.count)) == 0 else {
            throw Self.failure("SSL_CTX_set_alpn_protos")
        }
    }

    private static func failure(_ call: String, _ message: String = "TLS could not be set up") -> TLSError {
        TLSError(.configuration, message, detail: OpenSSLError(call: call).description)
    }
}

extension TLSVersion {
    var wireValue: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }

    init?(wireValue: Int32) {
        switch wireValue {
        case TLS1_2_VERSION: self = .tls12
        case TLS1_3_VERSION: self = .tls13
        default: return nil
        }
    }
}
