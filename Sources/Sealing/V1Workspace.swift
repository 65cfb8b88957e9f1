package import NIOCore
internal import OpenSSL

/// Memory that v1 receivers work in: one for an event loop, shared by all receivers on it, since none keeps anything
/// in it between two calls. Grows to the longest payload seen, up to a limit.
package final class V1Workspace {
    /// Scratch memory above this many bytes is given back after the message that needed it.
    private static let keptBytes = 64 * 1024

    /// A 20-byte MAC as received, and one as computed.
    private let mac = UnsafeMutableRawBufferPointer.allocate(byteCount: 20, alignment: 8)
    let computedMAC = UnsafeMutableRawBufferPointer.allocate(byteCount: 20, alignment: 8)
    private var canonical = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
    private var clear = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
    private let sha256 = Digest.Context(.sha256)
    /// Random bytes not yet given out: one call of the generator costs as much for 512 as for 16.
    private let random = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
    private var randomLeft = 0

    package init() {}

    deinit {
        for buffer in [self.mac, self.computedMAC, self.canonical, self.clear, self.random] { buffer.deallocate() }
    }

    /// Cuts `payload` and lends its fields, or `nil` if it is not a v1 payload.
    func withFields<Result>(of payload: ByteBuffer, _ body: (V1Fields?) -> Result) -> Result {
        defer { self.shrink() }
        return payload.withUnsafeReadableBytes { bytes in
            // In hex form a digit stands where raw form has its first comma.
            if bytes.count > 16, bytes[16] == UInt8(ascii: ",") {
                return body(V1Fields(raw: bytes, mac: self.mac))
            }
            Self.grow(&self.canonical, to: bytes.count)
            return body(V1Fields(hex: bytes, scratch: self.canonical, mac: self.mac))
        }
    }

    /// Whether it is a v1 payload with a line end behind it, as of a client that sends lines of a file: then it is none.
    package func isLine(_ payload: ByteBuffer) -> Bool {
        let text = payload.readableBytesView
        guard text.last == UInt8(ascii: "\n") else { return false }
        let count = text.count - (text.dropLast().last == UInt8(ascii: "\r") ? 2 : 1)
        guard let rest = payload.getSlice(at: payload.readerIndex, length: count) else { return false }
        return self.withFields(of: rest) { $0 != nil }
    }

    /// Memory for the clear text of a message: at least `count` bytes, valid until the next call.
    func clearText(_ count: Int) -> UnsafeMutableRawBufferPointer {
        Self.grow(&self.clear, to: count)
        return UnsafeMutableRawBufferPointer(rebasing: self.clear[..<count])
    }

    /// What tells a message from every other.
    func digest(of fields: V1Fields) -> V1Digest {
        var digest = V1Digest(words: SIMD4())
        withUnsafeMutableBytes(of: &digest.words) { self.sha256.hash(fields.canonical, into: $0) }
        return digest
    }

    /// A session ID that nobody has seen.
    func newSessionID() -> SessionID {
        if self.randomLeft < 16 {
            SecureRandom.fill(self.random)
            self.randomLeft = self.random.count
        }
        self.randomLeft -= 16
        let bytes = self.random.loadUnaligned(fromByteOffset: self.randomLeft, as: SIMD16<UInt8>.self)
        // What was given out is not kept.
        self.random.storeBytes(of: SIMD16(), toByteOffset: self.randomLeft, as: SIMD16<UInt8>.self)
        return SessionID(bytes)
    }

    private static func grow(_ buffer: inout UnsafeMutableRawBufferPointer, to count: Int) {
        guard buffer.count < count else { return }
        buffer.deallocate()
        buffer = .allocate(byteCount: max(count, 2 * buffer.count), alignment: 16)
    }

    private func shrink() {
        guard max(self.canonical.count, self.clear.count) > Self.keptBytes else { return }
        self.canonical.deallocate()
        self.clear.deallocate()
        self.canonical = .allocate(byteCount: 512, alignment: 16)
        self.clear = .allocate(byteCount: 512, alignment: 16)
    }
}
