/// Number of an option (RFC 7252 §5.4, §12.2). The number itself says how one that is not known is treated.
package struct CoAPOptionNumber: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 0 to 65,535.
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    /// Spelled out, for the one that all raw values have goes through a table of functions each time.
    package static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }

    /// Whether a message with one that is not understood must be rejected; others are passed over (RFC 7252 §5.4.1).
    package var isCritical: Bool { self.rawValue & 1 != 0 }
    /// Whether a proxy that does not understand it may not forward it (RFC 7252 §5.4.2).
    package var isUnsafe: Bool { self.rawValue & 2 != 0 }
    /// Whether it is no part of what tells two requests apart (RFC 7252 §5.4.2).
    package var isNoCacheKey: Bool { self.rawValue & 0x1E == 0x1C }

    /// `Uri-Path`, or the number where no name is known.
    package var description: String { self.definition?.name ?? "\(self.rawValue)" }
}

extension CoAPOptionNumber {
    package static let ifMatch = CoAPOptionNumber(rawValue: 1)
    package static let uriHost = CoAPOptionNumber(rawValue: 3)
    package static let eTag = CoAPOptionNumber(rawValue: 4)
    package static let ifNoneMatch = CoAPOptionNumber(rawValue: 5)
    /// RFC 7641 §2.
    package static let observe = CoAPOptionNumber(rawValue: 6)
    package static let uriPort = CoAPOptionNumber(rawValue: 7)
    package static let locationPath = CoAPOptionNumber(rawValue: 8)
    /// RFC 8613 §2.
    package static let oscore = CoAPOptionNumber(rawValue: 9)
    package static let uriPath = CoAPOptionNumber(rawValue: 11)
    package static let contentFormat = CoAPOptionNumber(rawValue: 12)
    package static let maxAge = CoAPOptionNumber(rawValue: 14)
    package static let uriQuery = CoAPOptionNumber(rawValue: 15)
    /// RFC 8768 §3.
    package static let hopLimit = CoAPOptionNumber(rawValue: 16)
    package static let accept = CoAPOptionNumber(rawValue: 17)
    /// RFC 9177 §4.1: known by name, and not supported, which a client finds out by 4.02.
    package static let qBlock1 = CoAPOptionNumber(rawValue: 19)
    package static let locationQuery = CoAPOptionNumber(rawValue: 20)
    /// RFC 9668 §3.1: not supported.
    package static let edhoc = CoAPOptionNumber(rawValue: 21)
    /// RFC 7959 §2.1.
    package static let block2 = CoAPOptionNumber(rawValue: 23)
    /// RFC 7959 §2.1.
    package static let block1 = CoAPOptionNumber(rawValue: 27)
    /// RFC 7959 §4.
    package static let size2 = CoAPOptionNumber(rawValue: 28)
    /// RFC 9177 §4.1: not supported.
    package static let qBlock2 = CoAPOptionNumber(rawValue: 31)
    package static let proxyURI = CoAPOptionNumber(rawValue: 35)
    package static let proxyScheme = CoAPOptionNumber(rawValue: 39)
    package static let size1 = CoAPOptionNumber(rawValue: 60)
    /// RFC 9175 §2.2.1.
    package static let echo = CoAPOptionNumber(rawValue: 252)
    /// RFC 7967 §2.
    package static let noResponse = CoAPOptionNumber(rawValue: 258)
    /// RFC 9175 §3.2.1.
    package static let requestTag = CoAPOptionNumber(rawValue: 292)
}

/// What is laid down for one option: its format, its length, how often it may be there.
package struct CoAPOptionDefinition: Sendable {
    /// Format of a value (RFC 7252 §3.2).
    package enum Format: Sendable { case empty, opaque, uint, string }

    /// In the standard's words.
    package let name: String
    package let format: Format
    /// Bytes that a value may have. One of another length counts as an option that is not known (RFC 7252 §5.4.3).
    package let length: ClosedRange<Int>
    /// Whether a request may have several. Each one too many counts as an option that is not known (RFC 7252 §5.4.5).
    package let isRepeatableInRequest: Bool
    /// Whether a response may have several.
    package let isRepeatableInResponse: Bool

    init(
        _ name: String,
        _ format: Format,
        _ length: ClosedRange<Int>,
        repeatable: Bool = false,
        repeatableInResponse: Bool? = nil
    ) {
        self.name = name
        self.format = format
        self.length = length
        self.isRepeatableInRequest = repeatable
        self.isRepeatableInResponse = repeatableInResponse ?? repeatable
    }
}

extension CoAPOptionNumber {
    /// What is known of the option; `nil`: nothing.
    package var definition: CoAPOptionDefinition? {
        switch self {
        case .ifMatch: CoAPOptionDefinition("If-Match", .opaque, 0...8, repeatable: true)
        case .uriHost: CoAPOptionDefinition("Uri-Host", .string, 1...255)
        case .eTag: CoAPOptionDefinition("ETag", .opaque, 1...8, repeatable: true, repeatableInResponse: false)
        case .ifNoneMatch: CoAPOptionDefinition("If-None-Match", .empty, 0...0)
        case .observe: CoAPOptionDefinition("Observe", .uint, 0...3)
        case .uriPort: CoAPOptionDefinition("Uri-Port", .uint, 0...2)
        case .locationPath: CoAPOptionDefinition("Location-Path", .string, 0...255, repeatable: true)
        case .oscore: CoAPOptionDefinition("OSCORE", .opaque, 0...255)
        case .uriPath: CoAPOptionDefinition("Uri-Path", .string, 0...255, repeatable: true)
        case .contentFormat: CoAPOptionDefinition("Content-Format", .uint, 0...2)
        case .maxAge: CoAPOptionDefinition("Max-Age", .uint, 0...4)
        case .uriQuery: CoAPOptionDefinition("Uri-Query", .string, 0...255, repeatable: true)
        case .hopLimit: CoAPOptionDefinition("Hop-Limit", .uint, 1...1)
        case .accept: CoAPOptionDefinition("Accept", .uint, 0...2)
        case .qBlock1: CoAPOptionDefinition("Q-Block1", .uint, 0...3)
        case .locationQuery: CoAPOptionDefinition("Location-Query", .string, 0...255, repeatable: true)
        case .edhoc: CoAPOptionDefinition("EDHOC", .empty, 0...0)
        case .block2: CoAPOptionDefinition("Block2", .uint, 0...3)
        case .block1: CoAPOptionDefinition("Block1", .uint, 0...3)
        case .size2: CoAPOptionDefinition("Size2", .uint, 0...4)
        case .qBlock2: CoAPOptionDefinition("Q-Block2", .uint, 0...3, repeatable: true)
        case .proxyURI: CoAPOptionDefinition("Proxy-Uri", .string, 1...1034)
        case .proxyScheme: CoAPOptionDefinition("Proxy-Scheme", .string, 1...255)
        case .size1: CoAPOptionDefinition("Size1", .uint, 0...4)
        case .echo: CoAPOptionDefinition("Echo", .opaque, 1...40)
        case .noResponse: CoAPOptionDefinition("No-Response", .uint, 0...1)
        case .requestTag: CoAPOptionDefinition("Request-Tag", .opaque, 0...8, repeatable: true)
        default: nil
        }
    }
}
