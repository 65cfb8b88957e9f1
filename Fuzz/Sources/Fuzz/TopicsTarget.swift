import MQTTCodec
import NIOCore

/// Two filters and a topic: matching is what the standard says, and covering and overlapping are what matching says.
enum TopicsTarget {
    static func check(_ input: FuzzInput) {
        var input = input
        let texts = [input.text(), input.text(), input.remaining()]
        let filters = texts.prefix(2).map { text in Self.filter(text) }
        let topic = Self.topic(texts[2])
        for filter in filters {
            guard let filter else { continue }
            expect(filter.covers(filter) && filter.overlaps(filter), "a filter that does not cover itself")
            Self.checkShared(filter)
            if let topic { Self.checkMatch(filter, topic) }
        }
        guard let first = filters[0], let second = filters[1] else { return }
        Tally.count("pairs")
        let covers = first.covers(second)
        let overlaps = first.overlaps(second)
        expect(overlaps == second.overlaps(first), "overlapping one way only")
        expect(!covers || overlaps, "covers what it does not overlap")
        if covers, second.covers(first) { Tally.count("equal pairs") }
        if let topic, second.matches(topic) {
            if covers { expect(first.matches(topic), "covers what it does not match") }
            if first.matches(topic) { expect(overlaps, "a topic for both, and no overlap") }
        }
        Self.checkWitnesses(first, second, covers: covers, overlaps: overlaps)
    }

    /// A name is a filter that matches itself, and no bytes are a name and no filter.
    private static func topic(_ bytes: [UInt8]) -> TopicName? {
        let buffer = ByteBuffer(bytes: bytes)
        let topic = try? TopicName(validating: buffer)
        let filter = try? TopicFilter(validating: buffer.moved(by: 3))
        let hasWildcard = bytes.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
        expect((topic != nil) == (filter != nil && !hasWildcard), "a name that is no filter, or the other way round")
        if let topic, let filter { expect(filter.matches(topic), "a name that does not match itself") }
        return topic
    }

    private static func filter(_ bytes: [UInt8]) -> TopicFilter? {
        let filter = try? TopicFilter(validating: ByteBuffer(bytes: bytes).moved(by: 1))
        let levels = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isWellFormed =
            !bytes.isEmpty && bytes.count <= 0xFFFF && levels.count <= TopicName.maxLevels
            && !bytes.contains(0) && String(validating: bytes, as: UTF8.self) != nil
            && levels.enumerated().allSatisfy { index, level in
                level == [UInt8(ascii: "+")]
                    || (level == [UInt8(ascii: "#")] && index == levels.count - 1)
                    || !level.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
            }
        expect((filter != nil) == isWellFormed, "a filter against the rules, or refused within them")
        return filter
    }

    private static func checkMatch(_ filter: TopicFilter, _ topic: TopicName) {
        let matches = filter.matches(topic)
        expect(matches == Self.plainMatch(Levels(filter.buffer), Levels(topic.buffer)), "\(filter) and \(topic)")
        Tally.count(matches ? "matches" : "no match")
    }

    /// MQTT 5.0 §4.7, word by word.
    private static func plainMatch(_ filter: Levels, _ topic: Levels) -> Bool {
        if topic.startsWithDollar, filter[0] == .single || filter[0] == .multi { return false }
        for index in 0..<filter.count {
            if filter[index] == .multi { return true }
            guard index < topic.count else { return false }
            if filter[index] != .single, filter[index] != topic[index] { return false }
        }
        // Of "a/#" also "a".
        return filter.count == topic.count
    }

    /// Topics made to tell: `first` covers `second` exactly if it matches all of these, and of two that overlap there is one
    /// that both match.
    private static func checkWitnesses(_ first: TopicFilter, _ second: TopicFilter, covers: Bool, overlaps: Bool) {
        let firstLevels = Levels(first.buffer)
        let secondLevels = Levels(second.buffer)
        let witnesses = secondLevels.witnesses(deeperThan: firstLevels.count)
        if let witnesses {
            for witness in witnesses { expect(second.matches(witness), "\(second) and its own \(witness)") }
            expect(covers == witnesses.allSatisfy { first.matches($0) }, "\(first) covers \(second): \(covers)")
        }
        if overlaps, let topic = firstLevels.merged(with: secondLevels) {
            expect(first.matches(topic) && second.matches(topic), "\(first) and \(second) overlap, but not in \(topic)")
            Tally.count("overlaps")
        }
    }

    private static func checkShared(_ filter: TopicFilter) {
        let bytes = Array(filter.buffer.readableBytesView)
        let prefix = Array("$share/".utf8)
        do throws(SharedSubscription.SyntaxError) {
            guard let shared = try SharedSubscription.parse(filter) else {
                expect(!bytes.starts(with: prefix), "a shared subscription taken for another")
                return
            }
            let group = Array(shared.group.buffer.readableBytesView)
            let inner = Array(shared.filter.buffer.readableBytesView)
            expect(prefix + group + [UInt8(ascii: "/")] + inner == bytes, "the parts are not the whole")
            expect(!group.isEmpty && !group.contains { "/+#".utf8.contains($0) }, "a group that is none")
            Tally.count("shared")
        } catch {
            expect(bytes.starts(with: prefix), "refused as a shared subscription, which it is not")
        }
    }
}
