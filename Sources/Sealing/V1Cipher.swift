package import NIOCore
internal import OpenSSL

/// Opens and seals single v1 payloads with one key set. Knows nothing of freshness: ``V1Receiver`` adds that.
///
/// The format decrypts before it verifies and its clear text is padded with zeros, so the time that a failure takes
/// could tell a forger how many zeros he decrypted to, and with that the text of other messages (Vaudenay 2002).
/// Hence every attempt that fails computes the same number of MACs, whatever came out of the decryption. Not
/// thread-safe: one owner, one loop.
package final class V1Cipher {
    /// Lengths of data that one zero-padded clear text can stand for.
    static let candidates = 16

    private let keys: V1Keys
    private let ivCipher: AESCBC
    private let dataCipher: AESCBC
    private let hmac: HMAC
    private let workspace: V1Workspace

    /// - Parameter workspace: Scratch memory, shared by all ciphers of one event loop.
    package init(keys: V1Keys, workspace: V1Workspace = V1Workspace()) {
        self.keys = keys
        self.ivCipher = AESCBC(key: keys.ivKey)
        self.dataCipher = AESCBC(key: keys.dataKey)
        self.hmac = HMAC(.sha1, key: keys.passphrase)
        self.workspace = workspace
    }

    /// What a payload held.
    package struct Opened: Equatable, Sendable {
        /// As the node wrote it.
        package let nodeID: [UInt8]
        /// 16 bytes.
        package let iv: [UInt8]
        package let data: ByteBuffer
        /// Which of the session IDs it was sealed under.
        package let sessionIndex: Int
    }

    /// Most ways of cutting a raw payload that are tried when the node id is not known.
    static let maxCuts = 16

    /// Opens a payload outside the gateway.
    ///
    /// - Parameters:
    ///   - nodeID: What the node id must be. `nil` takes any, for a person who wants to see which it is: the MAC's
    ///     fields have no delimiters, so such an answer proves no more than that somebody with the keys made these bytes.
    ///   - sessionIDs: The session IDs that it may have been sealed under; an empty one must be asked for.
    /// - Throws: ``V1Refusal/malformed`` or ``V1Refusal/badSeal``.
    package func open(
        _ payload: ByteBuffer,
        nodeID: [UInt8]?,
        sessionIDs: [[UInt8]]
    ) throws(V1Refusal) -> Opened {
        let result = self.workspace.withFields(of: payload) { fields -> Result<Opened, V1Refusal> in
            guard let fields else { return .failure(.malformed) }
            let cuts = nodeID.map { [Self.blocks(for: $0.count)] } ?? Array(1...max(fields.blocks, 1))
            for idBlocks in cuts.lazy.filter({ fields.fits(idBlocks: $0) }).prefix(Self.maxCuts) {
                let clear = self.decrypt(fields, idBlocks: idBlocks)
                let inside = Array(Self.unpadded(clear.paddedNodeID))
                guard let match = self.match(fields, clear, nodeID: nodeID ?? inside, sessionIDs: sessionIDs),
                    nodeID == nil || nodeID == inside
                else { continue }
                return .success(
                    Opened(
                        nodeID: inside,
                        iv: Array(clear.iv),
                        data: ByteBuffer(bytes: clear.data(match.dataBytes)),
                        sessionIndex: match.sessionIndex
                    )
                )
            }
            return .failure(.badSeal)
        }
        return try result.get()
    }

    /// Blocks that `count` bytes take after zero padding.
    static func blocks(for count: Int) -> Int {
        (count + AESCBC.blockBytes - 1) / AESCBC.blockBytes
    }
}

extension V1Cipher {
    /// A decrypted message, of which nothing is proven. Lies in the workspace: valid until its next use.
    struct Clear {
        let iv: UnsafeRawBufferPointer
        /// The node id, with its padding.
        let paddedNodeID: UnsafeRawBufferPointer
        /// The data, with its padding.
        let paddedData: UnsafeRawBufferPointer

        func data(_ count: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: self.paddedData[..<count])
        }
    }

    /// What makes a message's MAC hold.
    struct Match {
        let dataBytes: Int
        let sessionIndex: Int
    }

    /// Decrypts a message, cut so that the node id has `idBlocks` blocks.
    func decrypt(_ fields: V1Fields, idBlocks: Int) -> Clear {
        let block = AESCBC.blockBytes
        let idEnd = block + idBlocks * block
        let clear = self.workspace.clearText(block + fields.blocks * block)
        let iv = UnsafeMutableRawBufferPointer(rebasing: clear[..<block])
        let nodeID = UnsafeMutableRawBufferPointer(rebasing: clear[block..<idEnd])
        let data = UnsafeMutableRawBufferPointer(rebasing: clear[idEnd...])
        self.keys.staticIV.withUnsafeBytes { self.ivCipher.decrypt(fields.encryptedIV, into: iv, iv: $0) }
        let result = Clear(
            iv: UnsafeRawBufferPointer(iv),
            paddedNodeID: UnsafeRawBufferPointer(nodeID),
            paddedData: UnsafeRawBufferPointer(data)
        )
        self.dataCipher.decrypt(fields.encryptedID(blocks: idBlocks), into: nodeID, iv: result.iv)
        self.dataCipher.decrypt(fields.encryptedData(behindIDBlocks: idBlocks), into: data, iv: result.iv)
        return result
    }

    /// Looks for the length of data and the session ID that make the MAC hold, the shortest first.
    ///
    /// The first guess, the shortest data under the oldest session ID, is right but for data that ends in zeros. A failure
    /// computes one MAC for each of the ``candidates`` lengths and each session ID, those that the clear text rules out
    /// included, so the blocks hashed are as many whatever was decrypted.
    ///
    /// - Parameter nodeID: What the MAC must cover. Taken from the device's record and not from the message, so that
    ///   the number of bytes to hash does not depend on what was decrypted either. Whether the message says the same
    ///   is for the caller to check.
    func match(_ fields: V1Fields, _ clear: Clear, nodeID: [UInt8], sessionIDs: [some V1SessionText]) -> Match? {
        let padded = clear.paddedData
        let shortest = padded.count - min(Self.zeros(atEndOf: padded), Self.candidates - 1)
        let common = max(padded.count - (Self.candidates - 1), 0)

        self.begin(nodeID, clear, dataBytes: shortest)
        if let first = sessionIDs.first, self.macHolds(fields, sessionID: first) {
            return Match(dataBytes: shortest, sessionIndex: 0)
        }
        self.begin(nodeID, clear, dataBytes: common)
        self.hmac.mark()
        for length in shortest...padded.count {
            let ending = UnsafeRawBufferPointer(rebasing: padded[common..<length])
            for index in sessionIDs.indices where length > shortest || index > 0 {
                guard self.macHolds(fields, ending: ending, sessionID: sessionIDs[index]) else { continue }
                return Match(dataBytes: length, sessionIndex: index)
            }
        }
        for length in common..<shortest {
            let ending = UnsafeRawBufferPointer(rebasing: padded[common..<length])
            for sessionID in sessionIDs { _ = self.macHolds(fields, ending: ending, sessionID: sessionID) }
        }
        return nil
    }

    /// Starts a MAC: node id, IV, and so much of the data.
    private func begin(_ nodeID: [UInt8], _ clear: Clear, dataBytes: Int) {
        self.hmac.reset()
        nodeID.withUnsafeBytes { self.hmac.update($0) }
        self.hmac.update(clear.iv)
        self.hmac.update(clear.data(dataBytes))
    }

    /// Ends the MAC that was marked, and compares in constant time.
    private func macHolds(
        _ fields: V1Fields,
        ending: UnsafeRawBufferPointer,
        sessionID: some V1SessionText
    ) -> Bool {
        self.hmac.rewind()
        self.hmac.update(ending)
        return self.macHolds(fields, sessionID: sessionID)
    }

    /// Ends the MAC with the session ID, and compares in constant time.
    private func macHolds(_ fields: V1Fields, sessionID: some V1SessionText) -> Bool {
        sessionID.withText { self.hmac.update($0) }
        self.hmac.finalize(into: self.workspace.computedMAC)
        return ConstantTime.equal(fields.mac, UnsafeRawBufferPointer(self.workspace.computedMAC))
    }

    /// `bytes` without the zeros at its end, of which padding has at most 15.
    private static func unpadded(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - min(self.zeros(atEndOf: bytes), self.candidates - 1))])
    }

    /// Zero bytes at the end of the last block of `bytes`, 0 to 16. Looks at the whole block every time.
    private static func zeros(atEndOf bytes: UnsafeRawBufferPointer) -> Int {
        guard !bytes.isEmpty else { return 0 }
        var count = 0
        var isOpen = 1
        for distance in 1...AESCBC.blockBytes {
            // 1 while no byte other than zero has been seen.
            isOpen &= ((Int(bytes[bytes.count - distance]) &- 1) >> 8) & 1
            count += isOpen
        }
        return count
    }
}
