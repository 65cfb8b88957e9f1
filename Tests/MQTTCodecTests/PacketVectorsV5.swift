import MQTTCodec
import NIOCore

extension PacketVector {
    private static let pair = UserProperty(name: "k", value: "v")

    static let v5: [PacketVector] = [
        PacketVector(
            "CONNECT with nothing optional",
            "3.1",
            .v5,
            "10 11 0004'MQTT' 05 02 003C 00 0004'node'",
            .connect(Connect(version: .v5, clientID: "node", keepAlive: 60))
        ),
        PacketVector(
            "CONNECT with all properties",
            "3.1.2.11",
            .v5,
            """
            10 3B 0004'MQTT' 05 02 003C
            2A 110000000A 150001'm' 160001'd' 1700 1901 210014 22000A 260001'k'0001'v' 260001'k'0001'v' 2700010000
            0004'node'
            """,
            .connect(
                Connect(
                    version: .v5,
                    clientID: "node",
                    keepAlive: 60,
                    properties: properties {
                        $0.sessionExpiryInterval = 10
                        $0.authenticationMethod = "m"
                        $0.authenticationData = Password(ByteBuffer(string: "d"))
                        $0.requestProblemInformation = false
                        $0.requestResponseInformation = true
                        $0.receiveMaximum = 20
                        $0.topicAliasMaximum = 10
                        $0.userProperties = [pair, pair]
                        $0.maximumPacketSize = 65536
                    }
                )
            )
        ),
        PacketVector(
            "CONNECT with a will and a password alone",  // [MQTT-3.1.2-9], [MQTT-3.1.2-19], [MQTT-3.1.3-1]
            "3.1.3.2",
            .v5,
            """
            10 3C 0004'MQTT' 05 76 0000 00 0004'node'
            20 0101 020000003C 030001't' 080001'r' 0900020102 1800000005 260001'a'0001'b'
            0001'w' 0002'by' 0001'p'
            """,
            .connect(
                Connect(
                    version: .v5,
                    clientID: "node",
                    will: Will(
                        topic: topic("w"),
                        payload: ByteBuffer(string: "by"),
                        qos: .exactlyOnce,
                        retain: true,
                        properties: properties {
                            $0.payloadFormat = .utf8
                            $0.messageExpiryInterval = 60
                            $0.contentType = "t"
                            $0.responseTopic = topic("r")
                            $0.correlationData = ByteBuffer(bytes: [1, 2])
                            $0.willDelayInterval = 5
                            $0.userProperties = [UserProperty(name: "a", value: "b")]
                        }
                    ),
                    password: Password(ByteBuffer(string: "p"))
                )
            )
        ),
        PacketVector("CONNACK, accepted", "3.2", .v5, "20 03 00 00 00", .connack(ConnAck())),
        PacketVector(
            "CONNACK, bad user name or password",
            "3.2.2.2",
            .v5,
            "20 03 00 86 00",
            .connack(ConnAck(reasonCode: .badUserNameOrPassword))
        ),
        PacketVector(
            "CONNACK with all properties",
            "3.2.2.3",
            .v5,
            """
            20 40 01 00 3D
            1100000000 120002'id' 13003C 150001'm' 160001'd' 1A0001'i' 1C0001's' 1F0002'ok' 210064 220005 2401 2501
            260001'k'0000 2700000100 2800 2900 2A01
            """,
            .connack(
                ConnAck(
                    sessionPresent: true,
                    properties: properties {
                        $0.sessionExpiryInterval = 0
                        $0.assignedClientIdentifier = "id"
                        $0.serverKeepAlive = 60
                        $0.authenticationMethod = "m"
                        $0.authenticationData = Password(ByteBuffer(string: "d"))
                        $0.responseInformation = "i"
                        $0.serverReference = "s"
                        $0.reasonString = "ok"
                        $0.receiveMaximum = 100
                        $0.topicAliasMaximum = 5
                        $0.maximumQoS = .atLeastOnce
                        $0.retainAvailable = true
                        $0.userProperties = [UserProperty(name: "k", value: .empty)]
                        $0.maximumPacketSize = 256
                        $0.wildcardSubscriptionAvailable = false
                        $0.subscriptionIdentifierAvailable = false
                        $0.sharedSubscriptionAvailable = true
                    }
                )
            )
        ),
        PacketVector(
            "PUBLISH, QoS 0",  // [MQTT-2.2.2-1]
            "3.3",
            .v5,
            "30 08 0003'a/b' 00 'hi'",
            .publish(Publish(topic: topic("a/b"), payload: hi))
        ),
        PacketVector(
            "PUBLISH, QoS 1",
            "3.3",
            .v5,
            "33 0A 0003'a/b' 0007 00 'hi'",
            .publish(Publish(topic: topic("a/b"), payload: hi, qos: .atLeastOnce, retain: true, packetID: 7))
        ),
        PacketVector(
            "PUBLISH with all properties",
            "3.3.2.3",
            .v5,
            """
            32 2E 0003'a/b' 0007
            24 0101 020000000A 030001't' 080001'r' 090001FF 0B01 0BFFFFFF7F 230001 260001'k'0001'v'
            'hi'
            """,
            .publish(
                Publish(
                    topic: topic("a/b"),
                    payload: hi,
                    qos: .atLeastOnce,
                    packetID: 7,
                    properties: properties {
                        $0.payloadFormat = .utf8
                        $0.messageExpiryInterval = 10
                        $0.contentType = "t"
                        $0.responseTopic = topic("r")
                        $0.correlationData = ByteBuffer(bytes: [0xFF])
                        $0.subscriptionIdentifiers = [1, 268_435_455]
                        $0.topicAlias = 1
                        $0.userProperties = [pair]
                    }
                )
            )
        ),
        PacketVector("PUBACK", "3.4", .v5, "40 02 0001", .puback(PubAck(packetID: 1))),
        PacketVector(
            "PUBACK with a reason",
            "3.4.2.1",
            .v5,
            "40 03 0001 10",
            .puback(PubAck(packetID: 1, reasonCode: .noMatchingSubscribers))
        ),
        PacketVector(
            "PUBACK with a reason in words",
            "3.4.2.2",
            .v5,
            "40 0B 0001 87 07 1F0004'nope'",
            .puback(
                PubAck(packetID: 1, reasonCode: .notAuthorized, properties: properties { $0.reasonString = "nope" })
            )
        ),
        PacketVector(
            "PUBREC",
            "3.5",
            .v5,
            "50 03 0001 97",
            .pubrec(PubAck(packetID: 1, reasonCode: .quotaExceeded))
        ),
        PacketVector(
            "PUBREL",
            "3.6",
            .v5,
            "62 03 0001 92",
            .pubrel(PubAck(packetID: 1, reasonCode: .packetIdentifierNotFound))
        ),
        PacketVector(
            "PUBCOMP",
            "3.7",
            .v5,
            "70 0B 0001 92 07 260001'k'0001'v'",
            .pubcomp(
                PubAck(
                    packetID: 1,
                    reasonCode: .packetIdentifierNotFound,
                    properties: properties { $0.userProperties = [pair] }
                )
            )
        ),
        PacketVector(
            "SUBSCRIBE",
            "3.8",
            .v5,
            "82 0F 0001 02 0B05 0003'a/+' 2E 0001'#' 00",
            .subscribe(
                Subscribe(
                    packetID: 1,
                    subscriptions: [
                        Subscription(
                            filter: filter("a/+"),
                            qos: .exactlyOnce,
                            noLocal: true,
                            retainAsPublished: true,
                            retainHandling: .doNotSend
                        ),
                        Subscription(filter: filter("#"), qos: .atMostOnce),
                    ],
                    properties: properties { $0.subscriptionIdentifiers = [5] }
                )
            )
        ),
        PacketVector(
            "SUBSCRIBE to a shared filter",
            "4.8.2",
            .v5,
            "82 10 0002 00 000A'$share/g/t' 11",
            .subscribe(
                Subscribe(
                    packetID: 2,
                    subscriptions: [
                        Subscription(filter: filter("$share/g/t"), qos: .atLeastOnce, retainHandling: .sendIfNew)
                    ]
                )
            )
        ),
        PacketVector(
            "SUBACK",
            "3.9",
            .v5,
            "90 06 0001 00 02 87 9E",
            .suback(
                SubAck(packetID: 1, reasonCodes: [.grantedQoS2, .notAuthorized, .sharedSubscriptionsNotSupported])
            )
        ),
        PacketVector(
            "UNSUBSCRIBE",
            "3.10",
            .v5,
            "A2 08 0001 00 0003'a/b'",
            .unsubscribe(Unsubscribe(packetID: 1, filters: [filter("a/b")]))
        ),
        PacketVector(
            "UNSUBACK",
            "3.11",
            .v5,
            "B0 05 0001 00 00 11",
            .unsuback(UnsubAck(packetID: 1, reasonCodes: [.success, .noSubscriptionExisted]))
        ),
        PacketVector("PINGREQ", "3.12", .v5, "C0 00", .pingreq),
        PacketVector("PINGRESP", "3.13", .v5, "D0 00", .pingresp),
        PacketVector("DISCONNECT", "3.14", .v5, "E0 00", .disconnect(Disconnect())),
        PacketVector(
            "DISCONNECT with a reason",
            "3.14.2.1",
            .v5,
            "E0 01 8E",
            .disconnect(Disconnect(reasonCode: .sessionTakenOver))
        ),
        PacketVector(
            "DISCONNECT of a client",
            "3.14.2.2",
            .v5,
            "E0 07 04 05 110000000A",
            .disconnect(
                Disconnect(
                    reasonCode: .disconnectWithWill,
                    properties: properties { $0.sessionExpiryInterval = 10 }
                )
            )
        ),
        PacketVector(
            "DISCONNECT of a server",
            "3.14.2.2",
            .v5,
            "E0 09 9D 07 1C0004'host'",
            .disconnect(Disconnect(reasonCode: .serverMoved, properties: properties { $0.serverReference = "host" }))
        ),
        PacketVector("AUTH, success", "3.15", .v5, "F0 00", .auth(Auth())),
        PacketVector(
            "AUTH, continue",
            "3.15",
            .v5,
            "F0 0A 18 08 150001'm' 160001'd'",
            .auth(
                Auth(
                    reasonCode: .continueAuthentication,
                    properties: properties {
                        $0.authenticationMethod = "m"
                        $0.authenticationData = Password(ByteBuffer(string: "d"))
                    }
                )
            )
        ),
    ]
}
