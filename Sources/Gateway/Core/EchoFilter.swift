import DequeModule
import MQTTCodec
import NIOCore

/// Tells the gateway's own messages when a broker sends them back: MQTT 3.1.1 has no way to ask for the others only.
///
/// Each is expected once, for some minutes. Told by a hash with a secret of this process.
struct EchoFilter {
    private static let limit = 4096
    private static let patience = TimeAmount.minutes(10)

    private var expected: [Int: Int] = [:]
    private var order: Deque<(key: Int, until: NIODeadline)> = []

    /// A message that will come back was sent.
    mutating func expect(_ topic: TopicName, _ payload: ByteBuffer, now: NIODeadline) {
        while let first = self.order.first, first.until <= now || self.order.count >= Self.limit {
            self.order.removeFirst()
            self.remove(first.key)
        }
        let key = Self.key(topic, payload)
        self.order.append((key, now + Self.patience))
        self.expected[key, default: 0] += 1
    }

    /// Whether this is one that came back; it is not expected again.
    mutating func takes(_ topic: TopicName, _ payload: ByteBuffer) -> Bool {
        guard !self.expected.isEmpty else { return false }
        let key = Self.key(topic, payload)
        guard self.expected[key] != nil else { return false }
        self.remove(key)
        if let place = self.order.firstIndex(where: { $0.key == key }) { self.order.remove(at: place) }
        return true
    }

    private mutating func remove(_ key: Int) {
        let left = self.expected[key, default: 1] - 1
        self.expected[key] = left > 0 ? left : nil
    }

    private static func key(_ topic: TopicName, _ payload: ByteBuffer) -> Int {
        var hasher = Hasher()
        hasher.combine(topic)
        payload.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}
