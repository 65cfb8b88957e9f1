import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite struct KeepAliveTests {
    private func broker() -> Broker {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.keepAliveSeconds = 20
        return Broker.accepted(configuration)
    }

    @Test("PINGREQ goes out when nothing was sent for the interval, not before")
    func pings() {
        let broker = self.broker()
        broker.pass(.milliseconds(19_999))
        #expect(broker.tick() == .none)
        #expect(broker.sent().isEmpty)
        broker.pass(.milliseconds(1))
        #expect(broker.tick() == .none)
        #expect(broker.sent() == ["c0 "])
        #expect(broker.receive("d0 00") == [.none])
        broker.pass(.seconds(19))
        #expect(broker.tick() == .none)
        #expect(broker.sent().isEmpty)
    }

    @Test("a link on which nothing is received for one and a half intervals is dead")
    func dead() {
        let broker = self.broker()
        broker.pass(.seconds(20))
        #expect(broker.tick() == .none)
        #expect(broker.sent() == ["c0 "])
        broker.pass(.milliseconds(9_999))
        #expect(broker.tick() == .none)
        #expect(broker.sent().isEmpty)
        broker.pass(.milliseconds(1))
        guard case .close(.silent, _) = broker.tick() else { Issue.record(); return }
        #expect(broker.client.phase == .waiting)
    }

    @Test("a client that only publishes at QoS 0 asks whether anybody is there")
    func onlyPublishing() {
        let broker = self.broker()
        for second in 1...29 {
            broker.pass(.seconds(1))
            #expect(broker.tick() == .none)
            #expect(broker.send(Int64(second), "t", "x", qos: .atMostOnce))
            #expect(broker.sent().contains("c0 ") == (second == 20))
        }
        broker.pass(.seconds(1))
        guard case .close(.silent, _) = broker.tick() else { Issue.record(); return }
    }

    @Test("the deadlines alone keep a quiet link alive, and wake no more often than needed")
    func deadlines() {
        let broker = self.broker()
        let begin = broker.now
        var wakeups = 0
        while broker.now - begin < .minutes(10) {
            #expect(broker.passToDeadline() == UplinkAction.none)
            for packet in broker.sent() {
                #expect(packet == "c0 ")
                broker.pass(.milliseconds(50))
                #expect(broker.receive("d0 00") == [.none])
            }
            wakeups += 1
        }
        #expect(wakeups < 40)
    }

    @Test("a keep alive of 0 watches nothing")
    func off() {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.keepAliveSeconds = 0
        let broker = Broker.accepted(configuration)
        broker.pass(.hours(100))
        #expect(broker.tick() == .none)
        #expect(broker.sent().isEmpty)
        #expect(broker.client.phase == .connected)
        #expect(broker.client.nextDeadline == nil)
    }
}
