import MQTTCodec
import NIOCore
import Testing
import Uplink

@Suite("CONNECT and CONNACK of MQTT 5.0") struct V5ConnectTests {
    /// Puts Remaining Length in front of what follows it.
    private static func packet(_ firstByte: String, _ body: String) -> String {
        let bytes = body.filter { !$0.isWhitespace }.count / 2
        return firstByte + (bytes < 16 ? " 0" : " ") + String(bytes, radix: 16) + body
    }

    private static func connAck(_ properties: String, code: String = "00", present: String = "00") -> String {
        let bytes = properties.filter { !$0.isWhitespace }.count / 2
        return Self.packet("20", present + code + (bytes < 16 ? "0" : "") + String(bytes, radix: 16) + properties)
    }

    private func connecting(_ configuration: UplinkClient.Configuration = .v5) -> Broker {
        let broker = Broker(configuration)
        _ = broker.client.start(now: broker.now)
        broker.up()
        return broker
    }

    @Test("CONNECT says how long the session is kept and what the gateway takes")
    func connect() {
        var configuration = UplinkClient.Configuration.v5
        #expect(
            self.connecting(configuration).sent() == [
                "10 00044d5154540500003c0d1100093a8017012103e822002000056174746963"
            ]
        )
        configuration.maxPacketBytes = 0x40000
        configuration.sessionExpiry = 60
        configuration.receiveMaximum = 10
        configuration.inboundTopicAliasMaximum = 0
        configuration.requestProblemInformation = false
        configuration.userProperties = [UserProperty(name: "site", value: "x")]
        configuration.password = Password(ByteBuffer(string: "p"))
        #expect(
            self.connecting(configuration).sent() == [
                "10 00044d5154540540003c19" + "110000003c" + "1700" + "21000a" + "26000473697465000178" + "2700040000"
                    + "00056174746963" + "000170"
            ]
        )
        configuration = .v5
        configuration.cleanSession = true
        #expect(
            self.connecting(configuration).sent() == [
                "10 00044d5154540502003c08" + "1701" + "2103e8" + "220020" + "00056174746963"
            ]
        )
    }

    @Test("CONNECT carries a will, with its properties in 5.0 only", arguments: [MQTTVersion.v311, .v5])
    func will(version: MQTTVersion) throws {
        var configuration = UplinkClient.Configuration(clientID: "a")
        configuration.version = version
        configuration.cleanSession = true
        configuration.will = Will(
            topic: try TopicName("s"),
            payload: ByteBuffer(string: "off"),
            qos: .atLeastOnce,
            retain: true
        )
        configuration.will?.properties.willDelayInterval = 5
        let sent = self.connecting(configuration).sent()
        if version == .v5 {
            #expect(
                sent == [
                    "10 00044d515454052e003c08" + "17012103e8220020" + "000161" + "051800000005" + "0001730003"
                        + "6f6666"
                ]
            )
        } else {
            #expect(sent == ["10 00044d515454042e003c" + "000161" + "0001730003" + "6f6666"])
        }
    }

    @Test("a broker's limits are read, and are those of the standard where it says nothing")
    func limits() {
        let silent = Broker.accepted(.v5)
        #expect(silent.client.server == ServerLimits())
        let broker = Broker.accepted(
            .v5,
            connAck: Self.connAck(
                "11 00000e10 13 001e 21 0005 22 0007 24 01 25 00 27 00001000 28 00 29 00 2a 00 12 0001 7a"
            )
        )
        var limits = ServerLimits()
        limits.sessionExpiry = 3600
        limits.keepAlive = 30
        limits.receiveMaximum = 5
        limits.topicAliasMaximum = 7
        limits.maxQoS = .atLeastOnce
        limits.retainAvailable = false
        limits.maxPacketBytes = 4096
        limits.wildcardSubscriptions = false
        limits.subscriptionIdentifiers = false
        limits.sharedSubscriptions = false
        limits.assignedClientID = "z"
        #expect(broker.client.server == limits)
        // The next connection may say less.
        _ = broker.down()
        broker.reconnect()
        #expect(broker.client.server == ServerLimits())
    }

    @Test("the broker's keep alive replaces the gateway's where it is shorter [MQTT-3.1.2-21]")
    func keepAlive() {
        let broker = Broker.accepted(.v5, connAck: Self.connAck("13 000a"))
        broker.pass(.seconds(10))
        #expect(broker.tick() == .none)
        #expect(broker.sent() == ["c0 "])
        broker.pass(.seconds(5))
        guard case .close(.silent(keepAlive: .seconds(10)), _) = broker.tick() else { Issue.record(); return }

    }

    @Test(
        "a broker that wants no signs of life, or seldom, keeps nobody from noticing that the link is dead",
        arguments: [0, 9_000]
    )
    func seldomKeepAlive(seconds: UInt16) {
        let broker = Broker.accepted(.v5, connAck: Self.connAck(seconds == 0 ? "13 0000" : "13 2328"))
        broker.pass(.seconds(60))
        #expect(broker.tick() == .none)
        #expect(broker.sent() == ["c0 "])
        broker.pass(.seconds(30))
        guard case .close(.silent(keepAlive: .seconds(60)), _) = broker.tick() else { Issue.record(); return }
    }

    @Test("a client without an identifier keeps the one that it was given")
    func assigned() {
        var configuration = UplinkClient.Configuration.v5
        configuration.clientID = ""
        let broker = Broker.accepted(configuration, connAck: Self.connAck("12 0002 6869"))
        _ = broker.down()
        _ = broker.passToDeadline()
        broker.up()
        #expect(broker.sent().first?.hasSuffix("00026869") == true)
    }

    @Test(
        "a refusal is told with the code in words, and the broker's own words made safe",
        arguments: [
            ("86", "", "wrong user name or password (0x86)"),
            ("87", "1f 0003 6e6f21", #"not authorized (0x87): "no!""#),
            ("84", "", "it does not speak MQTT 5.0"), ("85", "", "client id"), ("88", "", "unavailable"),
            ("89", "", "busy"), ("8a", "", "banned"), ("8c", "", "another way of authentication"),
            ("97", "", "quota"), ("95", "", "larger than it takes"), ("9f", "", "too fast"),
            ("9c", "1c 0003 623a31", #"(0x9C): it names another server: "b:1""#),
            ("9d", "1f 0001 78 1c 0001 79", #"moved for good (0x9D): "x"; it names another server: "y""#),
            ("80", "1f 0004 1b5b326a", #""\u{1b}[2j""#), ("80", "1f 0003 e280ae", #""\u{202e}""#),
        ]
    )
    func refusals(code: String, properties: String, words: String) {
        let broker = self.connecting()
        let action = broker.receive(Self.connAck(properties, code: code)).first
        guard case .close(let failure, _) = action else { Issue.record("\(String(describing: action))"); return }
        #expect(failure.description.contains(words), "\(failure)")
        #expect(broker.client.phase == .waiting)
    }

    @Test("a broker's words are cut short")
    func longWords() {
        let broker = self.connecting()
        let text = String(repeating: "61", count: 60_000)
        // 60,008 bytes of packet, 60,003 of properties.
        guard case .close(let failure, _) = broker.receive("20 e8d403 00 80 e3d403 1f ea60" + text).first else {
            Issue.record()
            return
        }
        #expect(failure.description.contains("aaaa…"))
        #expect(failure.description.utf8.count < 300)
    }

    @Test("a broker of 3.1.1 says in its own way that it does not speak 5.0")
    func old() {
        let broker = self.connecting()
        _ = broker.sent()
        guard case .close(let failure, _) = broker.receive("20 02 00 01").first else { Issue.record(); return }
        #expect(failure == .versionNotSpoken(.v5))
        #expect(broker.sent().isEmpty)
    }

    @Test(
        "a CONNACK with nonsense ends the connection, and the broker is told",
        arguments: [
            ("20 02 00 00", "81"),  // No property length.
            (connAck("21 0005 21 0005"), "82"),  // Twice what may be there once.
            (connAck("13 001e 13 001e"), "82"), (connAck("24 01 24 00"), "82"),
            (connAck("21 0000"), "82"),  // Receive Maximum 0.
            (connAck("27 00000000"), "82"), (connAck("24 02"), "82"), (connAck("25 02"), "82"),
            (connAck("23 0001"), "81"),  // Topic Alias: not here.
            (connAck("7f 00"), "81"), (connAck("", code: "01"), "81"), (connAck("", code: "8e"), "81"),
            (connAck("", present: "02"), "81"), (connAck("", code: "80", present: "01"), "82"),
            (connAck("16 0001 00"), "82"),  // Authentication Data without Method.
            (connAck("15 0001 78"), "82"),  // [MQTT-4.12.0-6]
            (connAck("27 0000000f"), "83"),  // Packets of 15 bytes at most.
            ("f0 06 18 04 15 0001 78", "82"), ("f0 00", "82"),  // AUTH
            ("30 05 0001 61 00 78", "82"), ("e0 00", "82"), ("d0 00", "82"),
        ]
    )
    func nonsense(hex: String, code: String) {
        let broker = self.connecting()
        _ = broker.sent()
        guard case .close(let failure, _) = broker.receive(hex).last else { Issue.record("\(hex) was taken"); return }
        #expect(broker.sent() == ["e0 " + code], "\(failure)")
        #expect(broker.client.phase == .waiting)
    }

    @Test("a session that was not asked for is refused [MQTT-3.2.2-4]")
    func unwantedSession() {
        var configuration = UplinkClient.Configuration.v5
        configuration.cleanSession = true
        let broker = self.connecting(configuration)
        _ = broker.sent()
        guard case .close(.protocolError, _) = broker.receive("20 03 01 00 00").last else { Issue.record(); return }
        #expect(broker.sent() == ["e0 82"])
    }

    @Test("extended authentication is refused, whenever the broker asks for it [MQTT-4.12.0-6]")
    func authentication() {
        for isConnected in [false, true] {
            let broker = isConnected ? Broker.accepted(.v5) : self.connecting()
            _ = broker.sent()
            guard case .close(.extendedAuthentication, _) = broker.receive("f0 06 18 04 15 0001 78").last else {
                Issue.record()
                return
            }
            #expect(broker.sent() == ["e0 82"])
        }
    }

    @Test("filters that the broker has said it does not take are not asked for")
    func subscriptions() throws {
        var configuration = UplinkClient.Configuration.v5
        configuration.subscriptions = try ["a/+", "b", "$share/g/c", "dddddddddddddddd"].map {
            Subscription(filter: try TopicFilter($0), qos: .exactlyOnce, noLocal: true)
        }
        let broker = self.connecting(configuration)
        _ = broker.sent()
        _ = broker.receive(Self.connAck("28 00 2a 00 27 00000018"))
        #expect(broker.sent() == ["82 ffff00" + "000162" + "06"])
        let actions = broker.receive("90 04 ffff 00 02")
        let refused: [RefusedSubscription] = [
            .init(filter: try TopicFilter("a/+"), code: .wildcardSubscriptionsNotSupported),
            .init(filter: try TopicFilter("$share/g/c"), code: .sharedSubscriptionsNotSupported),
            .init(filter: try TopicFilter("dddddddddddddddd"), code: .packetTooLarge),
        ]
        #expect(actions == [.subscribed(refused: refused)])
    }

    @Test("SUBSCRIBE is cut to packets that the broker takes, and keeps its options [MQTT-3.8.3-4]")
    func subscribeOptions() throws {
        var configuration = UplinkClient.Configuration.v5
        configuration.subscriptions = [
            Subscription(filter: try TopicFilter("a/#"), qos: .atLeastOnce, noLocal: true, retainHandling: .sendIfNew),
            Subscription(filter: try TopicFilter("$share/g/c"), qos: .exactlyOnce, noLocal: true),
        ]
        let broker = self.connecting(configuration)
        _ = broker.sent()
        _ = broker.receive(Self.connAck("27 0000001a"))
        #expect(broker.sent() == ["82 ffff00" + "0003612f23" + "15"])
        #expect(broker.receive("90 04 ffff 00 01") == [.none])
        #expect(broker.sent() == ["82 ffff00" + "000a2473686172652f672f63" + "02"])
        let refused = RefusedSubscription(filter: try TopicFilter("$share/g/c"), code: .quotaExceeded)
        #expect(broker.receive("90 04 ffff 00 97") == [.subscribed(refused: [refused])])
    }
}
