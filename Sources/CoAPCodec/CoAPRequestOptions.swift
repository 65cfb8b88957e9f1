package import NIOCore

/// What the options of a request say, read in one pass.
///
/// An option of a length that it may not have, and each one more than there may be, counts as one that is not known: a
/// critical one is a ``problem``, an elective one is passed over (RFC 7252 §5.4.3, §5.4.5). Paths and queries are read by
/// ``CoAPPath`` and ``CoAPQuery``.
package struct CoAPRequestOptions: Sendable {
    /// Why the request can't be served.
    package enum Problem: Error, Equatable, Sendable {
        /// A critical option that is not known, or not understood (RFC 7252 §5.4.1).
        case badOption(CoAPOptionNumber)
        /// Size exponent 7 in Block1 or Block2 (RFC 7959 §2.2).
        case reservedBlockSize(CoAPOptionNumber)
        /// Proxy-Uri or Proxy-Scheme (RFC 7252 §5.10.2).
        case proxying
        /// Uri-Host or Uri-Query that is not well-formed UTF-8 (RFC 7252 §3.2).
        case illFormedText(CoAPOptionNumber)

        /// The response. A NON with a critical option that is not known is rejected instead, which is silence here
        /// (RFC 7252 §5.4.1): see ``CoAPRequestOptions/Problem/isSilent(_:)``.
        package var code: CoAPCode {
            switch self {
            case .badOption: .badOption
            case .reservedBlockSize, .illFormedText: .badRequest
            case .proxying: .proxyingNotSupported
            }
        }

        /// Whether a request of this type gets no response.
        package func isSilent(_ type: CoAPMessageType) -> Bool {
            if case .badOption = self { type != .confirmable } else { false }
        }
    }

    /// What was wrong first; the rest is then not to be believed.
    package private(set) var problem: Problem?
    package private(set) var hasUriHost = false
    package private(set) var hasUriPort = false
    package private(set) var contentFormat: CoAPContentFormat?
    package private(set) var accept: CoAPContentFormat?
    /// 24 bits; see ``CoAPObserve``.
    package private(set) var observe: UInt32?
    package private(set) var block1: CoAPBlock?
    package private(set) var block2: CoAPBlock?
    /// Size of the request's body, as the client says.
    package private(set) var size1: UInt32?
    /// Whether the client asks for the size of the response's body.
    package private(set) var size2: UInt32?
    package private(set) var hasIfMatch = false
    package private(set) var hasIfNoneMatch = false
    package private(set) var hasETag = false
    package private(set) var hasQuery = false
    /// As the server gave it: 1 to 40 bytes.
    package private(set) var echo: ByteBuffer?
    package private(set) var hasRequestTag = false
    package private(set) var noResponse: CoAPNoResponse?
    /// Value of the OSCORE option.
    package private(set) var oscore: ByteBuffer?

    package init(_ options: CoAPOptions) {
        options.forEachRaw { number, bytes in
            if self.problem == nil { self.read(number, bytes) }
        }
    }

    private mutating func read(_ number: CoAPOptionNumber, _ bytes: UnsafeRawBufferPointer) {
        var isReservedSize = false
        let isTaken =
            switch number.rawValue {
            case 1: Self.set(&self.hasIfMatch, bytes.count <= 8, repeatable: true)
            case 3: Self.set(&self.hasUriHost, (1...255).contains(bytes.count)) && self.isText(number, bytes)
            case 4: Self.set(&self.hasETag, (1...8).contains(bytes.count), repeatable: true)
            case 5: Self.set(&self.hasIfNoneMatch, bytes.isEmpty)
            case 6: Self.set(&self.observe, bytes.count <= 3, Self.uint(bytes))
            case 7: Self.set(&self.hasUriPort, bytes.count <= 2)
            case 9: Self.set(&self.oscore, bytes.count <= 255, ByteBuffer(bytes: bytes))
            case 11: bytes.count <= 255
            case 12:
                Self.set(&self.contentFormat, bytes.count <= 2, CoAPContentFormat(rawValue: UInt16(Self.uint(bytes))))
            case 15:
                Self.set(&self.hasQuery, bytes.count <= 255, repeatable: true) && self.isText(number, bytes)
            case 17: Self.set(&self.accept, bytes.count <= 2, CoAPContentFormat(rawValue: UInt16(Self.uint(bytes))))
            case 23: Self.setBlock(&self.block2, bytes, &isReservedSize)
            case 27: Self.setBlock(&self.block1, bytes, &isReservedSize)
            case 28: Self.set(&self.size2, bytes.count <= 4, Self.uint(bytes))
            case 35, 39: self.fail(.proxying)
            case 60: Self.set(&self.size1, bytes.count <= 4, Self.uint(bytes))
            case 252: Self.set(&self.echo, (1...40).contains(bytes.count), ByteBuffer(bytes: bytes))
            case 258:
                Self.set(&self.noResponse, bytes.count <= 1, CoAPNoResponse(value: bytes.first ?? 0))
            case 292: Self.set(&self.hasRequestTag, bytes.count <= 8, repeatable: true)
            default: false
            }
        if isReservedSize { _ = self.fail(.reservedBlockSize(number)) }
        if !isTaken, number.isCritical { _ = self.fail(.badOption(number)) }
    }

    /// Keeps the first problem, and says that the option was dealt with.
    private mutating func fail(_ problem: Problem) -> Bool {
        if self.problem == nil { self.problem = problem }
        return true
    }

    /// - Returns: False if the option counts as one that is not known.
    private static func set(_ flag: inout Bool, _ isGood: Bool, repeatable: Bool = false) -> Bool {
        guard isGood, repeatable || !flag else { return false }
        flag = true
        return true
    }

    private static func set<Value>(
        _ field: inout Value?,
        _ isGood: Bool,
        _ value: @autoclosure () -> Value
    ) -> Bool {
        guard isGood, field == nil else { return false }
        field = value()
        return true
    }

    private static func setBlock(
        _ field: inout CoAPBlock?,
        _ bytes: UnsafeRawBufferPointer,
        _ isReservedSize: inout Bool
    ) -> Bool {
        guard bytes.count <= 3, field == nil else { return false }
        field = CoAPBlock(value: self.uint(bytes))
        isReservedSize = field == nil
        return true
    }

    private mutating func isText(_ number: CoAPOptionNumber, _ bytes: UnsafeRawBufferPointer) -> Bool {
        UTF8Text.isWellFormed(bytes) ? true : self.fail(.illFormedText(number))
    }

    /// At most four bytes, leading zeroes accepted (RFC 7252 §3.2).
    private static func uint(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var value: UInt32 = 0
        for byte in bytes { value = value << 8 | UInt32(byte) }
        return value
    }
}
