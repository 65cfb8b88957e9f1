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

    /// - Parameter passphrase: Opens the key if it is encrypted.
    init(pem: [UInt8], passphrase: [UInt8]? = nil, name: String) throws(TLSError) {
        OpenSSLError.clear()
        let bio = try PEMBuffer(reading: pem)
        let request = PassphraseRequest(passphrase)
        let raw = unsafe withExtendedLifetime(request) {
            let user = unsafe Unmanaged.passUnretained(request).toOpaque()
            return unsafe PEM_read_bio_PrivateKey(bio.raw, nil, givePassphrase, user)
        }
        guard let raw = unsafe raw else {
            let detail = OpenSSLError(call: "PEM_read_bio_PrivateKey").description
            let message =
                switch (request.wasAsked, passphrase) {
                case (true, nil): "\(name) is encrypted, and no passphrase for it is named"
                case (true, _): "\(name) is encrypted, and does not open with the passphrase"
                case (false, _): "\(name) holds no usable PEM private key"
                }
            throw TLSError(.configuration, message, detail: detail)
        }
        unsafe self.raw = raw
    }

    deinit {
        unsafe EVP_PKEY_free(self.raw)
    }
}

/// A passphrase, and whether OpenSSL wanted one.
private final class PassphraseRequest {
    let passphrase: [UInt8]?
    var wasAsked = false

    init(_ passphrase: [UInt8]?) {
        self.passphrase = passphrase
    }
}

/// In place of OpenSSL's default, which would ask on the terminal.
private func givePassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int32,
    _ isWriting: Int32,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let user = unsafe user, let buffer = unsafe buffer else { return -1 }
    let request = unsafe Unmanaged<PassphraseRequest>.fromOpaque(user).takeUnretainedValue()
    request.wasAsked = true
    guard let passphrase = request.passphrase, passphrase.count <= Int(size) else { return -1 }
    unsafe UnsafeMutableRawPointer(buffer).copyMemory(from: passphrase, byteCount: passphrase.count)
    return Int32(passphrase.count)
}
