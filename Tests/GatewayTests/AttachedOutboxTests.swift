import MQTTCodec
import NIOCore
import Testing

@testable import Gateway

@Suite("What waits for an attached broker")
struct AttachedOutboxTests {
    private let session: TopicName
    private let data: TopicName

    init() throws {
        self.session = try TopicName("nodes/a/sessionID")
        self.data = try TopicName("opened/nodes/a/data")
    }

    /// Sends everything, from `sequence` on.
    private func send(_ outbox: inout AttachedOutbox, from sequence: Int64 = 1) -> [String] {
        var sent: [String] = []
        while let item = outbox.first {
            outbox.sentFirst(sequence: sequence + Int64(sent.count))
            sent.append(String(buffer: item.payload) + (item.retain ? "*" : ""))
        }
        return sent
    }

    @Test("session IDs go first and retained, and of each topic only those that are valid at once")
    func sessionIDs() throws {
        var outbox = AttachedOutbox(maxMessages: 10, maxBytes: 10_000)
        let other = try TopicName("nodes/b/sessionID")
        #expect(outbox.append(topic: self.data, payload: ByteBuffer(string: "m")) == 0)
        for id in 1...5 {
            outbox.append(sessionID: ByteBuffer(string: "a\(id)"), topic: self.session, limit: 2)
            outbox.append(sessionID: ByteBuffer(string: "b\(id)"), topic: other, limit: 1)
        }
        #expect(self.send(&outbox) == ["a4*", "a5*", "b5*", "m"])
        #expect(outbox.isEmpty)
    }

    @Test("over its limits the oldest messages go, and count as done")
    func limits() {
        var outbox = AttachedOutbox(maxMessages: 3, maxBytes: 10_000)
        var dropped = 0
        for number in 1...5 { dropped += outbox.append(topic: self.data, payload: ByteBuffer(string: "\(number)")) }
        #expect(dropped == 2)
        #expect(outbox.isDone(2))
        #expect(!outbox.isDone(3))
        #expect(self.send(&outbox) == ["3", "4", "5"])
        var small = AttachedOutbox(maxMessages: 10, maxBytes: 300)
        #expect(small.append(topic: self.data, payload: ByteBuffer(repeating: 0, count: 1000)) == 0)
        #expect(small.append(topic: self.data, payload: ByteBuffer(string: "x")) == 1)
    }

    @Test("a message is done when the broker has acknowledged it and all before it")
    func done() {
        var outbox = AttachedOutbox(maxMessages: 10, maxBytes: 10_000)
        for number in 1...3 { _ = outbox.append(topic: self.data, payload: ByteBuffer(string: "\(number)")) }
        #expect(outbox.lastNumber == 3)
        #expect(self.send(&outbox, from: 100).count == 3)
        #expect(!outbox.isDone(1))
        outbox.acknowledged(through: 101)
        #expect(outbox.isDone(2))
        #expect(!outbox.isDone(3))
        outbox.acknowledged(through: 200)
        #expect(outbox.isDone(3))
    }

    @Test("a lost connection forgets session IDs, and keeps messages")
    func lost() {
        var outbox = AttachedOutbox(maxMessages: 10, maxBytes: 10_000)
        outbox.append(sessionID: ByteBuffer(string: "a"), topic: self.session, limit: 1)
        _ = outbox.append(topic: self.data, payload: ByteBuffer(string: "m"))
        outbox.forgetSessionIDs()
        #expect(self.send(&outbox) == ["m"])
    }

    @Test("what the gateway sent is told once when it comes back, by topic and payload")
    func echoes() {
        var echoes = EchoFilter()
        let on = ByteBuffer(string: "on")
        let now = NIODeadline.now()
        #expect(!echoes.takes(self.data, on))
        echoes.expect(self.data, on, now: now)
        echoes.expect(self.data, on, now: now)
        #expect(!echoes.takes(self.data, ByteBuffer(string: "off")))
        #expect(!echoes.takes(self.session, on))
        #expect(echoes.takes(self.data, on))
        #expect(echoes.takes(self.data, on))
        #expect(!echoes.takes(self.data, on))
        // One that never came back is given up.
        echoes.expect(self.data, on, now: now)
        echoes.expect(self.session, on, now: now + .minutes(11))
        #expect(!echoes.takes(self.data, on))
        #expect(echoes.takes(self.session, on))
    }
}
