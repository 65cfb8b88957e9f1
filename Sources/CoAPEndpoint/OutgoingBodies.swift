import CoAPCodec
import NIOCore

/// Responses that a client fetches block by block although their request may not be carried out again: those of POST and
/// the like (RFC 7959 §2.7). What GET gives is asked of the owner for every block, and told apart by its ETag.
struct OutgoingBodies {
    private struct Body {
        let response: CoAPResponse
        var expires: NIODeadline
    }

    private let maxBytes: Int
    private let maxCount: Int
    private let maxPerPeer: Int
    private let lifetime: TimeAmount
    private var bodies: [BodyKey: Body] = [:]
    private(set) var bytes = 0

    init(_ configuration: CoAPServerConfiguration) {
        self.maxBytes = configuration.maxBodiesBytes
        self.maxCount = configuration.maxBodies
        self.maxPerPeer = configuration.maxBodiesPerPeer
        self.lifetime = configuration.bodyLifetime
    }

    var count: Int { self.bodies.count }

    /// When the next one goes.
    var nextExpiry: NIODeadline? { self.bodies.values.lazy.map(\.expires).min() }

    /// Keeps a response for the blocks that are not fetched yet.
    mutating func store(_ response: CoAPResponse, key: BodyKey, now: NIODeadline) {
        self.remove(key)
        if self.bodies.keys.lazy.filter({ $0.isOfSameSender(as: key) }).count >= self.maxPerPeer {
            self.removeOldest { $0.isOfSameSender(as: key) }
        }
        let length = response.payload.readableBytes
        guard length <= self.maxBytes else { return }
        while self.bodies.count >= self.maxCount || self.bytes + length > self.maxBytes {
            self.removeOldest { _ in true }
        }
        self.bytes += length
        self.bodies[key] = Body(response: response, expires: now + self.lifetime)
    }

    /// The response that a request for a later block is about.
    mutating func find(_ key: BodyKey, now: NIODeadline) -> CoAPResponse? {
        guard let index = self.bodies.index(forKey: key), self.bodies.values[index].expires > now else { return nil }
        self.bodies.values[index].expires = now + self.lifetime
        return self.bodies.values[index].response
    }

    mutating func expire(now: NIODeadline) {
        for (key, body) in self.bodies where body.expires <= now { self.remove(key) }
    }

    /// The peer is gone.
    mutating func forget(_ peer: CoAPPeer) {
        for key in self.bodies.keys where key.peer == peer { self.remove(key) }
    }

    private mutating func remove(_ key: BodyKey) {
        if let body = self.bodies.removeValue(forKey: key) { self.bytes -= body.response.payload.readableBytes }
    }

    private mutating func removeOldest(where isCandidate: (BodyKey) -> Bool) {
        let oldest = self.bodies.filter { isCandidate($0.key) }
            .min { $0.value.expires < $1.value.expires }
        if let oldest { self.remove(oldest.key) }
    }
}
