import NIOCore

/// Why some bytes are no topic name or topic filter.
public enum TopicError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Names and filters have at least one character `[MQTT-4.7.3-1]`.
    case empty
    /// Over 65,535 bytes `[MQTT-4.7.3-3]`.
    case tooLong(bytes: Int)
    /// More levels than ``TopicName/maxLevels``.
    case tooDeep
    /// Not well-formed UTF-8 `[MQTT-1.5.4-1]`.
    case illFormedUTF8
    /// Holds U+0000 `[MQTT-4.7.3-2]`.
    case nullCharacter
    /// A name with `+` or `#` `[MQTT-3.3.2-2]`, or a filter in which one does not fill its level or `#` is not last.
    case misplacedWildcard

    /// In words, for the operator.
    public var description: String {
        switch self {
        case .empty: "is empty"
        case .tooLong(let bytes): "is \(bytes) bytes long, over 65535"
        case .tooDeep: "has more than \(TopicName.maxLevels) levels"
        case .illFormedUTF8: "is not well-formed UTF-8"
        case .nullCharacter: "holds the null character"
        case .misplacedWildcard: "has a wildcard (+ or #) where none may stand"
        }
    }
}

/// The rules that topic names and filters share, over raw bytes.
enum TopicSyntax {
    enum Wildcards { case allowed, refused }

    private static let slash = UInt8(ascii: "/")
    private static let plus = UInt8(ascii: "+")
    private static let hash = UInt8(ascii: "#")
    private static let dollar = UInt8(ascii: "$")

    /// Checks the readable bytes and says whether they hold a wildcard.
    @discardableResult
    static func check(_ buffer: ByteBuffer, wildcards: Wildcards) throws(TopicError) -> Bool {
        guard buffer.readableBytes > 0 else { throw .empty }
        guard buffer.readableBytes <= 0xFFFF else { throw .tooLong(bytes: buffer.readableBytes) }
        let verdict: Result<Bool, TopicError> = buffer.withUnsafeReadableBytes { bytes in
            Result { () throws(TopicError) -> Bool in try Self.check(bytes, wildcards: wildcards) }
        }
        return try verdict.get()
    }

    private static func check(_ bytes: UnsafeRawBufferPointer, wildcards: Wildcards) throws(TopicError) -> Bool {
        let scan = Self.scan(bytes)
        guard scan.levels <= TopicName.maxLevels else { throw .tooDeep }
        if scan.isPlain { return false }
        switch UTF8Rules.problem(in: bytes) {
        case .illFormed: throw .illFormedUTF8
        case .nullCharacter: throw .nullCharacter
        case nil: break
        }
        var found = false
        for index in bytes.indices where bytes[index] == Self.plus || bytes[index] == Self.hash {
            guard wildcards == .allowed else { throw .misplacedWildcard }  // [MQTT-4.7.0-1]
            let startsLevel = index == 0 || bytes[index - 1] == Self.slash
            let isLast = index == bytes.count - 1
            let endsLevel = isLast || (bytes[index] == Self.plus && bytes[index + 1] == Self.slash)
            guard startsLevel, endsLevel else { throw .misplacedWildcard }  // [MQTT-4.7.1-1], [MQTT-4.7.1-2]
            found = true
        }
        return found
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let lowBits: UInt64 = 0x7F7F_7F7F_7F7F_7F7F

    /// High bit of every byte of `word` that is zero; exact, so that it can be counted.
    @inline(__always)
    private static func zeroes(_ word: UInt64) -> UInt64 {
        ~(((word & Self.lowBits) &+ Self.lowBits) | word | Self.lowBits)
    }

    /// High bit of every byte of `word` that is `+` (0x2B) or `#` (0x23), which are one bit apart.
    @inline(__always)
    private static func wildcardBits(_ word: UInt64) -> UInt64 {
        Self.zeroes((word | (Self.ones &* 0x08)) ^ (Self.ones &* UInt64(Self.plus)))
    }

    /// Whether the bytes are a topic name for certain; false: ``check(_:wildcards:)`` has to look.
    static func isPlainName(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 0, bytes.count <= 0xFFFF else { return false }
        let scan = Self.scan(bytes)
        return scan.isPlain && scan.levels <= TopicName.maxLevels
    }

    /// Counts the levels and says whether the bytes are nothing but ASCII without NUL, `+` and `#`: then nothing else need
    /// be looked at, which is so for nearly every topic of a message. Eight bytes at a time.
    private static func scan(_ bytes: UnsafeRawBufferPointer) -> (levels: Int, isPlain: Bool) {
        var levels = 1
        var unusual: UInt64 = 0
        var index = 0
        while index < bytes.count {
            let word: UInt64
            let left = bytes.count &- index
            if left >= 8 {
                word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            } else {
                // The rest, filled up with a letter that counts for nothing.
                let filling = (Self.ones &* UInt64(UInt8(ascii: "a"))) &<< UInt64(truncatingIfNeeded: 8 &* left)
                if bytes.count >= 8 {
                    let last = bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self)
                    word = UInt64(littleEndian: last) &>> UInt64(truncatingIfNeeded: 64 &- 8 &* left) | filling
                } else {
                    var rest: UInt64 = 0
                    for at in 0..<left { rest |= UInt64(bytes[index &+ at]) &<< UInt64(truncatingIfNeeded: 8 &* at) }
                    word = rest | filling
                }
            }
            // One for each byte that is a slash, and the sum of the bytes in the highest one.
            let slashes = Self.zeroes(word ^ (Self.ones &* UInt64(Self.slash))) &>> 7
            levels &+= Int((slashes &* Self.ones) &>> 56)
            unusual |= Self.wildcardBits(word) | Self.zeroes(word) | (word & ~Self.lowBits)
            index &+= 8
        }
        return (levels, unusual == 0)
    }

    /// Whether `filter` matches every topic that `name` stands for. With `nameIsFilter`, `+` and `#` in `name` are
    /// wildcards, which only an equal or wider wildcard of `filter` covers. One pass over both, byte for byte
    /// `[MQTT-4.7.3-4]`.
    static func covers(_ filter: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, nameIsFilter: Bool) -> Bool {
        // A wildcard at the first level never stands for a topic that starts with $ [MQTT-4.7.2-1].
        if name.first == Self.dollar, filter.first == Self.plus || filter.first == Self.hash { return false }
        var filterAt = 0
        // What comes before the first wildcard is equal byte for byte, and so are its levels: eight at a time.
        while filterAt &+ 8 <= filter.count, filterAt &+ 8 <= name.count {
            let word = filter.loadUnaligned(fromByteOffset: filterAt, as: UInt64.self)
            guard word == name.loadUnaligned(fromByteOffset: filterAt, as: UInt64.self),
                Self.wildcardBits(word) == 0
            else { break }
            filterAt &+= 8
        }
        var nameAt = filterAt
        while true {  // Once for each level; both indices stand at its start, or as far into the first one.
            let wildcard = filterAt < filter.count ? filter[filterAt] : 0
            if wildcard == Self.hash { return true }
            if wildcard == Self.plus {
                if nameIsFilter, nameAt < name.count, name[nameAt] == Self.hash {
                    // Only # covers #. But "+/#" as a whole means what "#" means: a first level is always there.
                    return nameAt == 0 && filter.count == 3 && filter[2] == Self.hash
                }
                filterAt &+= 1
                while nameAt < name.count, name[nameAt] != Self.slash { nameAt &+= 1 }
            } else {
                // Characters of the filter's level are no wildcards here, so a wildcard of the name differs from them.
                while filterAt < filter.count, nameAt < name.count, filter[filterAt] != Self.slash,
                    filter[filterAt] == name[nameAt]
                {
                    filterAt &+= 1
                    nameAt &+= 1
                }
                guard filterAt == filter.count || filter[filterAt] == Self.slash else { return false }
                guard nameAt == name.count || name[nameAt] == Self.slash else { return false }
            }
            switch (filterAt == filter.count, nameAt == name.count) {
            case (true, true): return true
            case (true, false): return false
            case (false, true):
                // "a/#" also matches its parent "a" (MQTT 5.0 §4.7.1.2).
                return filter.count == filterAt + 2 && filter[filterAt + 1] == Self.hash
            case (false, false):
                filterAt &+= 1
                nameAt &+= 1
            }
        }
    }

    /// Whether some topic is matched by both filters.
    static func overlap(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool {
        let firstWild = first.first == Self.plus || first.first == Self.hash
        let secondWild = second.first == Self.plus || second.first == Self.hash
        if first.first == Self.dollar, secondWild { return false }
        if second.first == Self.dollar, firstWild { return false }
        var firstAt = 0
        var secondAt = 0
        while true {
            let firstEnd = Self.endOfLevel(first, from: firstAt)
            let secondEnd = Self.endOfLevel(second, from: secondAt)
            let firstWildcard = Self.wildcard(first, firstAt, firstEnd)
            let secondWildcard = Self.wildcard(second, secondAt, secondEnd)
            if firstWildcard == Self.hash || secondWildcard == Self.hash { return true }
            if firstWildcard == 0, secondWildcard == 0 {
                let firstLevel = UnsafeRawBufferPointer(rebasing: first[firstAt..<firstEnd])
                let secondLevel = UnsafeRawBufferPointer(rebasing: second[secondAt..<secondEnd])
                guard RawBytes.equal(firstLevel, secondLevel) else { return false }
            }
            switch (firstEnd == first.count, secondEnd == second.count) {
            case (true, true): return true
            case (true, false): return second.count == secondEnd + 2 && second[secondEnd + 1] == Self.hash
            case (false, true): return first.count == firstEnd + 2 && first[firstEnd + 1] == Self.hash
            case (false, false):
                firstAt = firstEnd + 1
                secondAt = secondEnd + 1
            }
        }
    }

    private static func wildcard(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UInt8 {
        guard end == start + 1, bytes[start] == Self.plus || bytes[start] == Self.hash else { return 0 }
        return bytes[start]
    }

    private static func endOfLevel(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var end = start
        while end < bytes.count, bytes[end] != Self.slash { end += 1 }
        return end
    }
}
