/// How a device's payloads are sealed. The raw values are the words of gateway.conf, key files and the store.
package enum SealForm: String, Sendable, Hashable, CaseIterable {
    /// Not sealed: the transport has to prove the device, or its profile allows plaintext.
    case none
    /// AES-CBC twice and HMAC-SHA1 under one-time session IDs.
    case v1
    /// AES-CBC, then HMAC-SHA-256, fresh by counter or session ID.
    case v2
    /// COSE_Encrypt0 (RFC 9052).
    case cose
}
