/// Why a context could not be made or a connection failed, in words for the operator.
package struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// A file or value of the configuration can't be used.
        case configuration
        /// A private key or pre-shared key file that group or others may touch.
        case keyFileMode

        case wrongKey
        case unknownIdentity
        case noCommonSuite
        case noCommonVersion

        /// The peer's certificate, by this machine's clock.
        case certificateExpired
        case certificateNotYetValid
        case wrongHostName
        case untrustedCertificate
        /// The key of the server's certificate is none of the pinned ones.
        case wrongPin
        /// By the revocation list of its authority.
        case certificateRevoked
        /// An authority's revocation list is missing or out of date, so that nobody can say.
        case revocationUnknown
        /// A server that asks for a certificate got none.
        case noCertificate
        /// The peer did not like ours.
        case certificateRefused

        /// What came is no TLS.
        case notTLS
        /// The peer speaks none of the application protocols that we offered.
        case noApplicationProtocol
        /// The peer went away during the handshake.
        case peerClosed
        /// The peer went away later, without close_notify.
        case truncated
        case handshakeTimeout
        /// Any other breach of the protocol, ours or the peer's; see `detail`.
        case protocolError
    }

    package var kind: Kind
    /// One sentence or two: what happened and what to check. Safe to log: holds no secret.
    package var message: String
    /// OpenSSL's own words, or empty.
    package var detail: String

    package init(_ kind: Kind, _ message: String, detail: String = "") {
        self.kind = kind
        self.message = message
        self.detail = detail
    }

    package var description: String {
        self.detail.isEmpty ? self.message : "\(self.message) [\(self.detail)]"
    }
}
