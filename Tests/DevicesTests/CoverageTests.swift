import Devices
import MQTTCodec
import Testing

/// All filters and topics of a small world, held against each other.
@Suite("Coverage, by trying everything")
struct CoverageTests {
    static let filters = Self.paths(of: ["a", "+", "$x", "#"], depth: 3).compactMap { try? TopicFilter($0) }
    static let topics = Self.paths(of: ["a", "b", "$x", ""], depth: 4).compactMap { try? TopicName($0) }

    static func paths(of levels: [String], depth: Int) -> [String] {
        var all = levels
        var last = levels
        for _ in 1..<depth {
            last = last.flatMap { path in levels.map { path + "/" + $0 } }
            all += last
        }
        return all
    }

    @Test("an allowed subscription never brings a topic that the line which allows it does not match")
    func sound() throws {
        let matched = Self.filters.map { filter in Self.topics.map(filter.matches) }
        for (wide, wideMatches) in zip(Self.filters, matched) {
            let policy = try Profile.make(subscribe: [wide.description]).policy()
            for (filter, matches) in zip(Self.filters, matched)
            where policy.decide(subscribe: filter).isAllowed {
                let isHole = zip(matches, wideMatches).contains { $0 && !$1 }
                #expect(!isHole, "\(wide) allows \(filter)")
            }
        }
    }

    @Test("a template matches exactly the topics that its filter matches")
    func patterns() throws {
        for filter in Self.filters {
            let pattern = try TopicTemplate(filter.description).pattern(gateway: "attic")
            for topic in Self.topics where pattern.matches(topic) != filter.matches(topic) {
                Issue.record("\(filter) and \(topic)")
            }
        }
    }

    @Test("filters overlap exactly if some topic is matched by both")
    func overlaps() {
        let matched = Self.filters.map { filter in Self.topics.map(filter.matches) }
        for (first, firstMatches) in zip(Self.filters, matched) {
            for (second, secondMatches) in zip(Self.filters, matched) {
                let isShared = zip(firstMatches, secondMatches).contains { $0 && $1 }
                #expect(first.overlaps(second) == isShared, "\(first) and \(second)")
            }
        }
    }

    @Test("a route maps every topic of `from`, and only those, to one of `to`, no two to the same")
    func routes() throws {
        for filter in Self.filters {
            let route = try Route.make(.out, filter.description, "out/" + filter.description).compile(gateway: "attic")
            var targets: Set<TopicName> = []
            for topic in Self.topics {
                let mapped = route.mapTopic(topic)
                #expect((mapped != nil) == filter.matches(topic), "\(filter) and \(topic)")
                guard let mapped else { continue }
                #expect(route.target.matches(mapped))
                #expect(targets.insert(mapped).inserted, "\(filter): \(topic) becomes \(mapped) as another does")
            }
        }
    }
}
