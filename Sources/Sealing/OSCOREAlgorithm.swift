internal import OpenSSL

/// AEAD algorithm of an OSCORE context (RFC 8613 §3.2.1), by its number in COSE (RFC 9053 §4).
package enum OSCOREAlgorithm: Int, Sendable, CaseIterable {
    /// AES-CCM-16-64-128: mandatory to implement, and the default.
    case aesCCM16x64x128 = 10
    case aesCCM16x128x128 = 30
    case a128GCM = 1
    case a256GCM = 3
    case chaCha20Poly1305 = 24

    /// Its name in COSE (RFC 9053 §4).
    package var name: String {
        switch self {
        case .aesCCM16x64x128: "AES-CCM-16-64-128"
        case .aesCCM16x128x128: "AES-CCM-16-128-128"
        case .a128GCM: "A128GCM"
        case .a256GCM: "A256GCM"
        case .chaCha20Poly1305: "ChaCha20/Poly1305"
        }
    }

    var aead: AEAD {
        switch self {
        case .aesCCM16x64x128: .aes128CCM8
        case .aesCCM16x128x128: .aes128CCM16
        case .a128GCM: .aes128GCM
        case .a256GCM: .aes256GCM
        case .chaCha20Poly1305: .chaCha20Poly1305
        }
    }

    /// Bytes that a protected payload is longer than what is inside.
    package var tagBytes: Int { self.aead.tagBytes }

    /// Most bytes of a Sender or Recipient ID: the nonce must hold it beside the Partial IV (RFC 8613 §3.3).
    package var maxIDBytes: Int { self.aead.nonceBytes - 6 }
}
