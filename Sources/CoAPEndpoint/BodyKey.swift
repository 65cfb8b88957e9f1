import CoAPCodec

/// Tells which requests are parts of one operation: the same peer, security context, method and options, those aside that
/// differ from block to block. Request-Tag counts (RFC 9175 §3.3).
struct BodyKey: Hashable {
    let peer: CoAPPeer
    private let digest: Int

    init(_ peer: CoAPPeer, context: UInt64, method: CoAPCode, options: CoAPOptions) {
        self.peer = peer
        var hasher = Hasher()
        hasher.combine(context)
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
}
