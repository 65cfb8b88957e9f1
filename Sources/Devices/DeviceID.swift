package import MQTTCodec
import NIOCore

/// The name of a device: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
///
/// Nothing that has a meaning in a topic, a filter or a file name's path is in that set, so an id put into a filter can
/// neither widen it nor move it to another branch.
package struct DeviceID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Most characters (and bytes) of an id.
    package static let maxBytes = 64

    /// The id as text, ASCII only, so that `==` on it is equality of bytes.
    package let text: String

    /// Takes `text` as an id.
    ///
    /// - Throws: ``DeviceIDError`` if it is empty, too long, or has a character outside the set.
    package init(_ text: String) throws(DeviceIDError) {
        try Self.check(text)
        self.text = text
    }

    /// Takes a client identifier or user name as an id: nil if it is none.
    package init?(_ name: MQTTString) {
        guard let id = name.buffer.withUnsafeReadableBytes(DeviceID.init(bytes:)) else { return nil }
        self = id
    }

    /// Takes a part of a topic as an id: nil if it is none.
    init?(bytes: UnsafeRawBufferPointer) {
        guard Self.isID(bytes) else { return nil }
        self.text = String(decoding: bytes, as: UTF8.self)
    }

    /// The rule for ids, which holds for the gateway's own name (`%g`) too.
    ///
    /// - Throws: ``DeviceIDError`` as ``init(_:)``.
    package static func check(_ text: String) throws(DeviceIDError) {
        let count = text.utf8.count
        guard count > 0 else { throw .empty }
        guard count <= Self.maxBytes else { throw .tooLong(bytes: count) }
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value), Self.isAllowed(byte) else { throw .badCharacter(scalar) }
        }
    }

    /// Whether a part of a topic is an id.
    static func isID(_ bytes: UnsafeRawBufferPointer) -> Bool {
        (1...Self.maxBytes).contains(bytes.count) && bytes.allSatisfy(Self.isAllowed)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
        default: false
        }
    }

    /// The id itself.
    package var description: String { self.text }

    /// In the order of bytes, for lists.
    package static func < (left: DeviceID, right: DeviceID) -> Bool { left.text < right.text }
}

/// Why some text is no device id or gateway name.
package enum DeviceIDError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No character at all.
    case empty
    /// Longer than ``DeviceID/maxBytes``.
    case tooLong(bytes: Int)
    /// A character outside `A-Z a-z 0-9 . _ -`.
    case badCharacter(Unicode.Scalar)

    /// In words that follow "the id …"; control characters are shown as escapes.
    package var description: String {
        switch self {
        case .empty: "is empty"
        case .tooLong(let bytes): "is \(bytes) bytes long, over \(DeviceID.maxBytes)"
        case .badCharacter(let scalar):
            "has the character \(scalar.escaped(asASCII: true)), which is not one of A-Z a-z 0-9 . _ -"
        }
    }
}
