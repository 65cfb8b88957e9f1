import COpenSSL

/// What OpenSSL found wrong with the peer's certificate, taken while it was at hand.
struct TLSVerification {
    /// `X509_V_ERR_…`
    var error: Int32
    /// OpenSSL's sentence for `error`.
    var text: String
    var subject: String
    var issuer: String
    var notBefore: String
    var notAfter: String

    /// For SSL_CTX_set_verify: notes the first failure on the connection, and changes one verdict only: what is not valid yet, by
    /// a time that is only the earliest that it can be, passes.
    static let callback: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
        guard isGood != 1 else { return isGood }
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
        guard let connection = unsafe TLSConnection.of(OpaquePointer(ssl)), connection.verification == nil else {
            return 0
        }
        let error = unsafe X509_STORE_CTX_get_error(store)
        if error == X509_V_ERR_CERT_NOT_YET_VALID || error == X509_V_ERR_CRL_NOT_YET_VALID,
            connection.context.configuration.isVerificationTimeBound?() ?? false
        {
            unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
            return 1
        }
        var found = unsafe TLSVerification(
            error: error,
            text: String(cString: X509_verify_cert_error_string(Int(error))),
            subject: "?",
            issuer: "?",
            notBefore: "?",
            notAfter: "?"
        )
        if let raw = unsafe X509_STORE_CTX_get_current_cert(store), unsafe X509_up_ref(raw) == 1 {
            let certificate = unsafe X509Certificate(taking: raw)
            found.subject = certificate.subject
            found.issuer = certificate.issuer
            found.notBefore = certificate.notBefore
            found.notAfter = certificate.notAfter
        }
        connection.verification = found
        return 0
    }

    /// For SSL_CTX_set_cert_verify_callback: the server's key must be one of the pins. With authorities the usual
    /// verification follows; without, the pin has decided. That the server has the key is proven by the handshake.
    static let pinCallback: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
        guard let connection = unsafe TLSConnection.of(OpaquePointer(ssl)),
            let raw = unsafe X509_STORE_CTX_get0_cert(store), unsafe X509_up_ref(raw) == 1
        else { return 0 }
        let certificate = unsafe X509Certificate(taking: raw)
        let configuration = connection.context.configuration
        guard let pin = certificate.publicKeyDigest, configuration.pins.contains(pin) else {
            let error = X509_V_ERR_APPLICATION_VERIFICATION
            unsafe X509_STORE_CTX_set_error(store, error)
            connection.verification = TLSVerification(
                error: error,
                text: "the key is none of the pinned ones",
                subject: certificate.subject,
                issuer: certificate.issuer,
                notBefore: certificate.notBefore,
                notAfter: certificate.notAfter
            )
            return 0
        }
        guard configuration.trust == .nothing else { return unsafe X509_verify_cert(store) }
        unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
        return 1
    }
}
