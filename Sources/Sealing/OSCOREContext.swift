internal import NIOCore
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
    package let senderID: OSCOREID
    /// Of the peer: `kid` of its requests.
    package let recipientID: OSCOREID
    /// `kid context`; `nil`: none.
    package let idContext: [UInt8]?

    /// Sender Key, Recipient Key and Common IV, one behind the other.
    let keys: [UInt8]

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
        let limit = algorithm.maxIDBytes
        guard senderID.count <= limit, recipientID.count <= limit, let sender = OSCOREID(senderID),
            let recipient = OSCOREID(recipientID)
        else { throw .idTooLong(limit: limit) }
        guard senderID != recipientID else { throw .equalIDs }
        guard idContext?.count ?? 0 <= 255 else { throw .contextTooLong }
        self.algorithm = algorithm
        self.senderID = sender
        self.recipientID = recipient
        self.idContext = idContext
        func derive(_ id: [UInt8], _ type: String, _ count: Int) -> [UInt8] {
            let info = Self.info(id: id, idContext: idContext, algorithm, type: type, count: count)
            return HKDF.sha256(ikm: masterSecret, salt: masterSalt, info: info, count: count)
        }
        let keyBytes = algorithm.aead.keyBytes
        self.keys =
            derive(senderID, "Key", keyBytes) + derive(recipientID, "Key", keyBytes)
            + derive([], "IV", algorithm.aead.nonceBytes)
    }

    /// Names the keys without telling them: under the same key no nonce may be used twice, whichever device has it, and
    /// whenever. The Common IV is what all contexts of a family share.
    package var fingerprint: OSCOREFingerprint {
        func print(_ keys: [UInt8], _ info: String) -> [UInt8] {
            HKDF.sha256(ikm: keys, salt: [], info: Array(info.utf8), count: OSCOREFingerprint.count / 2)
        }
        let family = print(self.keys.suffix(self.algorithm.aead.nonceBytes).map(\.self), "sealgate oscore family")
        guard let fingerprint = OSCOREFingerprint(family + print(self.keys, "sealgate oscore context")) else {
            preconditionFailure("HKDF gave another number of bytes")
        }
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

    // MARK: One message

    /// Ciphertext and tag of a request or response become plaintext in place; `nil` if they are not the peer's. The
    /// plaintext has `spare` bytes before it.
    func open(_ sealed: ByteBuffer, number: UInt64, spare: Int, _ workspace: OSCOREWorkspace) -> ByteBuffer? {
        let tagBytes = self.algorithm.tagBytes
        let count = sealed.readableBytes - tagBytes
        guard count >= 0 else { return nil }
        var bytes = ByteBufferAllocator().buffer(capacity: spare + sealed.readableBytes)
        bytes.writeRepeatingByte(0, count: spare)
        bytes.writeImmutableBuffer(sealed)
        let keyBytes = self.algorithm.aead.keyBytes
        let isProven = bytes.withUnsafeMutableReadableBytes { bytes in
            self.withParameters(number: number, by: self.recipientID, request: number, self.recipientID) { nonce, aad in
                self.keys.withUnsafeBytes { keys in
                    workspace.opener(self.algorithm).open(
                        UnsafeMutableRawBufferPointer(rebasing: bytes[spare..<spare + count]),
                        key: UnsafeRawBufferPointer(rebasing: keys[keyBytes..<2 * keyBytes]),
                        nonce: nonce,
                        aad: aad,
                        tag: UnsafeRawBufferPointer(rebasing: bytes[(spare + count)...])
                    )
                }
            }
        }
        guard isProven else { return nil }
        bytes.moveWriterIndex(to: bytes.writerIndex - tagBytes)
        return bytes
    }

    /// Plaintext becomes ciphertext and tag in place.
    ///
    /// - Parameters:
    ///   - own: The number of this side's own whose nonce is used; `nil`: that of the request.
    ///   - request: The number of the request.
    func seal(_ plaintext: inout ByteBuffer, own: UInt64?, request: UInt64, _ workspace: OSCOREWorkspace) {
        let count = plaintext.readableBytes
        plaintext.writeRepeatingByte(0, count: self.algorithm.tagBytes)
        let keyBytes = self.algorithm.aead.keyBytes
        let (number, id) = own.map { ($0, self.senderID) } ?? (request, self.recipientID)
        plaintext.withUnsafeMutableReadableBytes { bytes in
            self.withParameters(number: number, by: id, request: request, self.recipientID) { nonce, aad in
                self.keys.withUnsafeBytes { keys in
                    workspace.sealer(self.algorithm).seal(
                        UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]),
                        key: UnsafeRawBufferPointer(rebasing: keys[..<keyBytes]),
                        nonce: nonce,
                        aad: aad,
                        tag: UnsafeMutableRawBufferPointer(rebasing: bytes[count...])
                    )
                }
            }
        }
    }

    /// The AEAD nonce of a number that `id` has made (RFC 8613 §5.2), and what is authenticated beside the message: the
    /// algorithm, and by which request it was asked (§5.4). Both are valid within the call.
    func withParameters<Result>(
        number: UInt64,
        by id: OSCOREID,
        request: UInt64,
        _ requestKID: OSCOREID,
        _ body: (_ nonce: UnsafeRawBufferPointer, _ associatedData: UnsafeRawBufferPointer) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { space in
            let nonceBytes = self.algorithm.aead.nonceBytes
            let nonce = UnsafeMutableRawBufferPointer(rebasing: space[..<nonceBytes])
            self.keys.withUnsafeBytes { keys in
                let commonIV = keys[(keys.count - nonceBytes)...]
                nonce.copyMemory(from: UnsafeRawBufferPointer(rebasing: commonIV))
            }
            nonce[0] ^= UInt8(id.count)
            for index in 0..<nonceBytes - 6 { nonce[nonceBytes - 6 - index] ^= id.byte(fromEnd: index) }
            for index in 0..<5 {
                nonce[nonceBytes - 1 - index] ^= UInt8(truncatingIfNeeded: number >> (8 * UInt64(index)))
            }
            var writer = OSCOREWriter(UnsafeMutableRawBufferPointer(rebasing: space[nonceBytes...]))
            writer.writeAssociatedData(algorithm: self.algorithm.rawValue, kid: requestKID, number: request)
            return body(UnsafeRawBufferPointer(nonce), writer.written)
        }
    }
}

/// Writes the associated data without an allocation: CBOR (RFC 8949) in its shortest form, at most 33 bytes.
private struct OSCOREWriter {
    private let space: UnsafeMutableRawBufferPointer
    private var count = 0

    init(_ space: UnsafeMutableRawBufferPointer) {
        self.space = space
    }

    var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self.space[..<self.count]) }

    private mutating func write(_ byte: UInt8) {
        self.space[self.count] = byte
        self.count += 1
    }

    /// An array of "Encrypt0", nothing, and a string of bytes that is an array itself: version 1, the algorithm, kid and
    /// Partial IV of the request, nothing (RFC 8613 §5.4).
    mutating func writeAssociatedData(algorithm: Int, kid: OSCOREID, number: UInt64) {
        let partialIVBytes = OSCOREOption.partialIVBytes(number)
        let length = 3 + (algorithm < 24 ? 1 : 2) + 1 + kid.count + 1 + partialIVBytes + 1
        for byte: UInt8 in [0x83, 0x68, 0x45, 0x6E, 0x63, 0x72, 0x79, 0x70, 0x74, 0x30, 0x40] { self.write(byte) }
        self.write(0x40 | UInt8(length))
        self.write(0x85)
        self.write(1)
        self.write(0x81)
        if algorithm >= 24 { self.write(0x18) }
        self.write(UInt8(algorithm))
        self.write(0x40 | UInt8(kid.count))
        for index in (0..<kid.count).reversed() { self.write(kid.byte(fromEnd: index)) }
        self.write(0x40 | UInt8(partialIVBytes))
        for index in (0..<partialIVBytes).reversed() {
            self.write(UInt8(truncatingIfNeeded: number >> (8 * UInt64(index))))
        }
        self.write(0x40)
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
