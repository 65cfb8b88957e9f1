import COpenSSL

/// Owner of one X509_CRL: which certificates of an authority are no longer to be believed.
@safe package final class X509RevocationList {
    let raw: OpaquePointer

    /// Takes ownership.
    init(taking raw: OpaquePointer) {
        unsafe self.raw = raw
    }

    deinit {
        unsafe X509_CRL_free(self.raw)
    }

    /// All lists of a PEM text, at least one. `name` says in errors where the text came from.
    static func parse(pem: [UInt8], name: String) throws(TLSError) -> [X509RevocationList] {
        OpenSSLError.clear()
        let bio = try PEMBuffer(reading: pem)
        var lists: [X509RevocationList] = []
        while let raw = unsafe PEM_read_bio_X509_CRL(bio.raw, nil, refusePassword, nil) {
            unsafe lists.append(X509RevocationList(taking: raw))
        }
        // The loop ends with "no start line" at the end of the text; anything else is a damaged list.
        let end = OpenSSLError(call: "PEM_read_bio_X509_CRL")
        let isEndOfText = end.entries.last.map { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE } ?? true
        guard isEndOfText, !lists.isEmpty else {
            throw TLSError(.configuration, "\(name) holds no usable PEM revocation list", detail: end.description)
        }
        return lists
    }

    /// Those of a PEM file that should have been replaced by now, by this machine's clock: while they are in use, nobody
    /// with a certificate of their authority is believed. Blocks on the disk.
    ///
    /// - Returns: The authority's name, and until when its list was good.
    package static func outdated(path: String) throws(TLSError) -> [(issuer: String, since: String)] {
        try self.parse(pem: TLSFile.read(path: path), name: path).compactMap { list in
            let end = unsafe X509_CRL_get0_nextUpdate(list.raw)
            // Below zero: before now; zero: can't be told.
            guard unsafe end != nil, unsafe X509_cmp_current_time(end) < 0 else { return nil }
            let issuer = unsafe X509Certificate.text(of: X509_CRL_get_issuer(list.raw))
            return (issuer, unsafe X509Certificate.text(of: end))
        }
    }
}

extension CertificateAuthority {
    /// The authority's revocation list as PEM: `certificates` are its own, as PEM. `validity` says from when the list
    /// counts and until when it has to be replaced.
    package func revocationList(of certificates: [String], validity: Validity) throws(TLSError) -> String {
        OpenSSLError.clear()
        guard let raw = unsafe X509_CRL_new() else { throw Self.failure("X509_CRL_new") }
        let list = unsafe X509RevocationList(taking: raw)
        guard let from = unsafe ASN1_TIME_set(nil, time_t(validity.notBefore)) else {
            throw Self.failure("ASN1_TIME_set")
        }
        defer { unsafe ASN1_TIME_free(from) }
        guard let until = unsafe ASN1_TIME_set(nil, time_t(validity.notAfter)) else {
            throw Self.failure("ASN1_TIME_set")
        }
        defer { unsafe ASN1_TIME_free(until) }
        guard unsafe X509_CRL_set_version(list.raw, 1) == 1,
            unsafe X509_CRL_set_issuer_name(list.raw, X509_get_subject_name(self.certificate.raw)) == 1,
            unsafe X509_CRL_set1_lastUpdate(list.raw, from) == 1,
            unsafe X509_CRL_set1_nextUpdate(list.raw, until) == 1
        else { throw Self.failure("X509_CRL_set") }
        for text in certificates {
            for certificate in try X509Certificate.parse(pem: Array(text.utf8), name: "the certificate") {
                guard let entry = unsafe X509_REVOKED_new() else { throw Self.failure("X509_REVOKED_new") }
                guard unsafe X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.raw)) == 1,
                    unsafe X509_REVOKED_set_revocationDate(entry, from) == 1,
                    unsafe X509_CRL_add0_revoked(list.raw, entry) == 1  // Takes the entry.
                else {
                    unsafe X509_REVOKED_free(entry)
                    throw Self.failure("X509_CRL_add0_revoked")
                }
            }
        }
        guard unsafe X509_CRL_sort(list.raw) == 1, unsafe X509_CRL_sign(list.raw, self.key.raw, EVP_sha256()) > 0 else {
            throw Self.failure("X509_CRL_sign")
        }
        let bio = try PEMBuffer()
        guard unsafe PEM_write_bio_X509_CRL(bio.raw, list.raw) == 1 else {
            throw Self.failure("PEM_write_bio_X509_CRL")
        }
        return String(decoding: bio.contents, as: UTF8.self)
    }

    private static func failure(_ call: String) -> TLSError {
        TLSError(.configuration, "can't make a revocation list", detail: OpenSSLError(call: call).description)
    }
}
