import NIOCore
import Sealing
import Transport

/// How many messages that prove nothing an address may still send. Valid messages cost nothing, so an honest node is not
/// held up by its own traffic. Bound to the gateway's loop.
final class FailureBudget {
    /// Addresses that are told apart; the table is swept of full buckets when it is reached.
    private static let maxAddresses = 4096

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
            self.buckets = self.buckets.filter { $0.value.tokens(now: now) < $0.value.burst }
            if self.buckets.count >= Self.maxAddresses { self.buckets.removeAll() }
        }
        var bucket = self.buckets[address] ?? self.make(now)
        let isGranted = bucket.take(now: now)
        self.buckets[address] = bucket
        return isGranted
    }
}
