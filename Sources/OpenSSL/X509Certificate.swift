import COpenSSL

/// Owner of one X509.
@safe package final class X509Certificate {
    let raw: OpaquePointer

    /// Takes ownership.
    init(taking raw: OpaquePointer) {
        unsafe self.raw = raw
    }

    deinit {
        unsafe X509_free(self.raw)
    }

    /// All certificates of a PEM text, at least one. `name` says in errors where the text came from.
    package static func parse(pem: [UInt8], name: String) throws(TLSError) -> [X509Certificate] {
        OpenSSLError.clear()
        let bio = try PEMBuffer(reading: pem)
        var certificates: [X509Certificate] = []
        while let raw = unsafe PEM_read_bio_X509_AUX(bio.raw, nil, refusePassword, nil) {
            unsafe certificates.append(X509Certificate(taking: raw))
        }
        // The loop ends with "no start line" at the end of the text; anything else is a damaged certificate.
        let end = OpenSSLError(call: "PEM_read_bio_X509")
        let isEndOfText = end.entries.last.map { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE } ?? true
        guard isEndOfText, !certificates.isEmpty else {
            throw TLSError(.configuration, "\(name) holds no usable PEM certificate", detail: end.description)
        }
        return certificates
    }

    /// "CN=attic,O=…" as RFC 2253 writes it: everything but printable ASCII is escaped. At most 256 bytes are shown.
    package var subject: String { unsafe Self.text(of: X509_get_subject_name(self.raw)) }
    package var issuer: String { unsafe Self.text(of: X509_get_issuer_name(self.raw)) }

    /// "2026-01-02 03:04:05 UTC"
    package var notBefore: String { unsafe Self.text(of: X509_get0_notBefore(self.raw)) }
    package var notAfter: String { unsafe Self.text(of: X509_get0_notAfter(self.raw)) }

    /// When it expires, in seconds since 1970; nil if the time can't be read.
    package var expiry: Int64? {
        var time = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(X509_get0_notAfter(self.raw), &time) == 1 else { return nil }
        return unsafe Int64(timegm(&time))
    }

    /// SHA-256 of the SubjectPublicKeyInfo (RFC 7469 §2.4).
    package var publicKeyDigest: [UInt8]? {
        var der: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_X509_PUBKEY(X509_get_X509_PUBKEY(self.raw), &der)
        guard count > 0, let der = unsafe der else { return nil }
        defer { unsafe CRYPTO_free(der, "", 0) }
        return unsafe Digest.sha256(Array(UnsafeBufferPointer(start: der, count: Int(count))))
    }

    /// The common name, if there is exactly one and it holds no NUL: anything else names nobody.
    package var commonName: String? {
        let name = unsafe X509_get_subject_name(self.raw)
        let first = unsafe X509_NAME_get_index_by_NID(name, NID_commonName, -1)
        guard first >= 0, unsafe X509_NAME_get_index_by_NID(name, NID_commonName, first) < 0 else { return nil }
        let value = unsafe X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, first))
        var utf8: UnsafeMutablePointer<UInt8>?
        let count = unsafe ASN1_STRING_to_UTF8(&utf8, value)
        guard count > 0, let utf8 = unsafe utf8 else { return nil }
        defer { unsafe CRYPTO_free(utf8, "", 0) }
        let bytes = unsafe Array(UnsafeBufferPointer(start: utf8, count: Int(count)))
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// What the subjectAltName extension holds of the kinds that are looked at here.
    struct AlternativeNames {
        var dns: [String] = []
        var uris: [String] = []
        /// 4 or 16 bytes each.
        var addresses: [[UInt8]] = []
        /// Whether names were left out: they hold a NUL or are no UTF-8, and could be read as something else than they are.
        var hasUnreadable = false

        fileprivate static func text(_ string: UnsafePointer<ASN1_STRING>) -> String? {
            let bytes = unsafe X509Certificate.bytes(of: string)
            return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
        }
    }

    /// Names and addresses of the subjectAltName extension; those that can't be read for certain are left out.
    var alternativeNames: AlternativeNames {
        var result = AlternativeNames()
        guard let list = unsafe X509_get_ext_d2i(self.raw, NID_subject_alt_name, nil, nil) else {
            // An extension that is there twice, or is damaged, is none that can be read.
            result.hasUnreadable = unsafe X509_get_ext_by_NID(self.raw, NID_subject_alt_name, -1) >= 0
            return result
        }
        let names = OpaquePointer(list)
        defer { unsafe GENERAL_NAMES_free(names) }
        for index in 0..<(unsafe shim_sk_GENERAL_NAME_num(names)) {
            let name = unsafe shim_sk_GENERAL_NAME_value(names, index)
            if let dns = unsafe shim_GENERAL_NAME_dns(name) {
                if let text = unsafe AlternativeNames.text(dns) {
                    result.dns.append(text)
                } else {
                    result.hasUnreadable = true
                }
            } else if let uri = unsafe shim_GENERAL_NAME_uri(name) {
                if let text = unsafe AlternativeNames.text(uri) {
                    result.uris.append(text)
                } else {
                    result.hasUnreadable = true
                }
            } else if let address = unsafe shim_GENERAL_NAME_ip(name) {
                unsafe result.addresses.append(Self.bytes(of: address))
            }
        }
        return result
    }

    fileprivate static func bytes(of string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        let count = unsafe Int(ASN1_STRING_length(string))
        return unsafe Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: count))
    }

    static func text(of name: OpaquePointer?) -> String {
        guard let bio = try? PEMBuffer() else { return "?" }
        _ = unsafe X509_NAME_print_ex(bio.raw, name, 0, shim_XN_FLAG_RFC2253)
        return String(decoding: bio.contents.prefix(256), as: UTF8.self)
    }

    static func text(of time: UnsafePointer<ASN1_TIME>?) -> String {
        guard let bio = try? PEMBuffer() else { return "?" }
        _ = unsafe ASN1_TIME_print_ex(bio.raw, time, UInt(ASN1_DTFLGS_ISO8601))
        return String(decoding: bio.contents, as: UTF8.self)
    }
}
