import NIOCore
import Sealing
import Transport

/// How many messages that prove nothing an address may still send. Valid messages cost nothing, so an honest node is not
/// held up by its own traffic. Bound to the gateway's loop.
final class FailureBudget {
    /// Addresses that are told apart; the table is swept when it is reached.
    static let maxAddresses = 4096
    /// What a sweep leaves at most, so that not every new address costs one.
    private static let sweptAddresses = maxAddresses / 4 * 3

    private let make: (NIODeadline) -> TokenBucket
    private var buckets: [String: TokenBucket] = [:]

    /// - Parameter make: A full bucket.
    init(make: @escaping (NIODeadline) -> TokenBucket) {
        self.make = make
    }

    /// Addresses with a bucket.
    var count: Int { self.buckets.count }

    /// Whether the address has any failure left.
    func hasRoom(_ address: String, now: NIODeadline) -> Bool {
        guard !self.buckets.isEmpty, let bucket = self.buckets[address] else { return true }
        return bucket.tokens(now: now) > 0
    }

    /// Counts one failure.
    ///
    /// - Returns: Whether there is one more to spend.
    func spend(_ address: String, now: NIODeadline) -> Bool {
        if self.buckets.count >= Self.maxAddresses, self.buckets[address] == nil {
            self.sweep(now: now)
        }
        var bucket = self.buckets[address] ?? self.make(now)
        let isGranted = bucket.take(now: now)
        self.buckets[address] = bucket
        return isGranted
    }
    /// Forgets full buckets, and the fullest of the others while there are too many: whoever comes with many addresses
    /// does not buy a new start for those that have spent theirs.
    private func sweep(now: NIODeadline) {
        self.buckets = self.buckets.filter { $0.value.tokens(now: now) < $0.value.burst }
        let excess = self.buckets.count - Self.sweptAddresses
        guard excess > 0 else { return }
        let leastGuilty = self.buckets.map { (address: $0.key, wait: $0.value.timeUntilFull(now: now)) }
            .sorted { $0.wait < $1.wait }
        for (address, _) in leastGuilty.prefix(excess) { self.buckets[address] = nil }
    }
}
