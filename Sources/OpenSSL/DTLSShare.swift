import NIOCore

/// How many handshakes each network has begun in the present second.
struct DTLSShare {
    private var counts: [UInt64: Int] = [:]
    private var ends = NIODeadline.uptimeNanoseconds(0)

    /// Whether the network of this address may begin another one. As many networks are remembered as there may be handshakes in a second.
    mutating func has(_ address: DTLSAddress, limit: Int, now: NIODeadline) -> Bool {
        if now >= self.ends {
            self.counts.removeAll(keepingCapacity: self.counts.count <= 64)
            self.ends = now + .seconds(1)
        }
        return self.counts[address.network, default: 0] < limit
    }

    /// It has begun one.
    mutating func take(_ address: DTLSAddress) { self.counts[address.network, default: 0] += 1 }
}
