import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("Properties of messages") struct MessagePropertiesTests {
    private var rich: MQTTProperties {
        var properties = MQTTProperties()
        properties.payloadFormat = .utf8
        properties.contentType = "a"
        properties.responseTopic = TopicName(unchecked: ByteBuffer(string: "r"))
        properties.correlationData = ByteBuffer(bytes: [0, 255])
        properties.userProperties = [UserProperty(name: "k", value: "1"), UserProperty(name: "k", value: "2")]
        return properties
    }

    /// As they are written, by ascending identifier.
    private let richHex = "0101" + "03000161" + "08000172" + "09000200ff" + "2600016b000131" + "2600016b000132"

    @Test("go to a broker of 5.0 as they are, on every connection, and to one of 3.1.1 not at all")
    func outbound() {
        var message = UplinkMessage(1, "t", "x")
        message.properties = self.rich
        let broker = Broker.accepted(.v5)
        #expect(broker.send(message) == .sent)
        #expect(broker.sent() == ["32 00017400011d" + self.richHex + "78"])
        _ = broker.down()
        broker.reconnect()
        #expect(broker.sent() == ["3a 00017400011d" + self.richHex + "78"])

        let old = Broker.accepted()
        message.expiry = old.now + .seconds(5)
        #expect(old.send(message) == .sent)
        #expect(old.sent() == ["32 000174000178"])
    }

    @Test("those of one packet are not sent on [MQTT-3.3.4-6]")
    func ofOnePacket() {
        var message = UplinkMessage(1, "t", "x", qos: .atMostOnce)
        message.properties = self.rich
        message.properties.topicAlias = 3
        message.properties.subscriptionIdentifiers = [7]
        message.properties.messageExpiryInterval = 9
        let broker = Broker.accepted(.v5)
        #expect(broker.send(message) == .sentAtMostOnce)
        #expect(broker.sent() == ["30 0001741d" + self.richHex + "78"])
    }

    @Test("the expiry is counted down, over the wait and over connections, and ends the message")
    func expiry() {
        let broker = Broker.accepted(.v5)
        var message = UplinkMessage(1, "t", "x")
        message.expiry = broker.now + .milliseconds(10_500)
        #expect(broker.send(message) == .sent)
        #expect(broker.sent() == ["32 0001740001" + "05020000000b" + "78"])
        broker.pass(.seconds(4))
        _ = broker.down()
        #expect(broker.reconnect("20 03 01 00 00") == .connected(UplinkSession(isPresent: true)))
        let left = broker.sent()
        #expect(left == ["3a 0001740001" + "050200000006" + "78"])
        broker.pass(.seconds(6))
        message.sequence = 2
        #expect(broker.send(message) == .expired)
        _ = broker.down()
        var session = UplinkSession(isPresent: true)
        session.unsendable = [.init(sequence: 1, reason: .expired)]
        #expect(broker.reconnect("20 03 01 00 00") == .connected(session))
        #expect(broker.sent().isEmpty)
        #expect(broker.client.inFlightCount == 0)
    }

    @Test("an expired message of QoS 2 is released, for the broker may have it")
    func expiryAtQoS2() {
        let broker = Broker.accepted(.v5)
        for sequence in 1...2 {
            var message = UplinkMessage(Int64(sequence), "t", "x", qos: .exactlyOnce)
            message.expiry = broker.now + .seconds(sequence == 1 ? 1 : 1000)
            #expect(broker.send(message) == .sent)
        }
        _ = broker.down()
        broker.pass(.seconds(2))
        var session = UplinkSession(isPresent: true)
        session.unsendable = [.init(sequence: 1, reason: .expired, releaseID: 0x8001)]
        #expect(broker.reconnect("20 03 01 00 00") == .connected(session))
        #expect(broker.sent().count == 1)
        // As after PUBREC: the owner writes it down first.
        broker.release(0x8001)
        #expect(broker.sent() == ["62 8001"])
        // A lost session needs no release.
        _ = broker.down()
        broker.pass(.seconds(1000))
        session = UplinkSession(isPresent: false)
        session.forgottenReleases = [0x8001]
        session.unsendable = [.init(sequence: 2, reason: .expired)]
        #expect(broker.reconnect("20 03 00 00 00") == .connected(session))
        #expect(broker.sent().isEmpty)
        #expect(broker.client.inFlightCount == 0)
    }

    @Test("come from the broker as they are, without the alias")
    func inbound() {
        let broker = Broker.accepted(.v5)
        let action = broker.receive("32 2b 000174 0001 25 0200000009 230005" + self.richHex + "78").first
        guard case .message(let publish, _?) = action else { Issue.record("\(String(describing: action))"); return }
        #expect(publish.properties.ofMessage == self.rich)
        #expect(publish.properties.messageExpiryInterval == 9)
        #expect(publish.properties.topicAlias == nil)
    }
}
