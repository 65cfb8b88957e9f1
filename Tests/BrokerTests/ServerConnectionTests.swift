import Broker
import MQTTCodec
import NIOCore
import Testing

@Suite("Server connection")
struct ServerConnectionTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let connect = "10 10 0004 4d515454 04 02 000a 0004 6e6f6465"

    private static func frame(_ hex: String) throws -> MQTTFrame {
        var buffer = ByteBuffer(bytes: Self.bytes(hex))
        let decoder = MQTTFrameDecoder(maxPacketSize: 1 << 20)
        return try #require(try decoder.nextFrame(&buffer))
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.filter { $0 != " " }.utf8.map { UInt8($0 > 0x39 ? $0 - 0x57 : $0 - 0x30) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private func connected(_ hex: String = connect, maxKeepAlive: UInt16 = 3600) throws -> ServerConnection {
        var machine = ServerConnection(now: Self.start)
        guard case .connect(let connect) = machine.received(try Self.frame(hex), now: Self.start) else {
            throw MissingConnect()
        }
        machine.accept(connect, maxKeepAlive: maxKeepAlive)
        return machine
    }

    private struct MissingConnect: Error {}

    @Test(
        "lets nothing come before CONNECT",
        arguments: [
            "c000", "e000", "30 05 0001 61 3132", "82 06 0001 0001 61 00", "4002 0001", "2002 0000", "d000",
        ]
    )
    func firstPacket(_ hex: String) throws {
        var machine = ServerConnection(now: Self.start)
        guard case .close(.protocolError) = machine.received(try Self.frame(hex), now: Self.start) else {
            Issue.record("\(hex) did not close")
            return
        }
        // And it stays closed, whatever comes behind.
        guard case .none = machine.received(try Self.frame(Self.connect), now: Self.start) else {
            Issue.record("a closed connection took a CONNECT")
            return
        }
    }

    @Test(
        "closes on what a connected client may not send",
        arguments: [
            connect, "2002 0000", "9003 0001 00", "b002 0001", "d000", "5002 0001", "7002 0001",
        ]
    )
    func wrongPacket(_ hex: String) throws {
        var machine = try self.connected()
        guard case .close = machine.received(try Self.frame(hex), now: Self.start) else {
            Issue.record("\(hex) did not close")
            return
        }
        #expect(!machine.isConnected)
    }

    @Test("hands out what a client may send")
    func events() throws {
        var machine = try self.connected()
        func event(_ hex: String) throws -> ServerConnection.Event {
            machine.received(try Self.frame(hex), now: Self.start)
        }
        guard case .publish(let publish) = try event("32 07 0001 61 0007 3132") else { throw MissingConnect() }
        #expect(publish.packetID == 7 && publish.qos == .atLeastOnce)
        guard case .publish(let second) = try event("34 07 0001 61 0008 3132") else { throw MissingConnect() }
        #expect(second.qos == .exactlyOnce)
        guard case .release(8) = try event("6202 0008") else { throw MissingConnect() }
        guard case .acknowledged(9) = try event("4002 0009") else { throw MissingConnect() }
        guard case .subscribe(let subscribe) = try event("82 06 0001 0001 61 01") else { throw MissingConnect() }
        #expect(subscribe.subscriptions.count == 1)
        guard case .unsubscribe = try event("a2 05 0001 0001 61") else { throw MissingConnect() }
        guard case .ping = try event("c000") else { throw MissingConnect() }
        guard case .close(.disconnected) = try event("e000") else { throw MissingConnect() }
    }

    @Test(
        "answers an unknown protocol level and 5.0 with their own refusal",
        arguments: [
            "10 10 0004 4d515454 06 02 000a 0004 6e6f6465", "10 11 0004 4d515454 05 02 000a 00 0004 6e6f6465",
        ]
    )
    func unsupported(_ hex: String) throws {
        var machine = ServerConnection(now: Self.start)
        guard case .close(.unsupportedProtocol) = machine.received(try Self.frame(hex), now: Self.start) else {
            Issue.record("not refused as unsupported")
            return
        }
    }

    @Test("is dead after one and a half times the keep alive, and not before [MQTT-3.1.2-24]")
    func keepAlive() throws {
        var machine = try self.connected()
        let deadline = try #require(machine.deadline)
        #expect(deadline == Self.start + .seconds(15))
        guard case .none = machine.tick(now: deadline - .nanoseconds(1)) else { throw MissingConnect() }
        guard case .ping = machine.received(try Self.frame("c000"), now: deadline - .nanoseconds(1)) else {
            throw MissingConnect()
        }
        guard case .none = machine.tick(now: deadline) else { throw MissingConnect() }
        let next = try #require(machine.deadline)
        guard case .close(.keepAliveExpired) = machine.tick(now: next) else { throw MissingConnect() }
    }

    @Test("does not hold silence against a client that was not listened to")
    func touched() throws {
        var machine = try self.connected()
        let deadline = try #require(machine.deadline)
        machine.touch(now: deadline)
        guard case .none = machine.tick(now: deadline) else { throw MissingConnect() }
        #expect(machine.deadline == deadline + .seconds(15))
        machine.touch(now: Self.start)
        #expect(machine.deadline == deadline + .seconds(15))
    }

    @Test("closes on a packet with more filters than one packet may have", arguments: [2, 3])
    func filters(count: Int) throws {
        for (type, filter) in [("82", "0001 61 00"), ("a2", "0001 61")] {
            var machine = ServerConnection(now: Self.start, maxFiltersPerPacket: 2)
            guard case .connect(let connect) = machine.received(try Self.frame(Self.connect), now: Self.start) else {
                throw MissingConnect()
            }
            machine.accept(connect, maxKeepAlive: 0)
            let body = "0001" + String(repeating: filter, count: count)
            let length = Self.bytes(body).count
            let packet = "\(type) 0\(String(length, radix: 16)) \(body)"
            let event = machine.received(try Self.frame(packet), now: Self.start)
            if case .close(let closure) = event {
                #expect(count == 3 && closure == .protocolError("more filters than 2 in one packet"))
            } else {
                #expect(count == 2)
            }
        }
    }

    @Test(
        "holds a client that wants no keep alive, or a very long one, to the longest that is granted",
        arguments: [
            "10 10 0004 4d515454 04 02 0000 0004 6e6f6465", "10 10 0004 4d515454 04 02 ffff 0004 6e6f6465",
        ]
    )
    func longestKeepAlive(_ hex: String) throws {
        let machine = try self.connected(hex, maxKeepAlive: 60)
        #expect(machine.deadline == Self.start + .seconds(90))
        let unwatched = try self.connected("10 10 0004 4d515454 04 02 0000 0004 6e6f6465", maxKeepAlive: 0)
        #expect(unwatched.deadline == nil)
    }

    @Test("keeps the will for an end without DISCONNECT, and drops it with one")
    func will() throws {
        let connect = "10 16 0004 4d515454 04 06 000a 0004 6e6f6465 0001 77 0001 78"
        var lost = try self.connected(connect)
        let will = lost.takeWill()
        #expect(will?.topic.description == "w")
        // In storage of its own, which the whole read buffer of the CONNECT is not.
        #expect((will?.payload.storageCapacity ?? .max) <= 16 && (will?.topic.buffer.storageCapacity ?? .max) <= 16)
        let again = lost.takeWill()
        #expect(again == nil)
        var left = try self.connected(connect)
        _ = left.received(try Self.frame("e000"), now: Self.start)
        let none = left.takeWill()
        #expect(none == nil)
    }

    @Test("times out without CONNECT, once")
    func connectTimeout() throws {
        var machine = ServerConnection(now: Self.start)
        guard case .close(.connectTimeout) = machine.connectTimedOut() else { throw MissingConnect() }
        guard case .none = machine.connectTimedOut() else { throw MissingConnect() }
        var connected = try self.connected()
        guard case .none = connected.connectTimedOut() else { throw MissingConnect() }
    }
}
