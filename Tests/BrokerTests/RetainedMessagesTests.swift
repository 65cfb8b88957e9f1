import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Retained messages")
struct RetainedMessagesTests {
    private func message(_ topic: String, _ payload: String) throws -> Message {
        Message(
            topic: try TopicName(topic),
            payload: ByteBuffer(string: payload),
            qos: .atLeastOnce,
            retain: true,
            publisher: "kitchen"
        )
    }

    private func expectEqual(
        _ outcome: RetainedMessages.Outcome,
        _ expected: RetainedMessages.Outcome,
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome == expected, sourceLocation: location)
    }

    @Test("keeps the last message of a topic, and an empty one clears it")
    func keepsLast() throws {
        var retained = RetainedMessages()
        expectEqual(retained.retain(try self.message("a/b", "1")), .stored)
        expectEqual(retained.retain(try self.message("a/b", "22")), .stored)
        #expect(retained.count == 1)
        #expect(retained.bytes == 5 + 2 * 100)
        #expect(retained[try TopicName("a/b")]?.payload == ByteBuffer(string: "22"))
        expectEqual(retained.retain(try self.message("a/b", "")), .cleared)
        expectEqual(retained.retain(try self.message("a/b", "")), .unchanged)
        #expect(retained.count == 0)
        #expect(retained.bytes == 0)
    }

    @Test("serves what a filter matches")
    func serves() throws {
        var retained = RetainedMessages()
        for topic in ["a/1", "a/2", "b/1", "$x/1"] { _ = retained.retain(try self.message(topic, topic)) }
        func topics(_ filter: String) throws -> Set<String> {
            var found: Set<String> = []
            retained.forEachMatch(of: try TopicFilter(filter)) { found.insert($0.message.topic.description) }
            return found
        }
        #expect(try topics("a/+") == ["a/1", "a/2"])
        #expect(try topics("a/1") == ["a/1"])
        #expect(try topics("#") == ["a/1", "a/2", "b/1"])
        #expect(try topics("+/1") == ["a/1", "b/1"])
        #expect(try topics("$x/#") == ["$x/1"])
        _ = retained.retain(try self.message("a", "parent"))
        #expect(try topics("a/#") == ["a", "a/1", "a/2"])
        #expect(try topics("c/#") == [])
    }

    @Test("refuses what goes over its limits, and takes a replacement at the limit")
    func limits() throws {
        var retained = RetainedMessages(limits: .init(messages: 2, bytes: 220))
        expectEqual(retained.retain(try self.message("a", "1")), .stored)
        expectEqual(retained.retain(try self.message("b", "1")), .stored)
        expectEqual(retained.retain(try self.message("c", "1")), .full)
        expectEqual(retained.retain(try self.message("b", "2")), .stored)
        expectEqual(retained.retain(try self.message("b", String(repeating: "x", count: 20))), .full)
        #expect(retained[try TopicName("b")]?.payload == ByteBuffer(string: "2"))
    }

    @Test("serves nothing that has expired, and forgets it [MQTT-3.3.2-5]")
    func expires() throws {
        var retained = RetainedMessages()
        let now = NIODeadline.now()
        for (topic, expiry) in [("old", now - .seconds(1)), ("new", now + .hours(1)), ("for-ever", nil)] {
            var message = try self.message(topic, "1")
            message.expiry = expiry
            expectEqual(retained.retain(message), .stored)
        }
        var found: Set<String> = []
        retained.forEachMatch(of: try TopicFilter("#")) { found.insert($0.message.topic.description) }
        #expect(found == ["new", "for-ever"])
        let (old, new) = (try TopicName("old"), try TopicName("new"))
        #expect(retained[old] == nil && retained[new] != nil)
        let expired = retained.expire(now: now).map(\.description)
        #expect(expired == ["old"])
        #expect(retained.count == 2)
        let later = retained.expire(now: now + .hours(2)).map(\.description)
        #expect(later == ["new"])
    }

    @Test("holds one publisher to its share, and leaves the rest to others")
    func perPublisher() throws {
        var retained = RetainedMessages(limits: .init(messagesPerPublisher: 1))
        expectEqual(retained.retain(try self.message("a", "1")), .stored)
        #expect(!retained.hasRoom(for: try self.message("b", "1")))
        expectEqual(retained.retain(try self.message("b", "1")), .full)
        expectEqual(retained.retain(try self.message("a", "2")), .stored)
        var other = try self.message("b", "1")
        other.publisher = "shed"
        expectEqual(retained.retain(other), .stored)
        expectEqual(retained.retain(try self.message("a", "")), .cleared)
        expectEqual(retained.retain(try self.message("c", "1")), .stored)
    }
}
