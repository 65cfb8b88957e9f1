package import Sealing

/// An OSCORE context that the node has already, in place of the derived one. No description shows its secrets.
///
/// A class, as few devices have one, and those without it should not pay for it.
package final class ImportedOSCORE: Sendable, Equatable {
    /// Most bytes of a Master Secret or Master Salt.
    package static let maxSecretBytes = 64

    /// The Master Secret; 1 to ``maxSecretBytes`` bytes.
    package let secret: [UInt8]
    /// The Master Salt; may be empty.
    package let salt: [UInt8]
    /// The node's Sender ID: `kid` of its requests. May be empty.
    package let senderID: [UInt8]
    /// The gateway's Sender ID: the node's Recipient ID.
    package let recipientID: [UInt8]
    /// `nil`: none. The node need not send it.
    package let idContext: [UInt8]?
    package let algorithm: OSCOREAlgorithm

    /// - Throws: What RFC 8613 does not allow.
    package init(
        secret: [UInt8],
        salt: [UInt8] = [],
        senderID: [UInt8],
        recipientID: [UInt8],
        idContext: [UInt8]? = nil,
        algorithm: OSCOREAlgorithm = .aesCCM16x64x128
    ) throws(OSCOREContext.ParameterError) {
        self.secret = secret
        self.salt = salt
        self.senderID = senderID
        self.recipientID = recipientID
        self.idContext = idContext
        self.algorithm = algorithm
        _ = try self.context()
    }

    /// The gateway's side of it.
    package func context() throws(OSCOREContext.ParameterError) -> OSCOREContext {
        try OSCOREContext(
            masterSecret: self.secret,
            masterSalt: self.salt,
            idContext: self.idContext,
            algorithm: self.algorithm,
            senderID: self.recipientID,
            recipientID: self.senderID
        )
    }

    package static func == (left: ImportedOSCORE, right: ImportedOSCORE) -> Bool {
        left.secret == right.secret && left.salt == right.salt && left.senderID == right.senderID
            && left.recipientID == right.recipientID && left.idContext == right.idContext
            && left.algorithm == right.algorithm
    }
}

extension ImportedOSCORE: CustomStringConvertible, CustomReflectable {
    /// Without any secret.
    package var description: String { "ImportedOSCORE(redacted)" }
    /// Without any secret, for `dump` and the debugger.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
