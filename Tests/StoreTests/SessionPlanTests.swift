import Broker
import NIOCore
import Testing

@testable import Store

@Suite("Session plan")
struct SessionPlanTests {
    @Test("has nothing to do for nothing")
    func empty() {
        #expect(SessionPlan([]).isEmpty)
        #expect(SessionPlan([]).removals.isEmpty)
    }

    @Test("never writes what is enqueued and dequeued again, nor that it was sent and received")
    func cancellation() {
        let plan = SessionPlan([
            .enqueue(1, 10, 5), .enqueue(1, 11, 6), .sent(session: 1, order: 10, packetID: 3),
            .received(session: 1, order: 10), .dequeue(1, 10, 5),
        ])
        #expect(plan.enqueued == [.sample(session: 1, order: 11, message: 6)])
        #expect(plan.progressed.isEmpty && plan.dequeued.isEmpty)
        #expect(plan.removals.isEmpty)
    }

    @Test("writes a new row once, as it has become")
    func folding() {
        let plan = SessionPlan([
            .open(.sample(1)), .update(session: 1, expiryInterval: 7, leftAt: 8), .enqueue(1, 10, 5),
            .sent(session: 1, order: 10, packetID: 3), .sent(session: 1, order: 10, packetID: 4),
            .received(session: 1, order: 10),
        ])
        #expect(plan.opened == [.sample(1, expiryInterval: 7, leftAt: 8)])
        #expect(plan.updated.isEmpty && plan.progressed.isEmpty)
        #expect(plan.enqueued.map(\.packetID) == [4])
        #expect(plan.enqueued.map(\.isReceived) == [true])
    }

    @Test("keeps of several changes of one thing the last")
    func lastOne() {
        let plan = SessionPlan([
            .update(session: 1, expiryInterval: 1, leftAt: 1), .update(session: 1, expiryInterval: 2, leftAt: nil),
            .subscribe(session: 1, .sample("a", qos: 0)), .subscribe(session: 1, .sample("a", qos: 2)),
            .subscribe(session: 2, .sample("a")), .unsubscribe(session: 2, filter: ByteBuffer(string: "a")),
            .hold(session: 1, packetID: 7), .free(session: 1, packetID: 7), .free(session: 1, packetID: 8),
            .hold(session: 1, packetID: 8), .will(session: 1, .sample("w")), .will(session: 1, nil),
            .sent(session: 1, order: 3, packetID: 1), .received(session: 1, order: 3),
            .sent(session: 1, order: 4, packetID: 2), .dequeue(1, 4, 4),
        ])
        #expect(plan.updated.map(\.to) == [.init(expiryInterval: 2, leftAt: nil)])
        #expect(plan.subscriptions.map(\.to) == [.sample("a", qos: 2), nil])
        #expect(plan.held.map(\.packetID) == [7, 8] && plan.held.map(\.isHeld) == [false, true])
        #expect(plan.wills.count == 1 && plan.wills[0].to == nil)
        #expect(plan.progressed.map(\.place.order) == [3])
        #expect(plan.progressed.map(\.to) == [.init(packetID: 1, isReceived: true)])
        #expect(plan.dequeued.map(\.place.order) == [4])
    }

    @Test("does nothing to a session that ends but to end it")
    func end() {
        let changes: [SessionChange] = [
            .open(.sample(1)), .subscribe(session: 1, .sample("a")), .enqueue(1, 10, 5), .dequeue(1, 2, 2),
            .hold(session: 1, packetID: 7), .will(session: 1, .sample("w")),
            .update(session: 1, expiryInterval: 2, leftAt: nil), .end(session: 1),
            .sent(session: 1, order: 2, packetID: 1),
            .end(session: 1), .open(.sample(2)),
        ]
        let plan = SessionPlan(changes)
        #expect(plan == SessionPlan([.end(session: 1), .open(.sample(2))]))
        #expect(plan.ended == [1])
        #expect(plan.opened == [.sample(2)])
    }

    @Test("tells queues, identifiers and filters of different sessions apart")
    func sessionsApart() {
        let plan = SessionPlan([
            .enqueue(1, 10, 5), .enqueue(2, 10, 5), .dequeue(1, 10, 5), .hold(session: 1, packetID: 1),
            .free(session: 2, packetID: 1), .subscribe(session: 2, .sample("a")), .subscribe(session: 1, .sample("a")),
        ])
        #expect(plan.enqueued.map(\.session) == [2])
        #expect(plan.held.map(\.isHeld) == [true, false])
        #expect(plan.subscriptions.map(\.session) == [1, 2])
    }

    @Test("compares filters by their bytes, wherever they are in their storage")
    func windows() {
        let storage = ByteBuffer(string: "aabb")
        func filter(_ index: Int) -> ByteBuffer { storage.getSlice(at: index, length: 2) ?? ByteBuffer() }
        let plan = SessionPlan([
            .unsubscribe(session: 1, filter: filter(0)), .unsubscribe(session: 1, filter: filter(2)),
            .unsubscribe(session: 1, filter: filter(0)),
        ])
        #expect(plan.subscriptions.map { String(buffer: $0.filter) } == ["aa", "bb"])
    }

    @Test("owes removals only, the ends last, and nothing that is taken back")
    func removals() {
        let plan = SessionPlan([
            .end(session: 9), .open(.sample(1)), .enqueue(1, 10, 5), .dequeue(2, 3, 3), .free(session: 2, packetID: 4),
            .free(session: 2, packetID: 5), .hold(session: 2, packetID: 5),
            .unsubscribe(session: 2, filter: ByteBuffer(string: "a")),
            .unsubscribe(session: 2, filter: ByteBuffer(string: "b")), .subscribe(session: 2, .sample("b")),
        ])
        let owed: [SessionChange] = [
            .dequeue(2, 3, 3), .free(session: 2, packetID: 4),
            .unsubscribe(session: 2, filter: ByteBuffer(string: "a")),
            .end(session: 9),
        ]
        #expect(plan.removals == owed)
        #expect(SessionPlan(owed).removals == owed)
    }
}
