import COpenSSL

/// A certificate in the making: subject, key, dates and a random serial number are set, extensions are added, then it is
/// signed.
@safe struct X509Builder {
    private let certificate: X509Certificate

    init(commonName: String, key: X509PrivateKey, validity: CertificateAuthority.Validity) throws(TLSError) {
        OpenSSLError.clear()
        guard (1...64).contains(commonName.utf8.count), !commonName.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F })
        else {
            throw TLSError(
                .configuration,
                "a certificate's common name has 1 to 64 bytes, none of them a control character"
            )
        }
        guard let raw = unsafe X509_new() else { throw Self.failure("X509_new") }
        self.certificate = unsafe X509Certificate(taking: raw)
        var serial = [UInt8](repeating: 0, count: 16)
        guard unsafe RAND_bytes(&serial, Int32(serial.count)) == 1 else { throw Self.failure("RAND_bytes") }
        serial[0] = serial[0] & 0x7F | 0x40  // Positive, and always 16 bytes.
        let number = unsafe BN_bin2bn(serial, Int32(serial.count), nil)
        defer { unsafe BN_free(number) }
        let name = unsafe X509_get_subject_name(raw)
        let text = Array(commonName.utf8)
        guard
            unsafe X509_set_version(raw, Int(X509_VERSION_3)) == 1,
            unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(raw)) != nil,
            unsafe X509_NAME_add_entry_by_NID(name, NID_commonName, shim_MBSTRING_UTF8, text, Int32(text.count), -1, 0)
                == 1,
            unsafe ASN1_TIME_set(X509_getm_notBefore(raw), time_t(validity.notBefore)) != nil,
            unsafe ASN1_TIME_set(X509_getm_notAfter(raw), time_t(validity.notAfter)) != nil,
            unsafe X509_set_pubkey(raw, key.raw) == 1
        else { throw Self.failure("X509_set") }
    }

    /// `value` in OpenSSL's notation (x509v3_config). `issuer` nil means that the certificate signs itself.
    func addExtension(_ nid: Int32, _ value: String, issuer: X509Certificate?) throws(TLSError) {
        OpenSSLError.clear()
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, (issuer ?? self.certificate).raw, self.certificate.raw, nil, nil, 0)
        unsafe shim_X509V3_set_ctx_nodb(&context)
        guard let added = unsafe X509V3_EXT_conf_nid(nil, &context, nid, value) else {
            throw Self.failure("X509V3_EXT_conf_nid", "can't put \(printable(value.utf8)) into a certificate")
        }
        defer { unsafe X509_EXTENSION_free(added) }
        guard unsafe X509_add_ext(self.certificate.raw, added, -1) == 1 else { throw Self.failure("X509_add_ext") }
    }

    func sign(by key: X509PrivateKey, issuer: X509Certificate?) throws(TLSError) -> X509Certificate {
        OpenSSLError.clear()
        let name = unsafe X509_get_subject_name((issuer ?? self.certificate).raw)
        guard unsafe X509_set_issuer_name(self.certificate.raw, name) == 1,
            unsafe X509_sign(self.certificate.raw, key.raw, EVP_sha256()) > 0
        else { throw Self.failure("X509_sign") }
        return self.certificate
    }

    private static func failure(_ call: String, _ message: String = "can't make a certificate") -> TLSError {
        TLSError(.configuration, message, detail: OpenSSLError(call: call).description)
    }
}

extension X509Certificate {
    func pem() throws(TLSError) -> String {
        let bio = try PEMBuffer()
        guard unsafe PEM_write_bio_X509(bio.raw, self.raw) == 1 else {
            throw TLSError(
                .configuration,
                "can't write a certificate",
                detail: OpenSSLError(call: "PEM_write_bio_X509").description
            )
        }
        return String(decoding: bio.contents, as: UTF8.self)
    }
}

extension X509PrivateKey {
    /// PKCS #8 without a passphrase. Secret.
    func pem() throws(TLSError) -> String {
        let bio = try PEMBuffer()
        guard unsafe PEM_write_bio_PKCS8PrivateKey(bio.raw, self.raw, nil, nil, 0, nil, nil) == 1 else {
            throw TLSError(
                .configuration,
                "can't write a key",
                detail: OpenSSLError(call: "PEM_write_bio_PKCS8PrivateKey").description
            )
        }
        return String(decoding: bio.contents, as: UTF8.self)
    }
}
