public import NIOCore

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
        var levels = 1
        var isASCII = true
        var found = false
        for index in bytes.indices {
            let byte = bytes[index]
            switch byte {
            case 0: throw .nullCharacter
            case Self.slash: levels += 1
            case Self.plus, Self.hash:
                guard wildcards == .allowed else { throw .misplacedWildcard }
                let startsLevel = index == 0 || bytes[index - 1] == Self.slash
                let isLast = index == bytes.count - 1
                let endsLevel = isLast || (byte == Self.plus && bytes[index + 1] == Self.slash)
                guard startsLevel, endsLevel else { throw .misplacedWildcard }
                found = true
            case 0x80...: isASCII = false
            default: break
            }
        }
        guard levels <= TopicName.maxLevels else { throw .tooDeep }
        if !isASCII {
            guard String(validating: bytes, as: UTF8.self) != nil else { throw .illFormedUTF8 }
        }
        return found
    }

    /// Whether `filter` matches every topic that `name` stands for. With `nameIsFilter`, `+` and `#` in `name` are
    /// wildcards, which only an equal or wider wildcard of `filter` covers.
    static func covers(_ filter: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, nameIsFilter: Bool) -> Bool {
        // A wildcard at the first level never stands for a topic that starts with $ [MQTT-4.7.2-1].
        if name.first == Self.dollar, filter.first == Self.plus || filter.first == Self.hash { return false }
        var filterAt = 0
        var nameAt = 0
        while true {
            let filterEnd = Self.endOfLevel(filter, from: filterAt)
            if filterEnd == filterAt + 1, filter[filterAt] == Self.hash { return true }
            let nameEnd = Self.endOfLevel(name, from: nameAt)
            let nameWildcard = nameIsFilter && nameEnd == nameAt + 1 ? name[nameAt] : 0
            if nameWildcard == Self.hash { return false }  // Only # covers #.
            if filterEnd == filterAt + 1, filter[filterAt] == Self.plus {
                // + covers any one level, another + included.
            } else {
                guard filterEnd - filterAt == nameEnd - nameAt, nameWildcard == 0 else { return false }
                guard filter[filterAt..<filterEnd].elementsEqual(name[nameAt..<nameEnd]) else { return false }
            }
            switch (filterEnd == filter.count, nameEnd == name.count) {
            case (true, true): return true
            case (true, false): return false
            case (false, true):
                // "a/#" also matches its parent "a" [MQTT 5.0 §4.7.1.2].
                return filter.count == filterEnd + 2 && filter[filterEnd + 1] == Self.hash
            case (false, false):
                filterAt = filterEnd + 1
                nameAt = nameEnd + 1
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
                guard first[firstAt..<firstEnd].elementsEqual(second[secondAt..<secondEnd]) else { return false }
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
