import Broker
import MQTTCodec
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Transport

@Suite struct MQTTConnectionSendingTests {
    /// CONNECT of 5.0 with these properties, of which the length is put in front.
    private static func v5(_ properties: String) -> String {
        let count = hexBytes(properties).count
        let body = "0004 4d515454 05 02 003c" + hexText([UInt8(count)]) + properties + "0004 6e6f6465"
        return "10" + hexText([UInt8(hexBytes(body).count)]) + body
    }

    private func message(_ topic: String, expiry: NIODeadline? = nil) throws -> Message {
        Message(
            topic: try TopicName(topic),
            payload: ByteBuffer(string: "x"),
            qos: .atLeastOnce,
            retain: false,
            expiry: expiry
        )
    }

    @Test("acknowledgements are told with their code in 5.0, and without in 3.1.1")
    func acknowledgements() throws {
        let new = try EmbeddedClient(connect: EmbeddedClient.v5)
        let old = try EmbeddedClient(connect: EmbeddedClient.v311)
        for client in [new, old] {
            client.connection.acknowledge(1)
            client.connection.acknowledge(2, with: .pubrec, code: .noMatchingSubscribers)
            client.connection.acknowledge(3, code: .notAuthorized, reason: "no")
            client.connection.acknowledge(4, with: .pubcomp, code: .packetIdentifierNotFound)
            client.connection.release(5)
        }
        #expect(
            try new.received() == "40020001" + "5003000210" + "4009000387" + "051f00026e6f" + "7003000492" + "62020005"
        )
        #expect(try old.received() == "40020001" + "50020002" + "40020003" + "70020004" + "62020005")
    }

    @Test("reasons are for clients that want them and have room for them")
    func reasons() throws {
        for (properties, answer) in [
            ("1700", "4003000387"), ("1701", "4009000387" + "051f00026e6f"),
            ("27 00000011", "4009000387" + "051f00026e6f"), ("27 00000010", "4009000387" + "051f00026e6f"),
        ] {
            let client = try EmbeddedClient(connect: Self.v5(properties))
            client.connection.acknowledge(3, code: .notAuthorized, reason: "no")
            #expect(try client.received() == answer, "\(properties)")
            #expect(client.connection.allowsProblemInformation == (properties != "1700"))
        }
        let client = try EmbeddedClient(connect: Self.v5("27 00000010"))
        client.connection.acknowledge(3, code: .notAuthorized, reason: "not allowed")
        #expect(try client.received() == "4003000387")
    }

    @Test("acknowledgements free places under the Receive Maximum")
    func receiveMaximum() throws {
        let client = try EmbeddedClient(connect: EmbeddedClient.v5) { $0.receiveMaximum = 2 }
        try client.send("32 06 0001 61 0001 00  34 06 0001 61 0002 00")
        client.connection.acknowledge(1)
        client.connection.acknowledge(2, with: .pubrec, code: .quotaExceeded)
        try client.send("34 06 0001 61 0003 00  34 06 0001 61 0004 00")
        client.connection.acknowledge(3, with: .pubrec)
        try client.send("62 02 0003")
        client.connection.acknowledge(3, with: .pubcomp)
        _ = try client.received()
        try client.send("32 06 0001 61 0005 00")
        #expect(client.delegate.end == nil)
        try client.send("32 06 0001 61 0006 00")
        #expect(try client.received() == "e00193")
        #expect(client.delegate.end?.kind == .misbehaved)
        #expect(client.delegate.events.count == 6)
    }

    @Test("answers from the client are handed on with their codes")
    func answers() throws {
        let client = try EmbeddedClient(connect: EmbeddedClient.v5)
        try client.send("4002 0001  4003 0002 97  5002 0003  7003 0003 92  6202 0004")
        #expect(
            client.delegate.events == [
                "acknowledged 1 success", "acknowledged 2 quotaExceeded", "recorded 3 success",
                "completed 3 packetIdentifierNotFound", "released 4",
            ]
        )
    }

    @Test("messages are sent in the client's version, with aliases if it takes them")
    func messages() throws {
        let delivery = Delivery(qos: .atLeastOnce, retain: false, packetID: 7)
        let old = try EmbeddedClient(connect: EmbeddedClient.v311)
        let plain = try EmbeddedClient(connect: EmbeddedClient.v5)
        let aliasing = try EmbeddedClient(connect: Self.v5("22 0005 21 0003"))
        for client in [old, plain, aliasing] {
            let sent = client.connection.send(try self.message("abcd"), as: delivery)
            let again = client.connection.send(try self.message("abcd"), as: delivery)
            #expect(sent && again)
        }
        #expect(try old.received() == String(repeating: "3209000461626364000778", count: 2))
        #expect(try plain.received() == String(repeating: "320a00046162636400070078", count: 2))
        #expect(try aliasing.received() == "320d000461626364000703230001" + "78" + "320900000007032300" + "0178")
        #expect(aliasing.connection.clientReceiveMaximum == 3 && plain.connection.clientReceiveMaximum == .max)
        #expect(aliasing.connection.version == .v5 && old.connection.version == .v311)
    }

    @Test("what is left of a message's time is that of the loop")
    func expiry() throws {
        let client = try EmbeddedClient(connect: EmbeddedClient.v5)
        let message = try self.message("a", expiry: client.loop.now + .seconds(10))
        client.loop.advanceTime(by: .milliseconds(2500))
        #expect(client.connection.send(message, as: Delivery(qos: .atMostOnce, retain: false)) == true)
        #expect(try client.received() == "300a000161" + "050200000008" + "78")
    }

    @Test("what is larger than the client takes is not sent: a message is dropped, an answer ends the connection")
    func tooLarge() throws {
        let client = try EmbeddedClient(connect: Self.v5("27 00000010"))
        let delivery = Delivery(qos: .atMostOnce, retain: false)
        #expect(client.connection.send(try self.message("0123456789"), as: delivery) == true)
        #expect(client.connection.send(try self.message("0123456789a"), as: delivery) == false)
        #expect(try client.received() == "300e000a3031323334353637383900" + "78")
        let codes = [ReasonCode](repeating: .grantedQoS0, count: 12)
        client.connection.send(.suback(SubAck(packetID: 1, reasonCodes: Array(codes.dropLast()))))
        #expect(try client.received().hasPrefix("900e000100"))
        client.connection.send(.suback(SubAck(packetID: 1, reasonCodes: codes + [.grantedQoS0])))
        #expect(try client.received() == "e00195")
        #expect(client.delegate.end?.reason == "its maximum packet size leaves no room for an answer")
    }

    @Test("a client that has no room for CONNACK is turned away")
    func connAckTooLarge() throws {
        let client = try EmbeddedClient()
        try client.send(Self.v5("27 0000000f"))
        #expect(try client.received() == "2003009500")
        #expect(client.delegate.end?.reason == "its maximum packet size leaves no room for CONNACK")
    }

    // MARK: The end

    @Test("a close for a reason of the gateway's tells a client of 5.0 the code, and no words")
    func close() throws {
        let delivery = Delivery(qos: .atMostOnce, retain: false)
        for (connect, last) in [
            (EmbeddedClient.v5, "30050001610078" + "e0018e"), (EmbeddedClient.v311, "300400016178"),
        ] {
            let client = try EmbeddedClient(connect: connect)
            #expect(client.connection.send(try self.message("a"), as: delivery) == true)
            client.connection.close(.sessionTakenOver, reason: "taken over")
            client.connection.close(.serverShuttingDown, reason: "too late")
            client.connection.acknowledge(1)
            #expect(try client.received() == last)
            #expect(client.delegate.end?.reason == "taken over")
            #expect(client.delegate.end?.kind == .normal)
        }
        let client = try EmbeddedClient(connect: EmbeddedClient.v5)
        client.connection.close(reason: "other")
        #expect(try client.received() == "e00180")
    }

    @Test("a client of 5.0 that breaks the protocol is told the code, one of 3.1.1 nothing")
    func misbehaved() throws {
        for (connect, packet, last) in [
            (EmbeddedClient.v5, "36 06 0001 61 0001 00", "e00181"), (EmbeddedClient.v5, "30 80808001", "e00195"),
            (EmbeddedClient.v5, "30 ffffffff7f", "e00181"), (EmbeddedClient.v5, EmbeddedClient.v5, "e00182"),
            (EmbeddedClient.v5, "30 07 0000 03 230001 78", "e00194"), (EmbeddedClient.v311, "36 05 0001 61 0001", ""),
            (EmbeddedClient.v311, "30 80808001", ""),
        ] {
            let client = try EmbeddedClient(connect: connect)
            try client.send(packet + "c000")
            #expect(try client.received() == last, "\(packet)")
            #expect(client.delegate.end?.kind == .misbehaved)
        }
        let slow = try EmbeddedClient(connect: EmbeddedClient.v5)
        slow.setWritable(false)
        slow.loop.advanceTime(by: .seconds(30))
        #expect(slow.delegate.end?.reason == "too slow a reader")
    }

    @Test("a CONNECT that can't be taken is answered in the form of its version")
    func connects() throws {
        for (connect, answer) in [
            ("10 11 0004 4d515454 06 02 0000 00 0004 6e6f6465", "2003008400"),
            ("10 10 0004 4d515454 03 02 0000 0004 6e6f6465", "20020001"), (Self.v5("15 0001 6d"), "2003008c00"),
            ("10 11 0004 4d515454 05 03 0000 00 0004 6e6f6465", "2003008100"), ("c000", ""),
            ("10 10 0004 4d515454 04 03 0000 0004 6e6f6465", ""), ("10 ffff7f", ""),
        ] {
            let client = try EmbeddedClient()
            try client.send(connect + "c000")
            #expect(try client.received() == answer, "\(connect)")
            #expect(client.delegate.end?.kind == .misbehaved)
            #expect(client.delegate.connect == nil)
        }
    }

    @Test("the end tells the new session expiry, and the will unless it was taken back")
    func ends() throws {
        let connect = "10 1e 0004 4d515454 05 06 0000 05 1100000005 0004 6e6f6465 00 0001 77 0002 7879"
        for (packet, expiry, hasWill) in [
            ("e000", nil, false), ("e001 04", nil, true), ("e007 00 05 1100000009", 9, false), ("e001 01", nil, true),
            ("c001 00", nil, true),
        ] as [(String, UInt32?, Bool)] {
            let client = try EmbeddedClient(connect: connect)
            try client.send(packet)
            #expect(client.delegate.end?.sessionExpiryInterval == expiry)
            #expect((client.delegate.will != nil) == hasWill, "\(packet)")
        }
    }
}
