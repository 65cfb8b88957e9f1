import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Outbound window")
struct OutboundWindowTests {
    private func message(_ text: String) throws -> Message {
        Message(topic: try TopicName("t"), payload: ByteBuffer(string: text), qos: .atLeastOnce, retain: false)
    }

    private func offer(_ text: String, to window: inout OutboundWindow, canSend: Bool = true) throws
        -> OutboundWindow.Offer
    {
        window.offer(try self.message(text), canSend: canSend)
    }

    private func acknowledge(_ packetID: UInt16, _ window: inout OutboundWindow) -> Bool {
        window.acknowledged(packetID)
    }

    private func next(_ window: inout OutboundWindow) -> String? {
        window.next().map { String(buffer: $0.message.payload) }
    }

    @Test("sends up to its limit, queues the rest, and goes on with each acknowledgement, in order")
    func order() throws {
        var window = OutboundWindow(limits: .init(inFlight: 2, queuedMessages: 10, queuedBytes: 1000))
        #expect(try self.offer("1", to: &window, canSend: true) == .send(packetID: 1))
        #expect(try self.offer("2", to: &window, canSend: true) == .send(packetID: 2))
        #expect(try self.offer("3", to: &window, canSend: true) == .queued)
        #expect(try self.offer("4", to: &window, canSend: true) == .queued)
        #expect(self.next(&window) == nil)
        #expect(self.acknowledge(1, &window))
        #expect(self.next(&window) == "3")
        #expect(self.next(&window) == nil)
        // What comes now must not overtake what waits.
        #expect(self.acknowledge(2, &window))
        #expect(try self.offer("5", to: &window, canSend: true) == .queued)
        #expect(self.next(&window) == "4")
        #expect(self.acknowledge(3, &window))
        #expect(self.next(&window) == "5")
    }

    @Test("drops past its limits of messages and bytes")
    func limits() throws {
        var window = OutboundWindow(limits: .init(inFlight: 1, queuedMessages: 2, queuedBytes: 8))
        #expect(try self.offer("1", to: &window, canSend: false) == .queued)
        #expect(try self.offer("123456789", to: &window, canSend: false) == .dropped)
        #expect(try self.offer("2", to: &window, canSend: false) == .queued)
        #expect(try self.offer("3", to: &window, canSend: false) == .dropped)
        #expect(window.queuedCount == 2)
    }

    @Test("bounds the bytes in flight, but always sends one message")
    func bytesInFlight() throws {
        var window = OutboundWindow(limits: .init(inFlight: 10, inFlightBytes: 8))
        #expect(try self.offer("1234567890", to: &window) == .send(packetID: 1))
        #expect(try self.offer("a", to: &window) == .queued)
        #expect(try self.offer("1234567890", to: &window) == .queued)
        #expect(self.next(&window) == nil)
        #expect(self.acknowledge(1, &window))
        #expect(self.next(&window) == "a")
        #expect(self.next(&window) == nil)
        #expect(window.bytes == 2 + 11)
        #expect(self.acknowledge(2, &window))
        #expect(self.next(&window) == "1234567890")
        #expect(self.acknowledge(3, &window))
        #expect(window.isEmpty && window.bytes == 0)
    }

    @Test("queues nothing that it may not queue, and still sends")
    func mayNotQueue() throws {
        var window = OutboundWindow(limits: .init(inFlight: 1))
        #expect(window.offer(try self.message("1"), canSend: true, mayQueue: false) == .send(packetID: 1))
        #expect(window.offer(try self.message("2"), canSend: true, mayQueue: false) == .dropped)
        window.removeAll()
        #expect(window.isEmpty && window.bytes == 0)
    }

    @Test("ignores the acknowledgement of what is not in flight")
    func unknown() throws {
        var window = OutboundWindow()
        #expect(!self.acknowledge(7, &window))
        #expect(try self.offer("1", to: &window, canSend: true) == .send(packetID: 1))
        #expect(self.acknowledge(1, &window))
        #expect(!self.acknowledge(1, &window))
        #expect(window.isEmpty)
    }

    @Test("never gives a packet identifier that is in flight, also past 65,535 [MQTT-2.3.1-2]")
    func wrapsAround() throws {
        var window = OutboundWindow(limits: .init(inFlight: 2))
        #expect(try self.offer("held", to: &window, canSend: true) == .send(packetID: 1))
        var last: UInt16 = 1
        for _ in 0..<70_000 {
            guard case .send(let packetID) = window.offer(try self.message("x"), canSend: true) else {
                Issue.record("no room")
                return
            }
            #expect(packetID != 1 && packetID != 0 && packetID != last)
            last = packetID
            #expect(self.acknowledge(packetID, &window))
        }
    }
}
