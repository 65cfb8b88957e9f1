import NIOCore
import OpenSSL

/// Whoever published a session ID, as far as it matters for how long the ID is good.
protocol CommandSource: AnyObject {
    /// Its connection is there.
    var isHere: Bool { get }
}

/// A session ID that a node published for its commands on one topic: the next command is sealed under it, and no other one.
///
/// Public, like those of the gateway: it is worth nothing without the node's keys.
struct CommandSessionID {
    /// Longest that is taken.
    static let maxBytes = 64

    let bytes: [UInt8]
    /// Published with RETAIN: the node remembers it over sleep, and it is good without its connection and after a restart.
    let isRetained: Bool
    /// Published by the device itself beyond doubt: over a connection that proves it, or sealed.
    let isProven: Bool
    /// Published over a connection that proves the device: only such a one can be the node that gets what is sealed under it.
    let isOfProvenConnection: Bool
    private(set) weak var source: (any CommandSource)?

    /// - Parameter payload: Nothing is wrong with it, see ``problem(with:)``.
    init(
        _ payload: ByteBuffer,
        isRetained: Bool,
        isProven: Bool,
        isOfProvenConnection: Bool = false,
        source: (any CommandSource)?
    ) {
        self.bytes = Array(payload.readableBytesView)
        self.isRetained = isRetained
        self.isProven = isProven
        self.isOfProvenConnection = isOfProvenConnection
        self.source = source
    }

    /// Whether the node can be expected to know it still.
    var isGood: Bool { self.isRetained || self.source?.isHere ?? false }

    /// What it is told by once it was used.
    var digest: UInt64 {
        Digest.sha256(self.bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Why this can't be one, in words; nil if it can. A comma is what sealed payloads are full of.
    static func problem(with payload: ByteBuffer) -> String? {
        guard 1...self.maxBytes ~= payload.readableBytes else {
            return "a session ID has 1 to \(self.maxBytes) bytes, and not \(payload.readableBytes)"
        }
        let isPrintable = payload.readableBytesView.allSatisfy { 0x21...0x7E ~= $0 && $0 != UInt8(ascii: ",") }
        return isPrintable ? nil : "a session ID is of printable ASCII characters without blanks and commas"
    }
}
