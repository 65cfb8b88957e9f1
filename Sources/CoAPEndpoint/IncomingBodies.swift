import CoAPCodec
import NIOCore

/// Puts the bodies of requests together from their blocks (RFC 7959 §2.5). Blocks come in order; what is under way is
/// bounded in number and bytes, and given up after a while.
struct IncomingBodies {
    enum Step: Equatable {
        /// Answer 2.31 with this Block1.
        case more
        /// The last block: the whole body, and what was there before, if it came in several.
        case whole(Blocks, earlier: Blocks?)
        /// The block before is missing: 4.08.
        case incomplete
        /// 4.13.
        case tooLarge
        /// The block has not the size that it says: 4.00.
        case wrongSize
    }

    /// Blocks in a row.
    struct Blocks: Equatable {
        var bytes: ByteBuffer
        /// The highest that one of them had when it came (``CoAPRequest/age``); `nil`: one had none.
        var age: TimeAmount?

        mutating func append(_ block: ByteBuffer, age: TimeAmount?) {
            self.bytes.writeImmutableBuffer(block)
            if let own = self.age, let age { self.age = max(own, age) } else { self.age = nil }
        }
    }

    private struct Body {
        var blocks: Blocks
        /// Where the last block began, should it come again.
        var lastOffset: Int
        let isProven: Bool
        var expires: NIODeadline
    }

    private let maxBodyBytes: Int
    private let maxBytes: Int
    private let maxCount: Int
    private let maxPerPeer: Int
    private let lifetime: TimeAmount
    private var bodies: [BodyKey: Body] = [:]
    private(set) var bytes = 0
    /// Bodies that were given up.
    private(set) var givenUp: UInt64 = 0

    init(_ configuration: CoAPServerConfiguration) {
        self.maxBodyBytes = configuration.maxBodyBytes
        self.maxBytes = configuration.maxBodiesBytes
        self.maxCount = configuration.maxBodies
        self.maxPerPeer = configuration.maxBodiesPerPeer
        self.lifetime = configuration.bodyLifetime
    }

    var count: Int { self.bodies.count }

    /// When the next body is given up.
    var nextExpiry: NIODeadline? { self.bodies.values.lazy.map(\.expires).min() }

    /// A block came.
    ///
    /// - Parameters:
    ///   - size: Of the whole body, as the client says.
    ///   - isProven: Whether the peer's address is; others go first when there is no room.
    ///   - age: Of the block's Echo value; `nil`: it has none.
    mutating func take(
        _ block: CoAPBlock,
        _ payload: ByteBuffer,
        size: UInt32?,
        key: BodyKey,
        isProven: Bool,
        age: TimeAmount?,
        now: NIODeadline
    ) -> Step {
        let length = payload.readableBytes
        // All blocks but the last are full (RFC 7959 §2.2).
        guard block.hasMore ? length == block.size : length <= block.size else {
            self.giveUp(key)
            return .wrongSize
        }
        guard block.offset + length <= self.maxBodyBytes, Int(size ?? 0) <= self.maxBodyBytes else {
            self.giveUp(key)
            return .tooLarge
        }
        if block.number == 0 {
            if !block.hasMore {
                self.remove(key)
                return .whole(Blocks(bytes: payload, age: age), earlier: nil)
            }
            // A first block begins anew, whatever was there (RFC 7959 §2.5).
            self.remove(key)
            self.makeRoom(for: length, of: key)
            var bytes = ByteBuffer()
            bytes.writeImmutableBuffer(payload)
            self.bytes += length
            let blocks = Blocks(bytes: bytes, age: age)
            self.bodies[key] = Body(blocks: blocks, lastOffset: 0, isProven: isProven, expires: now + self.lifetime)
            return .more
        }
        guard let index = self.bodies.index(forKey: key) else { return .incomplete }
        let received = self.bodies.values[index].blocks.bytes.readableBytes
        if block.hasMore, block.offset == self.bodies.values[index].lastOffset, block.offset + length == received {
            // The last one again: its answer was lost, and the client made a new message of it.
            self.bodies.values[index].expires = now + self.lifetime
            return .more
        }
        guard block.offset == received else {
            self.giveUp(key)
            return .incomplete
        }
        if !block.hasMore {
            var whole = self.bodies.values[index].blocks
            self.remove(key)
            let earlierAge = whole.age
            whole.append(payload, age: age)
            let earlier = whole.bytes.getSlice(at: whole.bytes.readerIndex, length: received) ?? ByteBuffer()
            return .whole(whole, earlier: Blocks(bytes: earlier, age: earlierAge))
        }
        if self.bytes + length > self.maxBytes { self.makeRoom(for: length, of: key, sparing: key) }
        guard let index = self.bodies.index(forKey: key), self.bytes + length <= self.maxBytes else {
            self.giveUp(key)
            return .incomplete
        }
        self.bytes += length
        self.bodies.values[index].blocks.append(payload, age: age)
        self.bodies.values[index].lastOffset = block.offset
        self.bodies.values[index].expires = now + self.lifetime
        return .more
    }

    /// The last block of a body is to come once more: what came before it is there again.
    mutating func putBack(_ blocks: Blocks, before block: CoAPBlock, key: BodyKey, isProven: Bool, now: NIODeadline) {
        let length = blocks.bytes.readableBytes
        self.remove(key)
        self.makeRoom(for: length, of: key)
        guard self.bytes + length <= self.maxBytes else { return }
        self.bytes += length
        let (lastOffset, expires) = (max(0, length - block.size), now + self.lifetime)
        self.bodies[key] = Body(blocks: blocks, lastOffset: lastOffset, isProven: isProven, expires: expires)
    }

    /// Gives up what has waited too long.
    mutating func expire(now: NIODeadline) {
        for (key, body) in self.bodies where body.expires <= now { self.giveUp(key) }
    }

    /// The peer is gone.
    mutating func forget(_ peer: CoAPPeer) {
        for key in self.bodies.keys where key.peer == peer { self.remove(key) }
    }

    private mutating func remove(_ key: BodyKey) {
        if let body = self.bodies.removeValue(forKey: key) { self.bytes -= body.blocks.bytes.readableBytes }
    }

    private mutating func giveUp(_ key: BodyKey) {
        if self.bodies[key] != nil { self.givenUp += 1 }
        self.remove(key)
    }

    /// The oldest of the sender goes if he has as many as he may have; then, until there is room, the oldest of unproven
    /// peers, then the oldest. The tables are small: they are searched.
    private mutating func makeRoom(for length: Int, of key: BodyKey, sparing: BodyKey? = nil) {
        if sparing == nil, self.bodies.keys.lazy.filter({ $0.isOfSameSender(as: key) }).count >= self.maxPerPeer {
            self.giveUpOldest { $0.key.isOfSameSender(as: key) }
        }
        while self.bodies.count >= self.maxCount && sparing == nil || self.bytes + length > self.maxBytes {
            let isGivenUp =
                self.giveUpOldest { !$0.value.isProven && $0.key != sparing }
                || self.giveUpOldest { $0.key != sparing }
            guard isGivenUp else { return }
        }
    }

    @discardableResult
    private mutating func giveUpOldest(where isCandidate: (Dictionary<BodyKey, Body>.Element) -> Bool) -> Bool {
        let oldest = self.bodies.filter { isCandidate($0) }
            .min { $0.value.expires < $1.value.expires }
        guard let oldest else { return false }
        self.giveUp(oldest.key)
        return true
    }
}
