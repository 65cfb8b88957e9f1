package import NIOCore

/// Why a path, or a part of it, is not taken.
package enum CoAPPathError: Error, Equatable, Sendable, CustomStringConvertible {
    /// U+0000 in a segment.
    case nullCharacter
    /// Not well-formed UTF-8.
    case illFormedUTF8
    /// `/` in a segment: the joined path would have other segments.
    case slash
    /// `+` or `#`, which no topic name holds.
    case wildcard
    /// `.` or `..`, which no segment may be (RFC 7252 §5.10.1).
    case dotSegment
    /// More bytes than are accepted, separators included.
    case tooLong(limit: Int)
    /// A level of a topic that can't be a segment: empty, `.`, `..`, or over 255 bytes.
    case notASegment

    package var description: String {
        switch self {
        case .nullCharacter: "holds the null character"
        case .illFormedUTF8: "is not well-formed UTF-8"
        case .slash: "has a segment with a slash in it"
        case .wildcard: "holds + or #"
        case .dotSegment: "has a segment . or .."
        case .tooLong(let limit): "is longer than \(limit) bytes"
        case .notASegment: "has a level that no path segment can be"
        }
    }
}

/// Paths as topics and back. Compared and joined as bytes.
package enum CoAPPath {
    /// Joins the Uri-Path options to a topic, in the form in which it is compared with filters.
    ///
    /// Empty segments are dropped: small nodes send one for a leading slash. What a topic name may not hold is refused
    /// here, so that no two different paths give the same topic but for empty segments.
    ///
    /// - Parameters:
    ///   - maxBytes: Of the topic.
    /// - Returns: The bytes; empty for the root.
    package static func topic(
        of options: CoAPOptions,
        maxBytes: Int = 65_535
    ) throws(CoAPPathError) -> ByteBuffer {
        // What the options need is at least what the topic does: a header stands for each separator.
        let size = options.encodedSize
        var topic = ByteBuffer()
        var failure: CoAPPathError?
        topic.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            var end = 0
            options.forEachRaw { number, bytes in
                guard number == .uriPath, failure == nil, bytes.count > 0 else { return }
                failure = Self.problem(inSegment: bytes)
                let separator = end == 0 ? 0 : 1
                if end + separator + bytes.count > maxBytes { failure = .tooLong(limit: maxBytes) }
                guard failure == nil else { return }
                if separator == 1 { target[end] = UInt8(ascii: "/") }
                UnsafeMutableRawBufferPointer(rebasing: target[(end + separator)...]).copyMemory(from: bytes)
                end += separator + bytes.count
            }
            return end
        }
        if let failure { throw failure }
        return topic
    }

    /// Adds the levels of a topic as options, Uri-Path unless other is said.
    package static func append(
        _ topic: ByteBuffer,
        to options: inout CoAPOptions,
        as number: CoAPOptionNumber = .uriPath
    ) throws(CoAPPathError) {
        var rest = topic.readableBytesView[...]
        while true {  // Once for each level.
            let level = rest.prefix { $0 != UInt8(ascii: "/") }
            let isDots = level.elementsEqual(".".utf8) || level.elementsEqual("..".utf8)
            guard !level.isEmpty, level.count <= 255, !isDots else { throw .notASegment }
            options.append(number, ByteBuffer(bytes: level))
            guard level.endIndex < rest.endIndex else { return }
            rest = rest[(level.endIndex + 1)...]
        }
    }

    /// What is wrong with one segment; `nil`: nothing.
    private static func problem(inSegment bytes: UnsafeRawBufferPointer) -> CoAPPathError? {
        var isASCII = true
        for byte in bytes {
            switch byte {
            case 0: return .nullCharacter
            case UInt8(ascii: "/"): return .slash
            case UInt8(ascii: "+"), UInt8(ascii: "#"): return .wildcard
            case 0x80...: isASCII = false
            default: break
            }
        }
        let dot = UInt8(ascii: ".")
        if bytes.count <= 2, bytes.allSatisfy({ $0 == dot }) { return .dotSegment }
        return isASCII || UTF8Text.isWellFormed(bytes) ? nil : .illFormedUTF8
    }
}

/// Checks of text.
enum UTF8Text {
    /// Whether the bytes are well-formed UTF-8. No allocation.
    static func isWellFormed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }
}
