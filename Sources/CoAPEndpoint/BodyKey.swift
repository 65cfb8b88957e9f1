import CoAPCodec

/// Tells which requests are parts of one operation: the same peer, security context, method and options, those aside that
/// differ from block to block. Request-Tag counts (RFC 9175 §3.3).
struct BodyKey: Hashable {
    let peer: CoAPPeer
    /// The security context; 0: none.
    let context: UInt64
    private let digest: Int

    init(_ peer: CoAPPeer, context: UInt64, method: CoAPCode, options: CoAPOptions) {
        self.peer = peer
        self.context = context
        var hasher = Hasher()
        hasher.combine(method)
        options.forEachRaw { number, value in
            // Observe is there with the first block only (RFC 7959 §2.6).
            guard number != .block1, number != .block2, number != .observe, !number.isNoCacheKey else { return }
            hasher.combine(number)
            hasher.combine(value.count)
            hasher.combine(bytes: value)
        }
        self.digest = hasher.finalize()
    }

    /// Whether both are of the same sender: anybody can write the peer's address on a request that is not protected, so
    /// those of each security context are counted apart.
    func isOfSameSender(as other: BodyKey) -> Bool { self.peer == other.peer && self.context == other.context }
}
