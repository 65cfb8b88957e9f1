import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("QoS 2 to the broker") struct ExactlyOnceSendingTests {
    private static let versions = [MQTTVersion.v311, .v5]

    private func accepted(_ version: MQTTVersion, clean: Bool = false) -> Broker {
        var configuration = UplinkClient.Configuration(clientID: "attic")
        configuration.version = version
        configuration.cleanSession = clean
        return Broker.accepted(configuration)
    }

    @Test("PUBLISH, PUBREC, the owner's word, PUBREL, PUBCOMP", arguments: versions)
    func steps(version: MQTTVersion) {
        let broker = self.accepted(version)
        #expect(broker.send(7, "t", "x", qos: .exactlyOnce))
        #expect(broker.sent() == [version == .v5 ? "34 00017480070078" : "34 000174800778"])
        #expect(broker.receive("50 02 8007") == [.pubrec(sequence: 7, packetID: 0x8007)])
        #expect(broker.sent().isEmpty)
        #expect(broker.client.oldestInFlight == nil)
        #expect(broker.client.inFlightCount == 1)
        broker.release(0x8007)
        #expect(broker.sent() == ["62 8007"])
        broker.release(0x8007)
        #expect(broker.sent().isEmpty)
        #expect(broker.receive("70 02 8007") == [.completed(packetID: 0x8007)])
        #expect(broker.client.inFlightCount == 0)
        broker.release(0x8007)
        #expect(broker.sent().isEmpty)
    }

    @Test("the identifier follows from the number, and is not used twice")
    func identifiers() {
        #expect(UplinkClient.exactlyOnceID(of: 0) == 0x8000)
        #expect(UplinkClient.exactlyOnceID(of: 0x7FFD) == 0xFFFD)
        #expect(UplinkClient.exactlyOnceID(of: 0x7FFE) == 0x8000)
        #expect(UplinkClient.exactlyOnceID(of: .max) >= 0x8000)
        let broker = self.accepted(.v311)
        #expect(broker.send(5, "t", "x", qos: .exactlyOnce))
        let same: Int64 = 5 + 0x7FFE
        func isRefused() -> Bool { broker.send(UplinkMessage(same, "t", "y", qos: .exactlyOnce)) == .noRoom }
        #expect(isRefused())
        #expect(broker.receive("50 02 8005") == [.pubrec(sequence: 5, packetID: 0x8005)])
        #expect(isRefused())
        broker.release(0x8005)
        #expect(isRefused())
        #expect(broker.receive("70 02 8005") == [.completed(packetID: 0x8005)])
        // A crash now would release it again.
        #expect(isRefused())
        broker.forget(0x8005)
        #expect(broker.send(same, "t", "y", qos: .exactlyOnce))
    }

    @Test("PUBRELs leave in the order of the PUBRECs [MQTT-4.6.0-4]")
    func order() {
        let broker = self.accepted(.v5)
        for sequence in 1...4 { #expect(broker.send(Int64(sequence), "t", "x", qos: .exactlyOnce)) }
        _ = broker.sent()
        #expect(broker.receive("50 02 8003 50 02 8001 50 02 8002").count == 3)
        broker.release(0x8002)
        broker.release(0x8001)
        #expect(broker.sent().isEmpty)
        broker.release(0x8003)
        #expect(broker.sent() == ["62 8003", "62 8001", "62 8002"])
        #expect(broker.receive("70 02 8001 70 02 8002").count == 2)
        #expect(broker.client.inFlightCount == 2)
        #expect(broker.receive("50 02 8004 70 02 8003").count == 2)
        broker.release(0x8004)
        #expect(broker.sent() == ["62 8004"])
    }

    @Test("a connection later, PUBRELs and PUBLISHes go out again [MQTT-4.4.0-1]", arguments: versions)
    func resends(version: MQTTVersion) {
        let broker = self.accepted(version)
        let properties = version == .v5 ? "00" : ""
        for sequence in 1...5 {
            let qos: QoS = sequence == 3 ? .atLeastOnce : .exactlyOnce
            #expect(broker.send(Int64(sequence), "t", "\(sequence)", qos: qos))
        }
        #expect(broker.receive("50 02 8004 50 02 8002").count == 2)
        broker.release(0x8004)
        _ = broker.down()
        _ = broker.sent()
        // Written down while there was no connection.
        broker.release(0x8002)
        #expect(broker.sent().isEmpty)
        broker.reconnect()
        #expect(
            broker.sent() == [
                "62 8004", "62 8002", "3c 0001748001" + properties + "31", "3a 0001740001" + properties + "33",
                "3c 0001748005" + properties + "35",
            ]
        )
        // A late PUBREC of what the broker had: not of something new.
        #expect(broker.receive("50 02 8002") == [.none])
        #expect(broker.sent() == ["62 8002"])
        #expect(broker.receive("70 02 8004 70 02 8002").count == 2)
        #expect(broker.receive("70 02 8002") == [.none])
    }

    @Test("a PUBREL waits for the owner also over connections")
    func unreleased() {
        let broker = self.accepted(.v311)
        #expect(broker.send(1, "t", "x", qos: .exactlyOnce))
        #expect(broker.receive("50 02 8001").count == 1)
        _ = broker.down()
        // Told again: the owner may have closed the connection because it could not write it down.
        var session = UplinkSession(isPresent: true)
        session.unreleased = [.init(sequence: 1, packetID: 0x8001)]
        #expect(broker.reconnect("20 02 01 00") == .connected(session))
        #expect(broker.sent().isEmpty)
        // The broker did not see that its PUBREC arrived; the answer is the owner's.
        #expect(broker.receive("50 02 8001") == [.none])
        #expect(broker.sent().isEmpty)
        broker.release(0x8001)
        #expect(broker.sent() == ["62 8001"])
    }

    @Test("a restart releases what was written down, and sends the others as repetitions", arguments: [true, false])
    func restart(isPresent: Bool) {
        let broker = Broker()
        broker.client.restore(releases: [0x8009, 0x8003], held: [])
        _ = broker.client.start(now: broker.now)
        broker.up()
        _ = broker.sent()
        var session = UplinkSession(isPresent: isPresent)
        if !isPresent { session.forgottenReleases = [0x8009, 0x8003] }
        #expect(broker.receive(isPresent ? "20 02 01 00" : "20 02 00 00") == [.connected(session)])
        #expect(broker.sent() == (isPresent ? ["62 8009", "62 8003"] : []))
        var message = UplinkMessage(5, "t", "x", qos: .exactlyOnce)
        message.isRepeat = true
        #expect(broker.send(message) == .sent)
        message.sequence = 6
        message.qos = .atLeastOnce
        #expect(broker.send(message) == .sent)
        #expect(broker.send(7, "t", "x", qos: .exactlyOnce))
        #expect(
            broker.sent() == [
                isPresent ? "3c 000174800578" : "34 000174800578", isPresent ? "3a 000174000178" : "32 000174000178",
                "34 000174800778",
            ]
        )
        // Its identifier is in use by what was restored.
        #expect(!broker.send(9, "t", "x", qos: .exactlyOnce))
        if isPresent { #expect(broker.receive("70 02 8009") == [.completed(packetID: 0x8009)]) }
        broker.forget(0x8009)
        #expect(broker.send(9, "t", "x", qos: .exactlyOnce))
    }

    @Test("of a lost session what the broker had is done, the rest is new to it [MQTT-3.2.2-5]", arguments: versions)
    func lostSession(version: MQTTVersion) {
        for clean in [false, true] {
            let broker = self.accepted(version, clean: clean)
            let properties = version == .v5 ? "00" : ""
            for sequence in 1...4 { #expect(broker.send(Int64(sequence), "t", "x", qos: .exactlyOnce)) }
            #expect(broker.send(5, "t", "x"))
            #expect(broker.receive("50 02 8003 50 02 8001").count == 2)
            broker.release(0x8003)
            _ = broker.down()
            var session = UplinkSession(isPresent: false)
            session.forgottenReleases = [0x8003, 0x8001]
            #expect(broker.reconnect(version == .v5 ? "20 03 00 00 00" : "20 02 00 00") == .connected(session))
            #expect(
                broker.sent() == [
                    "34 0001748002" + properties + "78", "34 0001748004" + properties + "78",
                    "32 0001740001" + properties + "78",
                ]
            )
            // The owner's word for it comes late.
            broker.release(0x8001)
            #expect(broker.sent().isEmpty)
            #expect(broker.client.inFlightCount == 3)
        }
    }

    @Test("what the broker refuses leaves the window, with its words")
    func refusals() {
        let broker = self.accepted(.v5)
        for sequence in 1...6 {
            let qos: QoS = sequence % 2 == 0 ? .exactlyOnce : .atLeastOnce
            #expect(broker.send(Int64(sequence), "t", "x", qos: qos))
        }
        #expect(
            broker.receive(
                "40 03 0001 10  40 08 0002 87 04 1f 0001 6e  50 03 8002 97  50 08 8004 99 04 1f 0001 1b  50 03 8006 10"
            ) == [
                .acknowledged(sequence: 1), .refused(sequence: 3, .notAuthorized, reason: "\"n\""),
                .refused(sequence: 2, .quotaExceeded, reason: nil),
                .refused(sequence: 4, .payloadFormatInvalid, reason: #""\u{1b}""#),
                .pubrec(sequence: 6, packetID: 0x8006),
            ]
        )
        #expect(broker.client.inFlightCount == 2)
        // Its identifier is free at once.
        #expect(broker.send(2, "t", "x", qos: .exactlyOnce))
    }

    @Test("a message that is withdrawn is released, not sent", arguments: [true, false])
    func withdraw(isPresent: Bool) {
        let broker = self.accepted(.v311)
        for sequence in 1...3 { #expect(broker.send(Int64(sequence), "t", "x", qos: .exactlyOnce)) }
        #expect(!broker.withdraw(2))
        _ = broker.down()
        _ = broker.sent()
        #expect(broker.withdraw(2))
        #expect(!broker.withdraw(2))
        var session = UplinkSession(isPresent: isPresent)
        if !isPresent { session.forgottenReleases = [0x8002] }
        #expect(broker.reconnect(isPresent ? "20 02 01 00" : "20 02 00 00") == .connected(session))
        let first = isPresent ? "3c" : "34"
        #expect(broker.sent() == (isPresent ? ["62 8002"] : []) + [first + " 000174800178", first + " 000174800378"])
    }

    @Test("the broker owes PUBREC and PUBCOMP, but nothing while the owner writes")
    func owed() {
        let broker = self.accepted(.v311)
        #expect(broker.send(1, "t", "x", qos: .exactlyOnce))
        broker.pass(.seconds(20))
        #expect(broker.tick() == .none)
        #expect(broker.receive("50 02 8001").count == 1)
        for _ in 0..<5 {
            broker.pass(.seconds(40))
            #expect(broker.receive("d0 00") == [.none])
            #expect(broker.tick() == .none)
        }
        broker.release(0x8001)
        #expect(broker.tick() == .none)
        broker.pass(.seconds(40))
        #expect(broker.receive("d0 00") == [.none])
        #expect(broker.tick() == .none)
        broker.pass(.seconds(20))
        guard case .close(.notAcknowledging, _) = broker.tick() else { Issue.record(); return }
    }

    @Test("PUBREC and PUBCOMP of identifiers that are not known", arguments: versions)
    func unknown(version: MQTTVersion) {
        let broker = self.accepted(version)
        #expect(broker.receive("50 02 9000") == [.none])  // [MQTT-4.3.3-4], [MQTT-4.3.3-1 of 3.1.1]
        #expect(broker.sent() == [version == .v5 ? "62 900092" : "62 9000"])
        #expect(broker.receive("50 02 0005") == [.none])
        #expect(broker.receive("70 02 9000") == [.none])
        #expect(broker.receive("70 02 0005") == [.none])
        if version == .v5 {
            _ = broker.sent()
            #expect(broker.receive("70 03 9000 92 50 03 9000 80") == [.none, .none])
            #expect(broker.sent().isEmpty)
        }
    }

    @Test("a broker without QoS 2 answers with PUBACK, and has the message")
    func pubAck() {
        let broker = self.accepted(.v311)
        #expect(broker.send(2, "t", "x", qos: .exactlyOnce))
        #expect(broker.receive("40 02 8002") == [.acknowledged(sequence: 2)])
        #expect(broker.client.inFlightCount == 0)
        #expect(broker.send(2, "t", "x", qos: .exactlyOnce))
    }

    @Test("no more than 10 are open with 3.1.1, as a broker may drop what is over its limit", arguments: versions)
    func limit(version: MQTTVersion) {
        let broker = self.accepted(version)
        for sequence in 1...10 { #expect(broker.send(Int64(sequence), "t", "x", qos: .exactlyOnce)) }
        #expect(broker.send(21, "t", "x"))
        #expect(broker.send(22, "t", "x", qos: .exactlyOnce) == (version == .v5))
        #expect(broker.receive("50 02 8001").count == 1)
        broker.release(0x8001)
        #expect(broker.send(23, "t", "x", qos: .exactlyOnce) == (version == .v5))
        #expect(broker.receive("70 02 8001") == [.completed(packetID: 0x8001)])
        #expect(broker.send(24, "t", "x", qos: .exactlyOnce))
    }

    @Test(
        "answers that don't fit what was sent end the connection",
        arguments: [
            "50 02 0001", "70 02 0001", "70 02 8002", "50 02 8002 70 02 8002", "50 02 8002 40 02 8002", "40 02 8003",
            "50 02 0000", "50 03 8002 00", "52 02 8002", "70 01 80",
        ]
    )
    func misfits(hex: String) {
        let broker = self.accepted(.v311)
        #expect(broker.send(1, "t", "x"))
        #expect(broker.send(2, "t", "x", qos: .exactlyOnce))
        guard case .close = broker.receive(hex).last else { Issue.record("\(hex) was taken"); return }
        #expect(broker.client.inFlightCount == 2)
    }
}
