import COpenSSL

/// Turns OpenSSL's reasons and what is known of a connection into an error that tells the operator what to check.
struct TLSFailureStory {
    var role: TLSConfiguration.Role
    var isHandshakeComplete: Bool
    /// A client's pre-shared key identity.
    var ownIdentity: [UInt8]?
    /// What a client offered to a server.
    var offeredIdentity: [UInt8]?
    var isIdentityKnown: Bool
    /// A server with a key lookup.
    var takesKeys: Bool
    var hasCertificate: Bool
    var versions: ClosedRange<TLSVersion>
    var serverName: String?
    /// The first byte that the peer ever sent.
    var firstByte: UInt8?
    var verification: TLSVerification?

    private var peer: String { self.role == .client ? "the broker" : "the client" }

    /// The first entry of OpenSSL's SSL library is the cause; later ones are its echo.
    func explain(_ error: OpenSSLError) -> TLSError {
        let entry = error.entries.first { $0.library == ERR_LIB_SSL }
        let (kind, message) = self.cause(entry?.reason ?? 0)
        return TLSError(kind, message, detail: error.description)
    }

    func endOfInput() -> TLSError {
        guard !self.isHandshakeComplete else {
            return TLSError(.truncated, "\(self.peer) ended the connection without saying so in TLS (no close_notify)")
        }
        switch (self.role, self.firstByte) {
        case (.client, nil):
            return TLSError(
                .peerClosed,
                "the broker closed the connection without an answer to our ClientHello: check that its port speaks TLS"
            )
        case (.client, _):
            return TLSError(.peerClosed, "the broker closed the connection during the handshake: its log may say why")
        case (.server, _):
            return TLSError(.peerClosed, "the client closed the connection during the handshake\(self.ofIdentity)")
        }
    }

    private func cause(_ reason: Int32) -> (TLSError.Kind, String) {
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: self.certificateFault()
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            (.noCertificate, "the client showed no certificate, and this listener asks for one")
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_UNKNOWN_PROTOCOL,
            SSL_R_BAD_PROTOCOL_VERSION_NUMBER, SSL_R_BAD_RECORD_TYPE:
            self.notTLS(reason)
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
            SSL_R_WRONG_SSL_VERSION, SSL_R_UNSUPPORTED_SSL_VERSION, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            (.noCommonVersion, "no TLS version in common: we speak \(self.versionText), \(self.peer) doesn't")
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SUITABLE_KEY_SHARE,
            SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
            self.noCommonSuite()
        case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SSL_R_BINDER_DOES_NOT_VERIFY, SSL_R_DIGEST_CHECK_FAILED:
            self.keyFault()
        case SSL_R_DATA_LENGTH_TOO_LONG where self.takesKeys, SSL_R_EXCESSIVE_MESSAGE_SIZE where self.takesKeys:
            (.unknownIdentity, "the client's pre-shared key identity is too long: it has at most 64 bytes")
        case Int32(SSL_AD_REASON_OFFSET)...: self.alert(reason - Int32(SSL_AD_REASON_OFFSET))
        default: self.otherFault()
        }
    }

    // MARK: Faults found on this side

    private func keyFault() -> (TLSError.Kind, String) {
        switch self.role {
        // Later a bad record is no question of keys: somebody or something changed it on the way.
        case _ where self.isHandshakeComplete: self.otherFault()
        case .server where self.offeredIdentity == nil: self.otherFault()
        case .server where !self.isIdentityKnown:
            (
                .unknownIdentity,
                "no device has the pre-shared key identity \(printable(self.offeredIdentity ?? [])): add the device, or correct the identity on the node"
            )
        case .server:
            (
                .wrongKey,
                "the client's pre-shared key for identity \(printable(self.offeredIdentity ?? [])) is not the device's key: compare both"
            )
        case .client where self.ownIdentity != nil:
            (.wrongKey, "the broker has another pre-shared key for \(self.ownIdentityText) than we have: compare both")
        case .client: self.otherFault()
        }
    }

    private func noCommonSuite() -> (TLSError.Kind, String) {
        let cure =
            switch (self.role, self.takesKeys, self.hasCertificate) {
            case (.client, _, _): "check which suites the broker allows"
            case (.server, true, false):
                "this listener takes pre-shared keys only, and the client offered none that it could use"
            case (.server, false, _):
                "this listener takes no pre-shared keys; ECDHE with AES-GCM or ChaCha20 is needed"
            case (.server, true, true): "the client needs a pre-shared key suite, or ECDHE with AES-GCM or ChaCha20"
            }
        return (.noCommonSuite, "no cipher suite in common with \(self.peer): \(cure)")
    }

    private func notTLS(_ reason: Int32) -> (TLSError.Kind, String) {
        switch (self.role, self.firstByte) {
        case (.client, _): (.notTLS, "the broker's port doesn't speak TLS: check the port, or use mqtt:// for it")
        case (.server, 0x10):
            (
                .notTLS,
                "the client sent a plain MQTT CONNECT to a TLS port: switch TLS on at the node, or use the plain port"
            )
        case (.server, _) where reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST:
            (.notTLS, "the client sent a plain HTTP request to a TLS port")
        case (.server, 0x16):
            (.noCommonVersion, "no TLS version in common: we speak \(self.versionText), the client doesn't")
        case (.server, _): (.notTLS, "what the client sent is not TLS: check which port the node uses")
        }
    }

    private func certificateFault() -> (TLSError.Kind, String) {
        guard let found = self.verification else {
            return (.untrustedCertificate, "the certificate of \(self.peer) could not be verified")
        }
        let whose = "the certificate of \(self.peer) (\(found.subject))"
        switch found.error {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return (
                .certificateExpired,
                "\(whose) expired on \(found.notAfter): renew it, or set this machine's clock if that date has not come"
            )
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return (
                .certificateNotYetValid,
                "\(whose) is valid only from \(found.notBefore): this machine's clock is probably wrong"
            )
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let name = self.serverName ?? "?"
            return (
                .wrongHostName,
                "\(whose) is not for \(printable(name.utf8)): use a name that it carries, or have it made for this one"
            )
        case X509_V_ERR_APPLICATION_VERIFICATION:
            return (
                .wrongPin,
                "\(whose) has another key than the pinned ones: if the broker has got a new key, pin that one; "
                    + "if not, this is not the broker"
            )
        case X509_V_ERR_CERT_REVOKED:
            return (.certificateRevoked, "\(whose) was revoked by \(found.issuer), says its revocation list")
        case X509_V_ERR_UNABLE_TO_GET_CRL:
            return (
                .revocationUnknown,
                "\(whose) can't be taken: the revocation lists have none of its authority (\(found.issuer)); add it"
            )
        case X509_V_ERR_CRL_HAS_EXPIRED:
            return (
                .revocationUnknown,
                "\(whose) can't be taken: the revocation list of \(found.issuer) is out of date; fetch a new one"
            )
        case X509_V_ERR_CRL_NOT_YET_VALID:
            return (
                .revocationUnknown,
                "\(whose) can't be taken: the revocation list of \(found.issuer) is from the future; check this machine's clock"
            )
        case X509_V_ERR_CRL_SIGNATURE_FAILURE, X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE,
            X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, X509_V_ERR_DIFFERENT_CRL_SCOPE,
            X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
            return (
                .revocationUnknown,
                "\(whose) can't be taken: the revocation list of \(found.issuer) can't be used: \(found.text)"
            )
        default:
            if self.role == .client, self.ownIdentity != nil {
                return (
                    .untrustedCertificate,
                    "the broker went for a certificate (\(found.subject)) instead of our pre-shared key: check that it takes pre-shared keys on this port and knows the identity \(self.ownIdentityText); \(found.text)"
                )
            }
            return (
                .untrustedCertificate,
                "\(whose) comes from an authority that we don't trust (\(found.issuer)): \(found.text); check the CA file"
            )
        }
    }

    private func otherFault() -> (TLSError.Kind, String) {
        (.protocolError, "TLS with \(self.peer) failed\(self.ofIdentity)")
    }

    // MARK: Alerts that the peer sent

    private func alert(_ number: Int32) -> (TLSError.Kind, String) {
        switch (number, self.role) {
        case (SSL_AD_BAD_RECORD_MAC, .client) where self.ownIdentity != nil,
            (SSL_AD_DECRYPT_ERROR, .client) where self.ownIdentity != nil,
            (SSL_AD_ILLEGAL_PARAMETER, .client) where self.ownIdentity != nil:
            (
                .wrongKey,
                "the broker refused our pre-shared key: the key, or the identity \(self.ownIdentityText), is probably wrong at that broker"
            )
        case (SSL_AD_UNKNOWN_PSK_IDENTITY, .client):
            (
                .unknownIdentity,
                "the broker doesn't know the pre-shared key identity \(self.ownIdentityText): add it there"
            )
        case (SSL_AD_HANDSHAKE_FAILURE, .client) where self.ownIdentity != nil:
            (
                .unknownIdentity,
                "the broker refused the handshake: the pre-shared key identity \(self.ownIdentityText), or its key, is probably wrong at that broker, or it takes no pre-shared keys on this port"
            )
        case (SSL_AD_HANDSHAKE_FAILURE, .client):
            (
                .noCommonSuite,
                "the broker refused the handshake: it has no cipher suite in common with us, takes pre-shared keys only, or wants a client certificate"
            )
        case (SSL_AD_HANDSHAKE_FAILURE, .server):
            (.noCommonSuite, "the client refused the handshake: it likes none of our suites")
        case (SSL_AD_BAD_RECORD_MAC, .server) where self.offeredIdentity != nil,
            (SSL_AD_DECRYPT_ERROR, .server) where self.offeredIdentity != nil:
            self.keyFault()
        case (SSL_AD_CERTIFICATE_REQUIRED, _):
            (.noCertificate, "\(self.peer) asks for a certificate, and we showed none")
        case (SSL_AD_CERTIFICATE_EXPIRED, _):
            (
                .certificateRefused,
                "\(self.peer) says that our certificate has expired or is not valid yet: renew it, or compare the clocks"
            )
        case (SSL_AD_UNKNOWN_CA, _):
            (
                .certificateRefused,
                "\(self.peer) doesn't trust the authority of our certificate: give it our CA's certificate"
            )
        case (SSL_AD_BAD_CERTIFICATE, _), (SSL_AD_UNSUPPORTED_CERTIFICATE, _), (SSL_AD_CERTIFICATE_REVOKED, _),
            (SSL_AD_CERTIFICATE_UNKNOWN, _), (SSL_AD_ACCESS_DENIED, _):
            (.certificateRefused, "\(self.peer) refused our certificate: check its names, its dates and its authority")
        case (SSL_AD_UNRECOGNIZED_NAME, .client):
            (.wrongHostName, "the broker doesn't know the name \(printable((self.serverName ?? "").utf8))")
        case (SSL_AD_NO_APPLICATION_PROTOCOL, .client):
            (
                .noApplicationProtocol,
                "the broker speaks none of the application protocols of alpn: check what it expects"
            )
        case (SSL_AD_USER_CANCELLED, _): (.peerClosed, "\(self.peer) gave up during the handshake")
        default: (.protocolError, "\(self.peer) ended TLS with alert \(number)\(self.ofIdentity)")
        }
    }

    // MARK: Words

    private var ownIdentityText: String { printable(self.ownIdentity ?? []) }

    private var ofIdentity: String {
        guard let identity = self.ownIdentity ?? self.offeredIdentity else { return "" }
        return " (pre-shared key identity \(printable(identity)))"
    }

    private var versionText: String {
        self.versions.lowerBound == self.versions.upperBound
            ? "TLS \(self.versions.lowerBound.rawValue)"
            : "TLS \(self.versions.lowerBound.rawValue) and \(self.versions.upperBound.rawValue)"
    }
}
