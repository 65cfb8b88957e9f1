import DequeModule

/// What each device has in table `dead`, so that one whose messages all die drives out its own letters and not those of all
/// others. Numbers and sizes only: 16 bytes for each letter.
struct DeadShares {
    private struct Letter {
        var id: Int64
        var bytes: Int
    }

    /// Letters of one sender.
    private struct Share {
        /// Oldest first.
        var letters: Deque<Letter> = []
        var bytes = 0
    }

    /// What there is too much of.
    enum Measure {
        case messages, bytes
    }

    /// By device; nil: letters of the gateway itself. None is empty.
    private var shares: [String?: Share] = [:]
    private(set) var messages = 0
    private(set) var bytes = 0

    /// A letter with a number higher than all before.
    mutating func append(_ id: Int64, bytes: Int, of device: String?) {
        self.shares[device, default: Share()].letters.append(Letter(id: id, bytes: bytes))
        self.shares[device]?.bytes += bytes
        self.messages += 1
        self.bytes += bytes
    }

    /// Takes the oldest letter of the device that has most; of two that have as much, the older letter.
    ///
    /// - Returns: Its number; nil: there is no letter.
    mutating func takeOldest(ofMost measure: Measure) -> Int64? {
        var most: (device: String?, size: Int, oldest: Letter)?
        for (device, share) in self.shares {
            guard let oldest = share.letters.first else { continue }
            let size = measure == .messages ? share.letters.count : share.bytes
            if let most, size < most.size || size == most.size && oldest.id > most.oldest.id { continue }
            most = (device, size, oldest)
        }
        guard let most else { return nil }
        self.shares[most.device]?.letters.removeFirst()
        self.shares[most.device]?.bytes -= most.oldest.bytes
        if self.shares[most.device]?.letters.isEmpty == true { self.shares[most.device] = nil }
        self.messages -= 1
        self.bytes -= most.oldest.bytes
        return most.oldest.id
    }
}
