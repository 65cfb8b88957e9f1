import COpenSSL

/// Owner of one private key.
@safe final class X509PrivateKey {
    let raw: OpaquePointer

    /// A new key on P-256.
    init() throws(TLSError) {
        OpenSSLError.clear()
        guard let raw = unsafe shim_EVP_EC_gen("P-256") else {
            throw TLSError(.configuration, "can't make a key", detail: OpenSSLError(call: "EVP_EC_gen").description)
        }
        unsafe self.raw = raw
    }

    init(pem: [UInt8], name: String) throws(TLSError) {
        OpenSSLError.clear()
        let bio = try PEMBuffer(reading: pem)
        guard let raw = unsafe PEM_read_bio_PrivateKey(bio.raw, nil, refusePassword, nil) else {
            let detail = OpenSSLError(call: "PEM_read_bio_PrivateKey").description
            throw TLSError(
                .configuration,
                "\(name) holds no usable PEM private key (one with a passphrase can't be used)",
                detail: detail
            )
        }
        unsafe self.raw = raw
    }

    deinit {
        unsafe EVP_PKEY_free(self.raw)
    }
}
