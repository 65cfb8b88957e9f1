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
        #expect(retained.bytes == 5)
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
            retained.forEachMatch(of: try TopicFilter(filter)) { found.insert($0.topic.description) }
            return found
        }
        #expect(try topics("a/+") == ["a/1", "a/2"])
        #expect(try topics("a/1") == ["a/1"])
        #expect(try topics("#") == ["a/1", "a/2", "b/1"])
        #expect(try topics("c/#") == [])
    }

    @Test("refuses what goes over its limits, and takes a replacement at the limit")
    func limits() throws {
        var retained = RetainedMessages(limits: .init(messages: 2, bytes: 20))
        expectEqual(retained.retain(try self.message("a", "1")), .stored)
        expectEqual(retained.retain(try self.message("b", "1")), .stored)
        expectEqual(retained.retain(try self.message("c", "1")), .full)
        expectEqual(retained.retain(try self.message("b", "2")), .stored)
        expectEqual(retained.retain(try self.message("b", String(repeating: "x", count: 20))), .full)
        #expect(retained[try TopicName("b")]?.payload == ByteBuffer(string: "2"))
    }
}
