import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("What a broker of MQTT 5.0 takes") struct ServerLimitsTests {
    @Test("QoS is lowered to what the broker takes [MQTT-3.2.2-11]", arguments: ["2400", "2401", ""])
    func maximumQoS(property: String) {
        let connAck = property.isEmpty ? "20 03 00 00 00" : "20 05 00 00 02" + property
        let broker = Broker.accepted(.v5, connAck: connAck)
        let outcomes = [QoS.atMostOnce, .atLeastOnce, .exactlyOnce].enumerated().map {
            broker.send(UplinkMessage(Int64($0), "t", "x", qos: $1))
        }
        switch property {
        case "2400":
            #expect(outcomes == [.sentAtMostOnce, .sentAtMostOnce, .sentAtMostOnce])
            #expect(broker.sent() == ["30 0001740078", "30 0001740078", "30 0001740078"])
        case "2401":
            #expect(outcomes == [.sentAtMostOnce, .sent, .sent])
            #expect(broker.sent() == ["30 0001740078", "32 00017400010078", "32 00017400020078"])
        default:
            #expect(outcomes == [.sentAtMostOnce, .sent, .sent])
            #expect(broker.sent() == ["30 0001740078", "32 00017400010078", "34 00017480020078"])
        }
    }

    @Test("RETAIN goes where it is kept [MQTT-3.2.2-14]", arguments: [("", "31"), ("2501", "31"), ("2500", "30")])
    func retain(property: String, firstByte: String) {
        let broker = Broker.accepted(.v5, connAck: property.isEmpty ? "20 03 00 00 00" : "20 05 00 00 02" + property)
        var message = UplinkMessage(1, "t", "x", qos: .atMostOnce)
        message.retain = true
        #expect(broker.send(message) == .sentAtMostOnce)
        #expect(broker.sent() == [firstByte + " 0001740078"])
    }

    @Test("a message is sent if the packet is as large as the broker takes, and not with one byte more [MQTT-3.2.2-15]")
    func maximumPacketSize() {
        // 20 bytes: header 2, topic 3, identifier 2, property length 1.
        let broker = Broker.accepted(.v5, connAck: "20 08 00 00 05 27 00000014")
        #expect(broker.send(UplinkMessage(1, "t", "123456789012")) == .sent)
        #expect(broker.send(UplinkMessage(2, "t", "1234567890123")) == .tooLarge(limit: 20))
        #expect(broker.send(UplinkMessage(3, "t", "12345678901234", qos: .atMostOnce)) == .sentAtMostOnce)
        #expect(broker.send(UplinkMessage(3, "t", "123456789012345", qos: .atMostOnce)) == .tooLarge(limit: 20))
        var message = UplinkMessage(4, "t", "1234567", qos: .atLeastOnce)
        message.expiry = broker.now + .seconds(9)
        #expect(broker.send(message) == .sent)
        message = UplinkMessage(5, "t", "12345678", qos: .atLeastOnce)
        message.expiry = broker.now + .seconds(9)
        #expect(broker.send(message) == .tooLarge(limit: 20))
        message = UplinkMessage(6, "t", "1")
        message.properties.contentType = "text/plain"
        #expect(broker.send(message) == .tooLarge(limit: 20))
        #expect(broker.client.inFlightCount == 2)
        #expect(broker.sent().count == 3)
    }

    @Test("what is too large for the broker that is there now leaves the window, and nothing else does")
    func tooLargeLater() {
        let broker = Broker.accepted(.v5)
        let long = String(repeating: "x", count: 40)
        #expect(broker.send(1, "t", "1"))
        #expect(broker.send(2, "t", long))
        #expect(broker.send(3, "t", long, qos: .exactlyOnce))
        #expect(broker.send(4, "t", "4", qos: .exactlyOnce))
        _ = broker.down()
        _ = broker.sent()
        var session = UplinkSession(isPresent: true)
        session.unsendable = [
            .init(sequence: 2, reason: .tooLarge(limit: 20)),
            .init(sequence: 3, reason: .tooLarge(limit: 20), releaseID: 0x8003),
        ]
        #expect(broker.reconnect("20 08 01 00 05 27 00000014") == .connected(session))
        #expect(broker.sent() == ["3a 00017400010031", "3c 00017480040034"])
        // The broker may have the large one under its identifier: it is asked to be done with it.
        broker.release(0x8003)
        #expect(broker.sent() == ["62 8003"])
        #expect(broker.receive("70 03 8003 92") == [.completed(packetID: 0x8003)])
        // Of QoS 1 the place of the large one is kept until those before it are done.
        #expect(broker.client.inFlightCount == 3)
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        #expect(broker.client.inFlightCount == 1)
    }

    @Test("the window is no larger than the broker's Receive Maximum [MQTT-3.3.4-9]")
    func receiveMaximum() {
        let broker = Broker.accepted(.v5, connAck: "20 06 00 00 03 21 0002")
        #expect(broker.client.freeSlots == 2)
        #expect(broker.send(1, "t", "1"))
        #expect(broker.send(2, "t", "2", qos: .exactlyOnce))
        #expect(broker.client.freeSlots == 0)
        #expect(!broker.send(3, "t", "3"))
        #expect(broker.send(3, "t", "3", qos: .atMostOnce))
        #expect(broker.receive("50 02 8002") == [.pubrec(sequence: 2, packetID: 0x8002)])
        #expect(!broker.send(3, "t", "3"))
        broker.release(0x8002)
        #expect(!broker.send(3, "t", "3"))
        #expect(broker.receive("70 02 8002") == [.completed(packetID: 0x8002)])
        #expect(broker.send(3, "t", "3"))
        #expect(!broker.send(4, "t", "4", qos: .exactlyOnce))
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        #expect(broker.send(4, "t", "4", qos: .exactlyOnce))
        _ = broker.receive("50 03 8004 97")
        #expect(broker.client.freeSlots == 1)
    }

    @Test("a smaller Receive Maximum: the window is sent again bit by bit, before new messages [MQTT-4.9.0-2]")
    func smallerReceiveMaximum() {
        let broker = Broker.accepted(.v5)
        for sequence in 1...5 {
            #expect(broker.send(Int64(sequence), "t", "\(sequence)", qos: sequence == 2 ? .exactlyOnce : .atLeastOnce))
        }
        _ = broker.down()
        _ = broker.sent()
        #expect(broker.reconnect("20 06 01 00 03 21 0002") == .connected(UplinkSession(isPresent: true)))
        #expect(broker.sent() == ["3a 00017400010031", "3c 00017480020032"])
        #expect(broker.client.freeSlots == 0)
        #expect(!broker.send(6, "t", "6"))
        #expect(broker.receive("50 02 8002") == [.pubrec(sequence: 2, packetID: 0x8002)])
        #expect(broker.sent().isEmpty)
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 1)])
        #expect(broker.sent() == ["3a 00017400020033"])
        broker.release(0x8002)
        #expect(broker.receive("70 02 8002") == [.completed(packetID: 0x8002)])
        #expect(broker.sent() == ["62 8002", "3a 00017400030034"])
        #expect(broker.receive("40 02 0002 40 02 0003").count == 2)
        #expect(broker.sent() == ["3a 00017400040035"])
        #expect(broker.client.freeSlots == 1)
        #expect(broker.send(6, "t", "6"))
    }

    @Test("an answer for a message that is yet to be sent again is none")
    func tooEarly() {
        for answer in ["40 02 0002", "50 02 8003"] {
            let broker = Broker.accepted(.v5)
            for sequence in 1...3 {
                #expect(broker.send(Int64(sequence), "t", "x", qos: sequence == 3 ? .exactlyOnce : .atLeastOnce))
            }
            _ = broker.down()
            _ = broker.reconnect("20 06 01 00 03 21 0001")
            guard case .close(.protocolError, _) = broker.receive(answer).first else { Issue.record(); return }
            #expect(broker.client.inFlightCount == 3)
        }
    }

    @Test("a broker that takes a lower QoS now gets the window at that QoS")
    func lowerMaximumQoS() {
        let broker = Broker.accepted(.v5)
        #expect(broker.send(1, "t", "1", qos: .exactlyOnce))
        #expect(broker.send(2, "t", "2"))
        _ = broker.down()
        _ = broker.sent()
        #expect(broker.reconnect("20 05 01 00 02 24 01") == .connected(UplinkSession(isPresent: true)))
        #expect(broker.sent() == ["62 8001", "3a 00017400020031", "3a 00017400010032"])
        _ = broker.receive("70 02 8001")
        _ = broker.down()
        var session = UplinkSession(isPresent: false)
        session.sentAtMostOnce = [1, 2]
        #expect(broker.reconnect("20 05 00 00 02 24 00") == .connected(session))
        #expect(broker.sent() == ["30 0001740031", "30 0001740032"])
        #expect(broker.client.inFlightCount == 0)
    }

    @Test("a window of one shows which message the broker closes on")
    func suspect() {
        let broker = Broker.accepted()
        for sequence in [5, 3, 9] { #expect(broker.send(Int64(sequence), "t", "\(sequence)")) }
        _ = broker.down()
        broker.client.windowLimit = 1
        broker.reconnect()
        #expect(broker.sent() == ["3a 000174000135"])
        #expect(broker.client.oldestInFlight == 5)
        #expect(broker.receive("40 02 0001") == [.acknowledged(sequence: 5)])
        #expect(broker.sent() == ["3a 000174000233"])
        #expect(broker.client.oldestInFlight == 3)
        #expect(!broker.withdraw(3))
        _ = broker.down()
        #expect(!broker.withdraw(5))
        #expect(broker.withdraw(3))
        #expect(!broker.withdraw(3))
        broker.reconnect()
        #expect(broker.sent() == ["3a 000174000339"])
        broker.client.windowLimit = 1000
        #expect(broker.client.windowLimit == 100)
        #expect(broker.send(10, "t", "x"))
        #expect(broker.receive("40 02 0003 40 02 0004").count == 2)
        #expect(broker.client.inFlightCount == 0)
    }
}
