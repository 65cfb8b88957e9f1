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
        var outbox = AttachedOutbox(maxCommands: 10, maxBytes: 10_000)
        let other = try TopicName("nodes/b/sessionID")
        outbox.append(topic: self.data, payload: ByteBuffer(string: "m"))
        for id in 1...5 {
            outbox.append(sessionID: ByteBuffer(string: "a\(id)"), topic: self.session, limit: 2)
            outbox.append(sessionID: ByteBuffer(string: "b\(id)"), topic: other, limit: 1)
        }
        let sent = self.send(&outbox)
        #expect(sent == ["a4*", "a5*", "b5*", "m"])
        #expect(outbox.isEmpty)
    }

    @Test("knows whether there is room, by bytes for all and by number for commands")
    func limits() {
        var outbox = AttachedOutbox(maxCommands: 2, maxBytes: 1000)
        outbox.append(topic: self.data, payload: ByteBuffer(string: "on"), isCommand: true)
        #expect(outbox.hasRoomForCommand)
        outbox.append(topic: self.data, payload: ByteBuffer(string: "off"), isCommand: true)
        #expect(!outbox.hasRoomForCommand)
        #expect(outbox.hasRoom)
        outbox.append(topic: self.data, payload: ByteBuffer(repeating: 0, count: 1000))
        #expect(!outbox.hasRoom)
        _ = self.send(&outbox)
        #expect(outbox.hasRoomForCommand)
    }

    @Test("a message is done when the broker has acknowledged it and all before it")
    func done() {
        var outbox = AttachedOutbox(maxCommands: 10, maxBytes: 10_000)
        for number in 1...3 { outbox.append(topic: self.data, payload: ByteBuffer(string: "\(number)")) }
        #expect(outbox.lastNumber == 3)
        _ = self.send(&outbox, from: 100)
        #expect(!outbox.isDone(1))
        outbox.acknowledged(101)
        #expect(!outbox.isDone(1))
        outbox.acknowledged(100)
        #expect(outbox.isDone(2))
        #expect(!outbox.isDone(3))
        outbox.acknowledged(200)
        #expect(!outbox.isDone(3))
        outbox.acknowledged(102)
        #expect(outbox.isDone(3))
    }

    @Test("a lost connection forgets session IDs, and keeps messages")
    func lost() {
        var outbox = AttachedOutbox(maxCommands: 10, maxBytes: 10_000)
        outbox.append(sessionID: ByteBuffer(string: "a"), topic: self.session, limit: 1)
        outbox.append(topic: self.data, payload: ByteBuffer(string: "m"))
        outbox.forgetSessionIDs()
        let sent = self.send(&outbox)
        #expect(sent == ["m"])
    }

    @Test("what the gateway sent is told once when it comes back, by topic and payload")
    func echoes() {
        var echoes = EchoFilter()
        let (on, off) = (ByteBuffer(string: "on"), ByteBuffer(string: "off"))
        let now = NIODeadline.now()
        func told(_ topic: TopicName, _ payload: ByteBuffer) -> Bool { echoes.takes(topic, payload) }
        #expect(!told(self.data, on))
        echoes.expect(self.data, on, now: now)
        echoes.expect(self.data, on, now: now)
        #expect(!told(self.data, off))
        #expect(!told(self.session, on))
        #expect(told(self.data, on))
        #expect(told(self.data, on))
        #expect(!told(self.data, on))
        // One that never came back is given up.
        echoes.expect(self.data, on, now: now)
        echoes.expect(self.session, on, now: now + .minutes(11))
        #expect(!told(self.data, on))
        #expect(told(self.session, on))
    }
}
