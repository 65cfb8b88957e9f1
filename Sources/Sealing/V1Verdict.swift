package import NIOCore

/// What became of a message that claimed to be sealed.
package enum V1Verdict: Sendable {
    /// Proven and fresh. Publish `issued` on the session topic, in order, before the message is acknowledged; then
    /// forward `data`. `acceptance` is what ``V1Receiver/forget(_:)`` takes if the message could not be kept.
    case opened(device: String, data: ByteBuffer, issued: [SessionID], acceptance: V1Acceptance)
    /// The same message as one accepted shortly before: its acknowledgement was lost. Acknowledge, don't forward.
    case repeated(device: String)
    /// Not accepted. Tell the sender nothing of the reason. Publish `issued`, if any: expired session IDs were
    /// replaced, or the receiver rotates on failure.
    case refused(V1Refusal, issued: [SessionID])
}

/// A receipt for one accepted message. Holds no secret.
package struct V1Acceptance: Hashable, Sendable {
    let digest: V1Digest
}

/// SHA-256 of a message in raw form: the same for every spelling of it (case of hex digits, white space).
struct V1Digest: Hashable, Sendable {
    var words: SIMD4<UInt64>

    func hash(into hasher: inout Hasher) {
        // Uniform already: one word of four is enough to choose a bucket.
        hasher.combine(self.words[0])
    }
}
