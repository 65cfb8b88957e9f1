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

    /// For SSL_CTX_set_verify: changes no verdict, only notes the first failure on the connection.
    static let callback: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
        guard isGood != 1 else { return isGood }
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
        guard let connection = unsafe TLSConnection.of(OpaquePointer(ssl)), connection.verification == nil else {
            return 0
        }
        let error = unsafe X509_STORE_CTX_get_error(store)
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
}
