internal import OpenSSL

/// The parts of an OSCORE Security Context that never change (RFC 8613 §3.1): what both sides agreed on, and the keys and
/// the IV derived from it. No description shows a key.
package struct OSCOREContext: Sendable {
    /// Why parameters make no context.
    package enum ParameterError: Error, Equatable, Sendable {
        /// No Master Secret.
        case emptySecret
        /// Sender or Recipient ID over ``OSCOREAlgorithm/maxIDBytes``.
        case idTooLong(limit: Int)
        /// Both IDs are the same: the same nonces would be used twice under the same key.
        case equalIDs
        /// ID Context over 255 bytes, which no option can carry.
        case contextTooLong
    }

    package let algorithm: OSCOREAlgorithm
    /// Of this side.
    package let senderID: [UInt8]
    /// Of the peer: `kid` of its requests.
    package let recipientID: [UInt8]
    /// `kid context`; `nil`: none.
    package let idContext: [UInt8]?

    let senderKey: [UInt8]
    let recipientKey: [UInt8]
    let commonIV: [UInt8]

    /// Derives the keys by HKDF-SHA-256 (RFC 8613 §3.2).
    ///
    /// - Parameters:
    ///   - masterSecret: Not empty.
    ///   - masterSalt: May be empty, which is the default.
    package init(
        masterSecret: [UInt8],
        masterSalt: [UInt8] = [],
        idContext: [UInt8]? = nil,
        algorithm: OSCOREAlgorithm = .aesCCM16x64x128,
        senderID: [UInt8],
        recipientID: [UInt8]
    ) throws(ParameterError) {
        guard !masterSecret.isEmpty else { throw .emptySecret }
        guard senderID.count <= algorithm.maxIDBytes, recipientID.count <= algorithm.maxIDBytes else {
            throw .idTooLong(limit: algorithm.maxIDBytes)
        }
        guard senderID != recipientID else { throw .equalIDs }
        guard idContext?.count ?? 0 <= 255 else { throw .contextTooLong }
        self.algorithm = algorithm
        self.senderID = senderID
        self.recipientID = recipientID
        self.idContext = idContext
        func derive(_ id: [UInt8], _ type: String, _ count: Int) -> [UInt8] {
            let info = Self.info(id: id, idContext: idContext, algorithm, type: type, count: count)
            return HKDF.sha256(ikm: masterSecret, salt: masterSalt, info: info, count: count)
        }
        self.senderKey = derive(senderID, "Key", algorithm.aead.keyBytes)
        self.recipientKey = derive(recipientID, "Key", algorithm.aead.keyBytes)
        self.commonIV = derive([], "IV", algorithm.aead.nonceBytes)
    }

    /// Names the keys without telling them: under the same keys no nonce may be used twice, whichever device has them, and
    /// whenever.
    package var fingerprint: OSCOREFingerprint {
        let keys = self.senderKey + self.recipientKey + self.commonIV
        let info = Array("sealgate oscore context".utf8)
        let bytes = HKDF.sha256(ikm: keys, salt: [], info: info, count: OSCOREFingerprint.count)
        guard let fingerprint = OSCOREFingerprint(bytes) else { preconditionFailure("HKDF gave \(bytes.count) bytes") }
        return fingerprint
    }

    /// HKDF's info (RFC 8613 §3.2.1).
    static func info(
        id: [UInt8],
        idContext: [UInt8]?,
        _ algorithm: OSCOREAlgorithm,
        type: String,
        count: Int
    ) -> [UInt8] {
        OSCOREEncoding.array(
            OSCOREEncoding.bytes(id),
            idContext.map(OSCOREEncoding.bytes) ?? OSCOREEncoding.null,
            OSCOREEncoding.unsigned(algorithm.rawValue),
            OSCOREEncoding.text(type),
            OSCOREEncoding.unsigned(count)
        )
    }

    /// The AEAD nonce of a Partial IV of 1 to 5 bytes that `id` has made (RFC 8613 §5.2).
    func nonce(partialIV: [UInt8], id: [UInt8]) -> [UInt8] {
        precondition(partialIV.count <= 5 && id.count <= self.algorithm.maxIDBytes, "no Partial IV or ID")
        let idBytes = self.algorithm.maxIDBytes
        var nonce = [UInt8(id.count)]
        nonce += [UInt8](repeating: 0, count: idBytes - id.count) + id
        nonce += [UInt8](repeating: 0, count: 5 - partialIV.count) + partialIV
        for index in nonce.indices { nonce[index] ^= self.commonIV[index] }
        return nonce
    }

    /// What is authenticated beside the message: the algorithm, and by which request it was asked (RFC 8613 §5.4).
    func associatedData(requestKID: [UInt8], requestPIV: [UInt8]) -> [UInt8] {
        let external = OSCOREEncoding.array(
            OSCOREEncoding.unsigned(1),
            OSCOREEncoding.array(OSCOREEncoding.unsigned(self.algorithm.rawValue)),
            OSCOREEncoding.bytes(requestKID),
            OSCOREEncoding.bytes(requestPIV),
            OSCOREEncoding.bytes([])
        )
        return OSCOREEncoding.array(
            OSCOREEncoding.text("Encrypt0"),
            OSCOREEncoding.bytes([]),
            OSCOREEncoding.bytes(external)
        )
    }
}

extension OSCOREContext: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the keys.
    package var description: String { "OSCOREContext(redacted)" }
    /// Shows nothing of the keys.
    package var debugDescription: String { self.description }
    /// Shows nothing of the keys.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension DeviceSecret {
    /// The gateway's Sender ID in every derived context.
    package static let oscoreGatewayID: [UInt8] = [0]

    /// The gateway's side of a device's OSCORE context. The device is the client: its Sender ID is the key for
    /// ``Purpose/oscoreID``.
    package func oscoreContext() -> OSCOREContext {
        do {
            return try OSCOREContext(
                masterSecret: self.key(.oscoreSecret),
                masterSalt: self.key(.oscoreSalt),
                senderID: Self.oscoreGatewayID,
                recipientID: self.key(.oscoreID)
            )
        } catch {
            preconditionFailure("derived parameters make no OSCORE context: \(error)")
        }
    }
}
