import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Outbound window")
struct OutboundWindowTests {
    private func message(_ text: String) throws -> Message {
        Message(topic: try TopicName("t"), payload: ByteBuffer(string: text), qos: .atLeastOnce, retain: false)
    }

    @Test("sends up to its limit, queues the rest, and goes on with each acknowledgement, in order")
    func order() throws {
        var window = OutboundWindow(limits: .init(inFlight: 2, queuedMessages: 10, queuedBytes: 1000))
        #expect(window.offer(try self.message("1"), canSend: true) == .send(packetID: 1))
        #expect(window.offer(try self.message("2"), canSend: true) == .send(packetID: 2))
        #expect(window.offer(try self.message("3"), canSend: true) == .queued)
        #expect(window.offer(try self.message("4"), canSend: true) == .queued)
        #expect(window.next() == nil)
        #expect(window.acknowledged(1))
        #expect(window.next()?.message.payload == ByteBuffer(string: "3"))
        #expect(window.next() == nil)
        // What comes now must not overtake what waits.
        #expect(window.acknowledged(2))
        #expect(window.offer(try self.message("5"), canSend: true) == .queued)
        #expect(window.next()?.message.payload == ByteBuffer(string: "4"))
        #expect(window.acknowledged(3))
        #expect(window.next()?.message.payload == ByteBuffer(string: "5"))
    }

    @Test("drops past its limits of messages and bytes")
    func limits() throws {
        var window = OutboundWindow(limits: .init(inFlight: 1, queuedMessages: 2, queuedBytes: 8))
        #expect(window.offer(try self.message("1"), canSend: false) == .queued)
        #expect(window.offer(try self.message("123456789"), canSend: false) == .dropped)
        #expect(window.offer(try self.message("2"), canSend: false) == .queued)
        #expect(window.offer(try self.message("3"), canSend: false) == .dropped)
        #expect(window.queuedCount == 2)
    }

    @Test("ignores the acknowledgement of what is not in flight")
    func unknown() throws {
        var window = OutboundWindow()
        #expect(!window.acknowledged(7))
        #expect(window.offer(try self.message("1"), canSend: true) == .send(packetID: 1))
        #expect(window.acknowledged(1))
        #expect(!window.acknowledged(1))
        #expect(window.isEmpty)
    }

    @Test("never gives a packet identifier that is in flight, also past 65,535 [MQTT-2.3.1-2]")
    func wrapsAround() throws {
        var window = OutboundWindow(limits: .init(inFlight: 2))
        #expect(window.offer(try self.message("held"), canSend: true) == .send(packetID: 1))
        var last: UInt16 = 1
        for _ in 0..<70_000 {
            guard case .send(let packetID) = window.offer(try self.message("x"), canSend: true) else {
                Issue.record("no room")
                return
            }
            #expect(packetID != 1 && packetID != 0 && packetID != last)
            last = packetID
            #expect(window.acknowledged(packetID))
        }
    }
}
