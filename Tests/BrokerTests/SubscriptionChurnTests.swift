import Broker
import MQTTCodec
import TestSupport
import Testing

@Suite("The subscription table")
struct SubscriptionChurnTests {
    /// A client, as the test thinks that the broker has it.
    private struct Client {
        var opened: Opened?
        var filters: Set<String> = []
    }

    private static let filters = [
        "a", "a/b", "a/#", "a/+", "+/b", "#", "$share/g/a", "$share/g/a/#", "$share/g/#", "$share/h/a", "$share/h/+/b",
        "$share/g/a/b", "a/b/c/d/e", "$share/h/a/b/c/d/e", "/", "$share/g//",
    ]

    @Test(
        "holds exactly what is subscribed, whatever comes in whatever order, and nothing in the end (CVE-2024-8376)",
        arguments: [1, 8_376, 20_261_126] as [UInt64]
    )
    func randomOrders(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let broker = LocalBroker()
        var clients = [Client](repeating: Client(), count: 6)
        for step in 0..<5_000 {
            let index = Int.random(in: 0..<clients.count, using: &random)
            let filter = Self.filters[Int.random(in: 0..<Self.filters.count, using: &random)]
            switch Int.random(in: 0..<20, using: &random) {
            case 0, 1:
                // CONNECT, also where there is a connection already.
                let isClean = Bool.random(using: &random)
                let expiry: UInt32 = Bool.random(using: &random) ? 0 : 60
                let opened = try #require(try broker.connect("\(index)", cleanStart: isClean, expiry: expiry))
                if !opened.isPresent { clients[index].filters = [] }
                clients[index].opened = opened
            case 2, 3:
                guard let opened = clients[index].opened else { continue }
                broker.leave(opened)
                if opened.session.hasEnded { clients[index] = Client() }
            case 4..<11:
                guard let opened = clients[index].opened, !opened.session.hasEnded else { continue }
                let outcome = try broker.subscribe(opened.session, filter, .init(qos: .atLeastOnce))
                #expect(outcome == (clients[index].filters.insert(filter).inserted ? .new : .replaced))
            case 11..<16:
                guard let opened = clients[index].opened, !opened.session.hasEnded else { continue }
                let wasThere = broker.unsubscribe(opened.session, from: try TopicFilter(filter))
                #expect(wasThere == (clients[index].filters.remove(filter) != nil))
            default: try broker.publish("\(step)", on: ["a", "a/b", "a/b/c/d/e", "/", "x"][step % 5])
            }
            let expected = clients.reduce(0) { $0 + $1.filters.count }
            try #require(broker.subscriptionCount == expected, "step \(step)")
        }
        for (index, client) in clients.enumerated() {
            if let opened = client.opened { broker.leave(opened) }
            let last = try #require(try broker.connect("\(index)", cleanStart: true, expiry: 0))
            broker.leave(last)
        }
        #expect(broker.subscriptionCount == 0 && broker.sessionCount == 0)
        #expect(!broker.hasSubscribers(below: "a"))
    }
}
