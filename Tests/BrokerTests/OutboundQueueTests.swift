import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Outbound queue")
struct OutboundQueueTests {
    private func entry(_ text: String, order: Int64 = 0) throws -> OutboundQueue.Entry {
        let kept = KeptMessage(try message(text, on: "t"))
        return OutboundQueue.Entry(kept: kept, order: order, qos: .atLeastOnce, retain: false, identifiers: [])
    }

    private func fill(_ queue: inout OutboundQueue, _ texts: String...) throws {
        for text in texts { queue.append(try self.entry(text)) }
    }

    /// Sends what may be sent, and says what that was.
    private func send(_ queue: inout OutboundQueue) -> [String] {
        var sent: [String] = []
        while let next = queue.next {
            if next.packetID == 0 { queue.assignPacketIDs { _ in 0 } }
            sent.append(String(buffer: next.kept.message.payload))
            queue.advance()
        }
        return sent
    }

    @Test("sends up to its limit, and goes on with each acknowledgement, in order [MQTT-4.6.0-6]")
    func order() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 2))
        try self.fill(&queue, "1", "2", "3", "4")
        #expect(self.send(&queue) == ["1", "2"])
        #expect(queue.inFlightCount == 2 && queue.queuedCount == 2)
        queue.remove(at: try #require(queue.index(of: 1)))
        #expect(self.send(&queue) == ["3"])
        queue.remove(at: try #require(queue.index(of: 3)))
        queue.remove(at: try #require(queue.index(of: 2)))
        #expect(self.send(&queue) == ["4"])
        #expect(queue.index(of: 1) == nil)
    }

    @Test("never has more at the client than its Receive Maximum, also after a reconnection [MQTT-3.3.4-9]")
    func receiveMaximum() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 10))
        try self.fill(&queue, "1", "2", "3", "4")
        #expect(self.send(&queue) == ["1", "2", "3", "4"])
        queue.rewind(receiveMaximum: 1)
        #expect(self.send(&queue) == ["1"])
        #expect(queue.index(of: 2) == nil)
        queue.remove(at: try #require(queue.index(of: 1)))
        #expect(self.send(&queue) == ["2"])
    }

    @Test("gives up what was never sent if asked to, and nothing that the client may have")
    func unsent() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 2))
        try self.fill(&queue, "1", "2", "3", "4", "3")
        #expect(self.send(&queue) == ["1", "2"])
        let removed = queue.removeUnsent { ["2", "3"].contains(String(buffer: $0.kept.message.payload)) }
        #expect(removed.count == 2 && queue.count == 3 && queue.inFlightCount == 2)
        #expect(queue.bytes == 3 * removed[0].kept.message.size)
        queue.rewind()
        #expect(queue.removeUnsent { _ in true }.map { String(buffer: $0.kept.message.payload) } == ["4"])
        #expect(self.send(&queue) == ["1", "2"] && queue.count == 2)
    }

    @Test("sends again what was not acknowledged, first, in order, under its packet identifiers [MQTT-4.4.0-1]")
    func rewinds() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 2))
        try self.fill(&queue, "1", "2", "3")
        #expect(self.send(&queue) == ["1", "2"])
        queue.rewind()
        #expect(queue[0].wasSent && queue[1].wasSent && !queue[2].wasSent)
        #expect(self.send(&queue) == ["1", "2"])
        #expect(queue[0].packetID == 1 && queue[1].packetID == 2)
    }

    @Test("bounds what waits, by messages and bytes")
    func limits() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 1, queuedMessages: 2, queuedBytes: 8))
        #expect(queue.canSend(size: 100))
        try self.fill(&queue, "1")
        #expect(!queue.canSend(size: 1))
        #expect(queue.canQueue(size: 6) && !queue.canQueue(size: 7))
        try self.fill(&queue, "2")
        #expect(!queue.canQueue(size: 1))
        #expect(self.send(&queue) == ["1"])
        #expect(queue.canQueue(size: 6) && !queue.canQueue(size: 7))
    }

    @Test("bounds the bytes at the client, but always sends one message")
    func bytesInFlight() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 10, inFlightBytes: 8))
        try self.fill(&queue, "1234567890", "a", "b")
        #expect(self.send(&queue) == ["1234567890"])
        queue.remove(at: 0)
        #expect(self.send(&queue) == ["a", "b"])
        #expect(queue.bytes == 4)
    }

    @Test("gives no packet identifier twice while it is in use, and never zero [MQTT-2.2.1-3], [MQTT-2.2.1-4]")
    func packetIDs() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 3))
        try self.fill(&queue, "stays")
        #expect(self.send(&queue) == ["stays"])
        var seen: Set<UInt16> = []
        for _ in 0..<70_000 {
            let packetID = queue.unusedPacketID()
            #expect(packetID > 1)
            seen.insert(packetID)
        }
        #expect(seen.count == 65_534)
    }

    @Test("gives identifiers ahead only as far as the window reaches")
    func ahead() throws {
        var queue = OutboundQueue(limits: .init(inFlight: 2))
        try self.fill(&queue, "1", "2", "3")
        var given: [String] = []
        queue.assignPacketIDs {
            given.append(String(buffer: $0.kept.message.payload))
            return 7
        }
        #expect(given == ["1", "2"])
        #expect(queue[1].batch == 7 && queue[2].packetID == 0)
    }
}
