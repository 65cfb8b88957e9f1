package import NIOCore
internal import OpenSSL

/// Makes Echo values and knows them again (RFC 9175 §2.3, Appendix A): the time and a MAC over it and the peer, so that
/// nothing has to be kept. A value is good for one peer and one security context, until the process ends.
package struct EchoSource {
    /// Four bytes of time, eight of MAC.
    static let valueBytes = 12
    /// A sixteenth of a second; four bytes of these are eight years.
    private static let tick: Int64 = 62_500_000

    private let mac: HMAC

    /// With a key of its own, which nobody else ever has.
    package init() {
        self.init(key: SecureRandom.bytes(count: 32))
    }

    /// - Parameter key: 32 bytes.
    init(key: [UInt8]) {
        self.mac = HMAC(.sha256, key: key)
    }

    /// A value for this peer and this security context; 0: none.
    package func value(for peer: CoAPPeer, context: UInt64, now: NIODeadline) -> ByteBuffer {
        let ticks = Self.ticks(now)
        var value = ByteBuffer()
        value.writeInteger(ticks)
        value.writeInteger(self.tag(ticks, peer, context))
        return value
    }

    /// How long ago the value was made for this peer; `nil`: never.
    package func age(of value: ByteBuffer, for peer: CoAPPeer, context: UInt64, now: NIODeadline) -> TimeAmount? {
        guard value.readableBytes == Self.valueBytes,
            let ticks = value.getInteger(at: value.readerIndex, as: UInt32.self),
            let tag = value.getInteger(at: value.readerIndex + 4, as: UInt64.self),
            // One comparison of two words: no time that tells how much of them was right.
            tag == self.tag(ticks, peer, context)
        else { return nil }
        return .nanoseconds(Int64(Self.ticks(now) &- ticks) * Self.tick)
    }

    private static func ticks(_ now: NIODeadline) -> UInt32 {
        UInt32(truncatingIfNeeded: now.uptimeNanoseconds / UInt64(self.tick))
    }

    private func tag(_ ticks: UInt32, _ peer: CoAPPeer, _ context: UInt64) -> UInt64 {
        let fields: [UInt64] = [
            UInt64(ticks), peer.addressHigh, peer.addressLow, UInt64(peer.port) << 16 | UInt64(peer.listener),
            UInt64(peer.session), context,
        ]
        self.mac.reset()
        fields.map(\.bigEndian).withUnsafeBytes { self.mac.update($0) }
        return withUnsafeTemporaryAllocation(byteCount: self.mac.count, alignment: 8) { output in
            self.mac.finalize(into: output)
            return output.load(as: UInt64.self)
        }
    }
}
