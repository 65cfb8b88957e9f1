/// The IV of an accepted message, kept to notice one that comes again. Two words: comparing 64 of them is on the message path.
struct V1IV: Hashable {
    private let words: (UInt64, UInt64)

    /// Reads 16 bytes.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.words = (
            bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        )
    }

    static func == (left: V1IV, right: V1IV) -> Bool {
        (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1) == 0
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(self.words.0)
        hasher.combine(self.words.1)
    }
}
