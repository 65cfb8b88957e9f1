internal import OpenSSL

/// A v1 payload cut into its fields, lent by ``V1Workspace`` for the time of one call.
///
/// Whatever form arrived, the fields lie here as in raw form: 16 bytes, comma, n blocks, comma, m blocks, comma, 40 hex
/// digits. That is the canonical form: all spellings of a message in hex have the same.
struct V1Fields {
    /// The message in raw form.
    let canonical: UnsafeRawBufferPointer
    /// The 20 bytes that the last field spells.
    let mac: UnsafeRawBufferPointer
    /// Blocks of the node id's field: known in hex form; in raw form, where fields may hold commas, `nil`.
    let statedIDBlocks: Int?

    /// Bytes of all that is not node id or data: the IV, three commas, and the MAC.
    static let overhead = 16 + 3 + 40

    /// Blocks of node id and data together.
    var blocks: Int { (self.canonical.count - Self.overhead) / AESCBC.blockBytes }

    var encryptedIV: UnsafeRawBufferPointer { self.slice(0, 16) }

    /// Whether the fields can be cut so that the node id has `idBlocks` blocks, of which there is at least one.
    func fits(idBlocks: Int) -> Bool {
        guard idBlocks >= 1, idBlocks <= self.blocks else { return false }
        if let stated = self.statedIDBlocks { return stated == idBlocks }
        return self.canonical[17 + 16 * idBlocks] == UInt8(ascii: ",")
    }

    func encryptedID(blocks idBlocks: Int) -> UnsafeRawBufferPointer {
        self.slice(17, 16 * idBlocks)
    }

    func encryptedData(behindIDBlocks idBlocks: Int) -> UnsafeRawBufferPointer {
        self.slice(18 + 16 * idBlocks, 16 * (self.blocks - idBlocks))
    }

    private func slice(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self.canonical[start..<(start + count)])
    }
}

extension V1Fields {
    /// Cuts a payload in raw form, in which everything follows from the length.
    ///
    /// - Parameter mac: 20 bytes that the MAC is decoded to.
    init?(raw payload: UnsafeRawBufferPointer, mac: UnsafeMutableRawBufferPointer) {
        let comma = UInt8(ascii: ",")
        guard payload.count >= Self.overhead + AESCBC.blockBytes,
            (payload.count - Self.overhead).isMultiple(of: AESCBC.blockBytes),
            payload[16] == comma, payload[payload.count - 41] == comma,
            Self.decodeMAC(UnsafeRawBufferPointer(rebasing: payload.suffix(40)), into: mac)
        else { return nil }
        self.init(canonical: payload, mac: UnsafeRawBufferPointer(mac), statedIDBlocks: nil)
    }

    /// Cuts a payload in hex form and writes it in raw form to `scratch`, which has as much room as `payload` is long.
    ///
    /// After each comma up to ``maxBlanks`` blanks and line breaks are passed over.
    init?(
        hex payload: UnsafeRawBufferPointer,
        scratch: UnsafeMutableRawBufferPointer,
        mac: UnsafeMutableRawBufferPointer
    ) {
        var position = 0
        var written = 0
        var blocks = [0, 0, 0]
        for field in 0..<3 {
            guard let comma = payload[position...].firstIndex(of: UInt8(ascii: ",")) else { return nil }
            let digits = comma - position
            guard digits.isMultiple(of: 2 * AESCBC.blockBytes),
                Hex.decode(
                    UnsafeRawBufferPointer(rebasing: payload[position..<comma]),
                    into: UnsafeMutableRawBufferPointer(rebasing: scratch[written...])
                )
            else { return nil }
            blocks[field] = digits / (2 * AESCBC.blockBytes)
            written += digits / 2
            scratch[written] = UInt8(ascii: ",")
            written += 1
            position = Self.skipBlanks(payload, from: comma + 1)
        }
        guard blocks[0] == 1, blocks[1] >= 1, payload.count - position == 40,
            Self.decodeMAC(UnsafeRawBufferPointer(rebasing: payload[position...]), into: mac)
        else { return nil }
        scratch[written...].copyBytes(from: payload[position...])
        let canonical = UnsafeRawBufferPointer(rebasing: scratch[..<(written + 40)])
        self.init(canonical: canonical, mac: UnsafeRawBufferPointer(mac), statedIDBlocks: blocks[1])
    }

    /// Most blanks and line breaks that may follow a comma.
    static let maxBlanks = 16

    private static func skipBlanks(_ payload: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position < payload.count, position - start < self.maxBlanks {
            switch payload[position] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): position += 1
            default: return position
            }
        }
        return position
    }

    /// Takes exactly 40 digits, letters in lower case: so every node writes them, and one spelling is safer than two.
    private static func decodeMAC(_ text: UnsafeRawBufferPointer, into mac: UnsafeMutableRawBufferPointer) -> Bool {
        // Digits and lower-case letters have the bit that upper-case letters lack.
        text.count == 40 && text.allSatisfy { $0 & 0x20 != 0 } && Hex.decode(text, into: mac)
    }
}
