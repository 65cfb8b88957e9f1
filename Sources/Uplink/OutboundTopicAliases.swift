internal import MQTTCodec
internal import NIOCore

/// The numbers that a broker gets instead of topics that it has seen before (MQTT 5.0 §3.3.2.3.4), for the time of one
/// connection `[MQTT-3.3.2-7]`.
///
/// While there are free ones each topic gets one. Then a topic that comes again soon takes the place of one that is not used
/// much (CLOCK, behind a filter of topics seen lately), so that the hot topics have them, and thousands of topics that are
/// seldom used cost one look-up each.
struct OutboundTopicAliases {
    /// An alias takes three bytes, so that a shorter topic is sent as it is.
    static let minTopicBytes = 4
    /// A longer one is not kept.
    static let maxTopicBytes = 1024
    /// Most uses that are remembered of a topic.
    private static let maxUses: UInt8 = 7
    /// Topics seen lately, by the low bits of their hash.
    private static let recentSlots = 256

    /// How a message of this topic names it.
    enum Use: Equatable {
        case topicOnly
        /// The broker knows the alias: the topic is left out.
        case known(UInt16)
        /// It is told the alias, with the topic.
        case new(UInt16)
    }

    private struct Slot {
        var topic: TopicName
        var uses: UInt8 = 1
    }

    /// Highest alias that is used `[MQTT-3.2.2-17]`; 0: none `[MQTT-3.2.2-18]`.
    let maximum: Int
    /// The place of each topic in `slots`.
    private var places: [TopicName: Int] = [:]
    /// Alias 1 and on.
    private var slots: [Slot] = []
    private var hand = 0
    private var recent: [Int]

    init(maximum: Int) {
        self.maximum = maximum
        self.recent = maximum > 0 ? Array(repeating: 0, count: Self.recentSlots) : []
    }

    /// - Parameter hasRoom: Whether the packet may have the three bytes that a new alias takes besides the topic.
    mutating func use(for topic: TopicName, hasRoom: Bool) -> Use {
        let bytes = topic.buffer.readableBytes
        guard self.maximum > 0, bytes >= Self.minTopicBytes, bytes <= Self.maxTopicBytes else { return .topicOnly }
        if let place = self.places[topic] {
            self.slots[place].uses = min(self.slots[place].uses + 1, Self.maxUses)
            return .known(UInt16(place + 1))
        }
        guard hasRoom else { return .topicOnly }
        if self.slots.count < self.maximum {
            let kept = topic.compacted()
            self.places[kept] = self.slots.count
            self.slots.append(Slot(topic: kept))
            return .new(UInt16(self.slots.count))
        }
        return self.wasSeenLately(topic) ? self.replace(with: topic) : .topicOnly
    }

    private mutating func wasSeenLately(_ topic: TopicName) -> Bool {
        let hash = topic.hashValue
        let slot = hash & (Self.recentSlots - 1)
        defer { self.recent[slot] = hash }
        return self.recent[slot] == hash
    }

    /// Moves the hand of the clock by one, and takes the place of the topic there if that was not used since.
    private mutating func replace(with topic: TopicName) -> Use {
        let place = self.hand
        self.hand = (place + 1) % self.slots.count
        guard self.slots[place].uses == 0 else {
            self.slots[place].uses -= 1
            return .topicOnly
        }
        self.places[self.slots[place].topic] = nil
        let kept = topic.compacted()
        self.places[kept] = place
        self.slots[place] = Slot(topic: kept)
        return .new(UInt16(place + 1))
    }
}
