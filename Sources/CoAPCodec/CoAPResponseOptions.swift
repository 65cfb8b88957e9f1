package import NIOCore

/// What the options of a response say to a client, read in one pass.
///
/// As with a request, an option of a length that it may not have, and each one more than there may be, counts as one that is
/// not known: a critical one is a ``problem``, an elective one is passed over (RFC 7252 §5.4.3, §5.4.5).
package struct CoAPResponseOptions: Sendable {
    /// Max-Age of a response that says none, in seconds (RFC 7252 §5.10.5).
    package static let defaultMaxAge: UInt32 = 60

    /// A critical option that is not understood: the response must be rejected (RFC 7252 §5.4.1). Block2 with the reserved
    /// size exponent counts as one.
    package private(set) var problem: CoAPOptionNumber?
    package private(set) var contentFormat: CoAPContentFormat?
    /// In seconds; `nil`: the response does not say, see ``defaultMaxAge``.
    package private(set) var maxAge: UInt32?
    /// 1 to 8 bytes.
    package private(set) var eTag: ByteBuffer?
    /// 24 bits; `nil`: the client is not, or no longer, told of changes (RFC 7641 §3.1).
    package private(set) var observe: UInt32?
    package private(set) var block2: CoAPBlock?
    /// Size of the whole body, as the server says.
    package private(set) var size2: UInt32?

    package init(_ options: CoAPOptions) {
        options.forEachRaw { number, bytes in
            if self.problem == nil { self.read(number, bytes) }
        }
    }

    private mutating func read(_ number: CoAPOptionNumber, _ bytes: UnsafeRawBufferPointer) {
        let isTaken =
            switch number {
            case .eTag: Self.set(&self.eTag, (1...8).contains(bytes.count), ByteBuffer(bytes: bytes))
            case .observe: Self.set(&self.observe, bytes.count <= 3, Self.uint(bytes))
            case .contentFormat:
                Self.set(&self.contentFormat, bytes.count <= 2, CoAPContentFormat(rawValue: UInt16(Self.uint(bytes))))
            case .maxAge: Self.set(&self.maxAge, bytes.count <= 4, Self.uint(bytes))
            case .block2: self.setBlock2(bytes)
            case .size2: Self.set(&self.size2, bytes.count <= 4, Self.uint(bytes))
            // What else is known has no meaning in the response to a GET, which makes it unknown (RFC 7252 §5.4.6).
            default: false
            }
        if !isTaken, number.isCritical { self.problem = number }
    }

    private mutating func setBlock2(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= 3, self.block2 == nil, let block = CoAPBlock(value: Self.uint(bytes)) else { return false }
        self.block2 = block
        return true
    }

    /// - Returns: False if the option counts as one that is not known.
    private static func set<Value>(_ field: inout Value?, _ isGood: Bool, _ value: @autoclosure () -> Value) -> Bool {
        guard isGood, field == nil else { return false }
        field = value()
        return true
    }

    /// At most four bytes, leading zeroes accepted (RFC 7252 §3.2).
    private static func uint(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }
}
