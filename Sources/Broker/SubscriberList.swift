/// The subscribers of one filter, to be walked fast and changed fast: an array, and an index over it once it is long.
struct SubscriberList<Subscriber: AnyObject> {
    struct Match {
        let subscriber: Subscriber
        var options: SubscriptionOptions
    }

    /// From this length on a search in the array costs more than an index.
    private static var indexedCount: Int { 24 }

    private(set) var matches: [Match] = []
    private var index: [ObjectIdentifier: Int]?

    var isEmpty: Bool { self.matches.isEmpty }
    var count: Int { self.matches.count }

    /// Adds the subscriber, or gives it other options; whether it is new.
    mutating func set(_ subscriber: Subscriber, _ options: SubscriptionOptions) -> Bool {
        if let at = self.find(subscriber) {
            self.matches[at].options = options
            return false
        }
        self.matches.append(Match(subscriber: subscriber, options: options))
        if self.index != nil {
            self.index?[ObjectIdentifier(subscriber)] = self.matches.count - 1
        } else if self.matches.count >= Self.indexedCount {
            self.index = Dictionary(
                uniqueKeysWithValues: self.matches.indices.map { (ObjectIdentifier(self.matches[$0].subscriber), $0) }
            )
        }
        return true
    }

    /// Takes the subscriber out; whether it was in.
    mutating func remove(_ subscriber: Subscriber) -> Bool {
        guard let at = self.find(subscriber) else { return false }
        let last = self.matches.count - 1
        self.matches.swapAt(at, last)
        self.matches.removeLast()
        if self.index != nil {
            self.index?[ObjectIdentifier(subscriber)] = nil
            if at < last { self.index?[ObjectIdentifier(self.matches[at].subscriber)] = at }
            if self.matches.count < Self.indexedCount / 2 { self.index = nil }
        }
        return true
    }

    private func find(_ subscriber: Subscriber) -> Int? {
        if let index = self.index { return index[ObjectIdentifier(subscriber)] }
        return self.matches.firstIndex { $0.subscriber === subscriber }
    }
}

/// The members of one shared subscription: each message goes to one of them (MQTT 5.0 §4.8.2).
package final class SharedGroup<Subscriber: AnyObject> {
    private var members = SubscriberList<Subscriber>()
    /// Whose turn it is.
    private var turn = 0
    /// How many members that can't take a message at once are asked to keep it.
    private static var maxUnreadyTries: Int { 32 }

    var isEmpty: Bool { self.members.isEmpty }

    func set(_ subscriber: Subscriber, _ options: SubscriptionOptions) -> Bool {
        self.members.set(subscriber, options)
    }

    func remove(_ subscriber: Subscriber) -> Bool {
        self.members.remove(subscriber)
    }

    /// Offers a message to the members in turn until one takes it; those who can take it at once come first.
    ///
    /// - Returns: Whether somebody did.
    func offer(isReady: (Subscriber) -> Bool, _ body: (Subscriber, SubscriptionOptions) -> Bool) -> Bool {
        let count = self.members.count
        guard count > 0 else { return false }
        let start = self.turn % count
        var tries = 0
        for wantsReady in [true, false] {
            for step in 0..<count {
                let match = self.members.matches[(start + step) % count]
                guard isReady(match.subscriber) == wantsReady else { continue }
                if !wantsReady {
                    tries += 1
                    guard tries <= Self.maxUnreadyTries else { return false }
                }
                guard body(match.subscriber, match.options) else { continue }
                self.turn = (start + step + 1) % count
                return true
            }
        }
        return false
    }
}
