import CoAPEndpoint

/// Those who published lately by CoAP, so that what was worked out for their last message serves the next. Bounded: who is
/// forgotten is only worked out again. Bound to the gateway's loop.
struct CoAPSenderTable {
    struct Key: Hashable {
        let peer: CoAPPeer
        /// OSCORE's, or 0.
        let context: UInt64
        let claimed: String?
    }

    /// Kept in each of the two generations.
    private static let generationSize = 2048

    private var young: [Key: Client] = [:]
    private var old: [Key: Client] = [:]

    subscript(key: Key) -> Client? {
        mutating get {
            if let client = self.young[key] { return client }
            guard let client = self.old.removeValue(forKey: key) else { return nil }
            self.insert(client, key)
            return client
        }
        set {
            if let newValue { self.insert(newValue, key) }
        }
    }

    private mutating func insert(_ client: Client, _ key: Key) {
        if self.young.count >= Self.generationSize {
            self.old = self.young
            self.young = [:]
        }
        self.young[key] = client
    }

    /// Forgets some of them.
    mutating func remove(where isMeant: (Client) -> Bool) {
        self.young = self.young.filter { !isMeant($0.value) }
        self.old = self.old.filter { !isMeant($0.value) }
    }
}
