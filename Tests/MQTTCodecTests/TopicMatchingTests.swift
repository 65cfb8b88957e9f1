import MQTTCodec
import Testing

@Suite("Matching, coverage and overlap of filters")
struct TopicMatchingTests {
    @Test(
        "a filter matches (the standard's examples among them)",
        arguments: [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"), ("#", "sport"), ("#", "/"), ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"), ("+/+", "/finance"), ("/+", "/finance"), ("+", "finance"),
            ("+/tennis/#", "sport/tennis"),
            ("$SYS/#", "$SYS"), ("$SYS/#", "$SYS/monitor/Clients"), ("$SYS/monitor/+", "$SYS/monitor/Clients"),
            ("+/+/+", "a//b"), ("a//b", "a//b"), ("+/#", "a"), ("a/$x", "a/$x"), ("a/+", "a/$x"),
            ("nodes/kitchen-7/#", "nodes/kitchen-7/temperature"), ("nodes/+/state/#", "nodes/kitchen-7/state"),
        ]
    )
    func matches(filter: String, name: String) throws {
        #expect(try TopicFilter(filter).matches(TopicName(name)))
    }

    @Test(
        "a filter does not match (the standard's examples among them)",  // [MQTT-4.7.2-1]
        arguments: [
            ("sport/tennis/+", "sport/tennis/player1/ranking"), ("sport/+", "sport"), ("+", "/finance"),
            ("#", "$SYS/x"), ("+/monitor/Clients", "$SYS/monitor/Clients"), ("#", "$"), ("+", "$SYS"), ("+/#", "$SYS"),
            ("/+", "finance"), ("ACCOUNTS", "Accounts"), ("a", "a/"), ("a/", "a"), ("a/#", "ab"), ("a/#", "b/a"),
            ("a/+/c", "a/b"), ("a/b", "a/bc"), ("a/bc", "a/b"), ("nodes/a/#", "nodes/ab/x"), ("a/b/c", "a/b"),
            ("a/b/#", "a"), ("12345678/+", "12345678"), ("12345678", "123456789"), ("123456789", "12345678"),
        ]
    )
    func doesNotMatch(filter: String, name: String) throws {
        #expect(try !TopicFilter(filter).matches(TopicName(name)))
    }

    @Test(
        "coverage is of the whole filter",
        arguments: [
            ("nodes/a/#", "nodes/#", false), ("nodes/#", "nodes/a/#", true), ("nodes/a/#", "nodes/+/x", false),
            ("nodes/+/x", "nodes/a/x", true), ("nodes/a/x", "nodes/+/x", false), ("nodes/a/#", "nodes/a", true),
            ("nodes/a/+", "nodes/a/#", false), ("nodes/a/#", "nodes/a/+", true), ("#", "#", true), ("+", "#", false),
            ("#", "$SYS/#", false), ("+/#", "$SYS/#", false), ("$SYS/#", "$SYS/+", true), ("$SYS/#", "#", false),
            ("+/#", "#", true), ("+/+/#", "#", false), ("a/+/#", "a/#", false), ("+/a", "+/a", true),
            ("nodes/a/#", "nodes/a-2/#", false), ("nodes/a/#", "nodes/+/#", false), ("#", "+/+/+", true),
        ]
    )
    func covers(filter: String, other: String, expected: Bool) throws {
        #expect(try TopicFilter(filter).covers(TopicFilter(other)) == expected)
    }

    /// Says the same as the code under test in the plainest way, by strings and recursion.
    private func reference(_ filter: ArraySlice<String>, _ name: ArraySlice<String>) -> Bool {
        guard let head = filter.first else { return name.isEmpty }
        if head == "#" { return true }
        guard let level = name.first else { return false }
        return (head == "+" || head == level) && self.reference(filter.dropFirst(), name.dropFirst())
    }

    private func referenceMatches(_ filter: [String], _ name: [String]) -> Bool {
        if let level = name.first, level.hasPrefix("$"), filter.first == "+" || filter.first == "#" { return false }
        return self.reference(filter[...], name[...])
    }

    private func sequences(of levels: [String], upTo depth: Int) -> [[String]] {
        var all: [[String]] = []
        var current: [[String]] = [[]]
        for _ in 0..<depth {
            current = current.flatMap { start in levels.map { start + [$0] } }
            all += current
        }
        return all.filter { $0 != [""] }
    }

    @Test("agrees with the plainest implementation on all small filters and topics", arguments: ["a", "long level"])
    func exhaustive(letter: String) throws {
        // One level more than the filters have, and a letter that none of them has, so that # and + show.
        let topics = self.sequences(of: ["", letter, "other", "$s"], upTo: 4)
        let names = try topics.map { try TopicName($0.joined(separator: "/")) }
        let levels = self.sequences(of: ["", letter, "$s", "+"], upTo: 3)
        let filters = levels + levels.filter { $0.count < 3 }.map { $0 + ["#"] } + [["#"]]
        let parsed = try filters.map { try TopicFilter($0.joined(separator: "/")) }
        let matched = filters.map { filter in topics.map { self.referenceMatches(filter, $0) } }
        for (index, filter) in parsed.enumerated() {
            #expect(names.map { filter.matches($0) } == matched[index], "\(filter)")
        }
        var wrong: [String] = []
        for (left, filter) in parsed.enumerated() {
            for (right, other) in parsed.enumerated() {
                let both = zip(matched[left], matched[right])
                if filter.covers(other) != both.allSatisfy({ $0 || !$1 }) { wrong.append("\(filter) covers \(other)") }
                if filter.overlaps(other) != both.contains(where: { $0 && $1 }) {
                    wrong.append("\(filter) overlaps \(other)")
                }
            }
        }
        #expect(wrong.isEmpty)
    }
}
