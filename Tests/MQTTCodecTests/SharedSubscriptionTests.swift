import MQTTCodec
import Testing

@Suite("Shared subscriptions")
struct SharedSubscriptionTests {
    @Test(
        "are taken apart",
        arguments: [
            ("$share/g/a", "g", "a"), ("$share/consumer1//finance", "consumer1", "/finance"), ("$share/g/#", "g", "#"),
            ("$share/g/+/x", "g", "+/x"), ("$share/g//", "g", "/"), ("$share/g/$share/h/a", "g", "$share/h/a"),
            ("$share/é/sport/tennis/+", "é", "sport/tennis/+"),
        ]
    )
    func good(text: String, group: String, filter: String) throws {
        let shared = try #require(try SharedSubscription.parse(TopicFilter(text)))
        #expect(shared.group.description == group)
        #expect(try shared.filter == TopicFilter(filter))
        #expect(try shared.filter.hasWildcards == TopicFilter(filter).hasWildcards)
    }

    @Test(
        "other filters are none",
        arguments: ["a", "$share", "$shared/g/a", "$SHARE/g/a", "x/$share/g/a", "+/g/a", "#"]
    )
    func none(text: String) throws {
        #expect(try SharedSubscription.parse(TopicFilter(text)) == nil)
    }

    @Test(
        "without group or filter are refused",
        arguments: [
            ("$share/", SharedSubscription.SyntaxError.emptyGroup), ("$share//a", .emptyGroup),
            ("$share//", .emptyGroup),
            ("$share/topic", .missingFilter), ("$share/g/", .missingFilter), ("$share/+/a", .wildcardInGroup),
            ("$share/#", .wildcardInGroup), ("$share/+", .wildcardInGroup),
        ]
    )
    func bad(text: String, error: SharedSubscription.SyntaxError) throws {
        let filter = try TopicFilter(text)
        #expect(throws: error) { try SharedSubscription.parse(filter) }
        #expect(!error.description.isEmpty)
    }
}
