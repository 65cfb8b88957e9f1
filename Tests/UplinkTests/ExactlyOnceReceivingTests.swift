import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("QoS 2 from the broker") struct ExactlyOnceReceivingTests {
    private static let versions = [MQTTVersion.v311, .v5]

    private func accepted(_ version: MQTTVersion) -> Broker {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.version = version
        return Broker.accepted(configuration)
    }

    private func publish(_ version: MQTTVersion, _ packetID: String, dup: Bool = false) -> String {
        (dup ? "3c" : "34") + (version == .v5 ? " 06" : " 05") + "0001 61" + packetID + (version == .v5 ? "00" : "")
    }

    private func receipt(_ actions: [UplinkAction]) -> UplinkReceipt? {
        guard case .message(_, let receipt) = actions.last else { return nil }
        return receipt
    }

    @Test("PUBLISH, stored, PUBREC, PUBREL, forgotten, PUBCOMP", arguments: versions)
    func steps(version: MQTTVersion) throws {
        let broker = self.accepted(version)
        for _ in 1...2 {
            let receipt = try #require(self.receipt(broker.receive(self.publish(version, "0007"))))
            #expect(receipt.isExactlyOnce)
            #expect(receipt.packetID == 7)
            #expect(broker.sent().isEmpty)
            broker.acknowledge(receipt)
            #expect(broker.sent() == ["50 0007"])
            #expect(broker.receive("62 02 0007") == [.released(packetID: 7)])
            #expect(broker.receive("62 02 0007") == [.none])
            #expect(broker.sent().isEmpty)
            broker.complete(7)
            #expect(broker.sent() == ["70 0007"])
            broker.complete(7)
            #expect(broker.sent().isEmpty)
        }
    }

    @Test("answers leave in the order of the messages [MQTT-4.6.0-2] [MQTT-4.6.0-3]")
    func order() throws {
        let broker = self.accepted(.v5)
        let first = try #require(self.receipt(broker.receive(self.publish(.v5, "0001"))))
        let second = try #require(self.receipt(broker.receive("32 06 0001 61 0002 00")))
        let third = try #require(self.receipt(broker.receive(self.publish(.v5, "0003"))))
        broker.acknowledge(third)
        broker.acknowledge(second)
        #expect(broker.sent().isEmpty)
        broker.acknowledge(first)
        #expect(broker.sent() == ["50 0001", "40 0002", "50 0003"])
    }

    @Test("a repetition is answered and not told, until PUBREL [MQTT-4.3.3-10]", arguments: versions)
    func repetitions(version: MQTTVersion) throws {
        let broker = self.accepted(version)
        let receipt = try #require(self.receipt(broker.receive(self.publish(version, "0007"))))
        // Not stored yet: nothing may be promised.
        #expect(broker.receive(self.publish(version, "0007", dup: true)) == [.none])
        #expect(broker.receive(self.publish(version, "0007", dup: true)) == [.none])
        #expect(broker.sent().isEmpty)
        broker.acknowledge(receipt)
        #expect(broker.sent() == ["50 0007", "50 0007", "50 0007"])
        _ = broker.down()
        broker.reconnect()
        #expect(broker.receive(self.publish(version, "0007", dup: true)) == [.none])
        #expect(broker.sent() == ["50 0007"])
        #expect(broker.receive("62 02 0007") == [.released(packetID: 7)])
        broker.complete(7)
        _ = broker.sent()
        #expect(self.receipt(broker.receive(self.publish(version, "0007"))) != nil)
    }

    @Test("a message whose connection was lost while it was stored is known on the next", arguments: [true, false])
    func storedBetweenConnections(isStoredBefore: Bool) throws {
        let broker = self.accepted(.v311)
        let receipt = try #require(self.receipt(broker.receive(self.publish(.v311, "0007"))))
        _ = broker.down()
        if isStoredBefore { broker.acknowledge(receipt) }
        broker.reconnect()
        _ = broker.sent()
        #expect(broker.receive(self.publish(.v311, "0007", dup: true)) == [.none])
        if !isStoredBefore {
            #expect(broker.sent().isEmpty)
            broker.acknowledge(receipt)
        }
        #expect(broker.sent() == ["50 0007"])
        #expect(broker.receive("62 02 0007") == [.released(packetID: 7)])
    }

    @Test("what could not be stored comes again, on another connection")
    func abandoned() throws {
        let broker = self.accepted(.v311)
        let first = try #require(self.receipt(broker.receive(self.publish(.v311, "0007"))))
        #expect(broker.abandon(first))
        _ = broker.down()
        broker.reconnect()
        let second = try #require(self.receipt(broker.receive(self.publish(.v311, "0007", dup: true))))
        _ = broker.down()
        #expect(!broker.abandon(second))
        broker.reconnect()
        let third = try #require(self.receipt(broker.receive(self.publish(.v311, "0007", dup: true))))
        _ = broker.down()
        broker.reconnect()
        // The repetition was not told, for the first one was still being stored: so this connection has to end too.
        #expect(broker.receive(self.publish(.v311, "0007", dup: true)) == [.none])
        #expect(broker.abandon(third))
        // QoS 1
        let atLeastOnce = try #require(self.receipt(broker.receive("32 05 0001 61 0008")))
        #expect(broker.abandon(atLeastOnce))
        _ = broker.down()
        broker.reconnect()
        #expect(!broker.abandon(atLeastOnce))
    }

    @Test("what an earlier run held is known", arguments: versions)
    func restart(version: MQTTVersion) {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.version = version
        let broker = Broker(configuration)
        broker.client.restore(releases: [], held: [3, 9])
        _ = broker.client.start(now: broker.now)
        broker.up()
        _ = broker.sent()
        #expect(broker.receive(version == .v5 ? "20 03 01 00 00" : "20 02 01 00").count == 1)
        #expect(broker.receive(self.publish(version, "0003", dup: true)) == [.none])
        #expect(broker.sent() == ["50 0003"])
        #expect(broker.receive("62 02 0009") == [.released(packetID: 9)])
        // The connection is lost before it is forgotten for good.
        _ = broker.down()
        broker.complete(9)
        #expect(broker.sent().isEmpty)
        broker.reconnect()
        #expect(broker.receive("62 02 0009") == [.none])
        #expect(broker.sent() == [version == .v5 ? "70 000992" : "70 0009"])
    }

    @Test("a PUBREL that came on an earlier connection is answered when it comes again")
    func releasedBetweenConnections() throws {
        let broker = self.accepted(.v311)
        broker.acknowledge(try #require(self.receipt(broker.receive(self.publish(.v311, "0007")))))
        #expect(broker.receive("62 02 0007") == [.released(packetID: 7)])
        _ = broker.down()
        broker.reconnect()
        _ = broker.sent()
        // The owner hears of it again: it may have closed the connection because it could not write it down.
        #expect(broker.receive("62 02 0007") == [.released(packetID: 7)])
        #expect(broker.receive("62 02 0007") == [.none])
        broker.complete(7)
        broker.complete(7)
        #expect(broker.sent() == ["70 0007"])
    }

    @Test("a session that the broker lost: what was held is forgotten, and the owner is told", arguments: versions)
    func lostSession(version: MQTTVersion) throws {
        let broker = self.accepted(version)
        broker.acknowledge(try #require(self.receipt(broker.receive(self.publish(version, "0001")))))
        broker.acknowledge(try #require(self.receipt(broker.receive(self.publish(version, "0002")))))
        let late = try #require(self.receipt(broker.receive(self.publish(version, "0003"))))
        #expect(broker.receive("62 02 0002") == [.released(packetID: 2)])
        _ = broker.down()
        guard case .connected(let session) = broker.reconnect(version == .v5 ? "20 03 00 00 00" : "20 02 00 00") else {
            Issue.record()
            return
        }
        #expect(Set(session.forgottenHeld) == [1, 2, 3])
        #expect(session.forgottenReleases.isEmpty)
        broker.complete(2)
        broker.acknowledge(late)
        #expect(broker.sent().isEmpty)
        for packetID in ["0001", "0002", "0003"] {
            #expect(self.receipt(broker.receive(self.publish(version, packetID))) != nil)
        }
        // What the earlier session said of number 3 says nothing of this one.
        broker.acknowledge(late)
        #expect(broker.receive(self.publish(version, "0003", dup: true)) == [.none])
        #expect(broker.sent().isEmpty)
    }

    @Test("a PUBREL of an identifier that is not known is answered [MQTT-4.3.3-11]", arguments: versions)
    func unknown(version: MQTTVersion) {
        let broker = self.accepted(version)
        #expect(broker.receive("62 02 0007") == [.none])
        #expect(broker.sent() == [version == .v5 ? "70 000792" : "70 0007"])
    }

    @Test("a PUBREL before the PUBREC ends the connection")
    func premature() {
        let broker = self.accepted(.v5)
        _ = broker.receive(self.publish(.v5, "0007"))
        guard case .close(.protocolError, _) = broker.receive("62 02 0007").last else { Issue.record(); return }
        #expect(broker.sent() == ["e0 82"])
    }

    @Test("messages held until PUBREL do not stop the reading, those not stored yet do")
    func wantsRead() throws {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.inboundLimit = 2
        let broker = Broker.accepted(configuration)
        for number in 1...9 {
            broker.acknowledge(try #require(self.receipt(broker.receive(self.publish(.v311, "000\(number)")))))
        }
        #expect(broker.client.wantsRead)
        for number in 1...2 { _ = broker.receive(self.publish(.v311, "010\(number)")) }
        #expect(!broker.client.wantsRead)
    }

    @Test("more messages than the gateway's Receive Maximum end the connection [MQTT-3.3.4-8]")
    func receiveMaximum() throws {
        var configuration = UplinkClient.Configuration.v5
        configuration.receiveMaximum = 2
        func exceeds(_ broker: Broker) -> Bool {
            guard case .close = broker.receive("32 06 0001 61 0063 00").last else { return false }
            return broker.sent() == ["e0 93"]
        }
        let broker = Broker.accepted(configuration)
        let first = try #require(self.receipt(broker.receive(self.publish(.v5, "0001"))))
        let second = try #require(self.receipt(broker.receive("32 06 0001 61 0002 00")))
        // QoS 0 and a repetition are none more.
        #expect(broker.receive("30 04 0001 61 00").count == 1)
        #expect(broker.receive(self.publish(.v5, "0001", dup: true)) == [.none])
        broker.acknowledge(first)
        broker.acknowledge(second)
        #expect(broker.sent() == ["50 0001", "40 0002", "50 0001"])
        _ = try #require(self.receipt(broker.receive("32 06 0001 61 0002 00")))
        #expect(exceeds(broker))
        // Counted anew on each connection, and until PUBCOMP.
        broker.reconnect()
        #expect(broker.receive("62 02 0001") == [.released(packetID: 1)])
        for packetID in ["0003", "0004"] {
            broker.acknowledge(try #require(self.receipt(broker.receive(self.publish(.v5, packetID)))))
        }
        broker.complete(1)
        #expect(broker.receive("62 02 0003") == [.released(packetID: 3)])
        broker.complete(3)
        _ = try #require(self.receipt(broker.receive(self.publish(.v5, "0003"))))
        _ = broker.sent()
        #expect(exceeds(broker))
    }

    @Test("what is over the limits is dropped at QoS 2 too, until it is released", arguments: versions)
    func dropped(version: MQTTVersion) throws {
        let broker = self.accepted(version)
        #expect(broker.skip(0x34, 7) == .none)
        #expect(broker.skip(0x3C, 7) == .none)
        #expect(broker.sent() == ["50 0007", "50 0007"])
        // Nobody but the client knows of it.
        #expect(broker.receive("62 02 0007") == [.none])
        #expect(broker.sent() == ["70 0007"])
        let before = try #require(self.receipt(broker.receive(self.publish(version, "0001"))))
        let deep = "0101 61" + String(repeating: "2f61", count: 128)
        let hex = version == .v5 ? "34 8702" + deep + "0008" + "00" + "78" : "34 8602" + deep + "0008" + "78"
        guard case .dropped(let error) = broker.receive(hex + (version == .v5 ? "79" : "")).last else {
            Issue.record()
            return
        }
        #expect(error.kind == .topicName(.tooDeep))
        #expect(broker.sent().isEmpty)
        broker.acknowledge(before)
        #expect(broker.sent() == ["50 0001", "50 0008"])
        // A lost session needs no owner for it.
        _ = broker.down()
        guard case .connected(let session) = broker.reconnect(version == .v5 ? "20 03 00 00 00" : "20 02 00 00") else {
            Issue.record()
            return
        }
        #expect(session.forgottenHeld == [1])
    }
}
