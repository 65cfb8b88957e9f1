import MQTTCodec
import NIOCore
import Testing

/// A packet as bytes and as a value.
struct PacketVector: Sendable, CustomTestStringConvertible {
    let name: String
    /// Of the version's standard.
    let section: String
    let version: MQTTVersion
    /// In the notation of ``wire(_:)``.
    let bytes: String
    let packet: MQTTPacket

    init(_ name: String, _ section: String, _ version: MQTTVersion, _ bytes: String, _ packet: MQTTPacket) {
        self.name = name
        self.section = section
        self.version = version
        self.bytes = bytes
        self.packet = packet
    }

    var testDescription: String { "MQTT \(self.version) §\(self.section) \(self.name)" }

    static func topic(_ text: String) -> TopicName { literal { try TopicName(text) } }

    static func filter(_ text: String) -> TopicFilter { literal { try TopicFilter(text) } }

    /// A literal of a table: if it is wrong the table is, and no test can run.
    private static func literal<Value>(_ make: () throws -> Value) -> Value {
        do { return try make() } catch { preconditionFailure("\(error)") }
    }

    static func properties(_ set: (inout MQTTProperties) -> Void) -> MQTTProperties {
        var properties = MQTTProperties()
        set(&properties)
        return properties
    }

    static let all = v3 + v5

    static let hi = ByteBuffer(string: "hi")

    static let v3: [PacketVector] = [
        PacketVector(
            "CONNECT with nothing optional",
            "3.1",
            .v311,
            "10 10 0004'MQTT' 04 02 003C 0004'node'",
            .connect(Connect(version: .v311, clientID: "node", keepAlive: 60))
        ),
        PacketVector(
            "CONNECT with everything",  // [MQTT-3.1.2-9], [MQTT-3.1.2-17], [MQTT-3.1.2-19], [MQTT-3.1.3-1]
            "3.1",
            .v311,
            "10 27 0004'MQTT' 04 EE 000A 0004'node' 0006'node/w' 0004'gone' 0003'bob' 0002'pw'",
            .connect(
                Connect(
                    version: .v311,
                    clientID: "node",
                    keepAlive: 10,
                    will: Will(
                        topic: topic("node/w"),
                        payload: ByteBuffer(string: "gone"),
                        qos: .atLeastOnce,
                        retain: true
                    ),
                    userName: "bob",
                    password: Password(ByteBuffer(string: "pw"))
                )
            )
        ),
        PacketVector(
            "CONNECT without identifier",
            "3.1.3.1",
            .v311,
            "10 0C 0004'MQTT' 04 02 0000 0000",
            .connect(Connect(version: .v311, clientID: .empty))
        ),
        PacketVector(
            "CONNECT with empty user name and password",
            "3.1.3.4",
            .v311,
            "10 11 0004'MQTT' 04 C2 0000 0001'n' 0000 0000",
            .connect(
                Connect(version: .v311, clientID: "n", userName: .empty, password: Password(ByteBuffer()))
            )
        ),
        PacketVector(
            "CONNECT of a bridge",
            "3.1",
            .v311,
            "10 10 0004'MQTT' 84 00 003C 0004'site'",
            .connect(Connect(version: .v311, clientID: "site", cleanStart: false, keepAlive: 60, isBridge: true))
        ),
        PacketVector(
            "CONNECT",
            "3.1",
            .v31,
            "10 12 0006'MQIsdp' 03 02 003C 0004'node'",
            .connect(Connect(version: .v31, clientID: "node", keepAlive: 60))
        ),
        PacketVector(
            "CONNECT of a bridge",
            "3.1",
            .v31,
            "10 12 0006'MQIsdp' 83 02 003C 0004'site'",
            .connect(Connect(version: .v31, clientID: "site", keepAlive: 60, isBridge: true))
        ),
        PacketVector("CONNACK, accepted", "3.2", .v311, "20 02 00 00", .connack(ConnAck())),
        PacketVector(
            "CONNACK with a session",
            "3.2.2.2",
            .v311,
            "20 02 01 00",
            .connack(ConnAck(sessionPresent: true))
        ),
        PacketVector(
            "CONNACK, unacceptable protocol version",
            "3.2.2.3",
            .v311,
            "20 02 00 01",
            .connack(ConnAck(reasonCode: .unsupportedProtocolVersion))
        ),
        PacketVector(
            "CONNACK, not authorized",
            "3.2.2.3",
            .v311,
            "20 02 00 05",
            .connack(ConnAck(reasonCode: .notAuthorized))
        ),
        PacketVector(
            "PUBLISH, QoS 0",  // [MQTT-2.2.1-2]
            "3.3",
            .v311,
            "30 07 0003'a/b' 'hi'",
            .publish(Publish(topic: topic("a/b"), payload: hi))
        ),
        PacketVector(
            "PUBLISH, QoS 1",
            "3.3",
            .v311,
            "32 09 0003'a/b' 000A 'hi'",
            .publish(Publish(topic: topic("a/b"), payload: hi, qos: .atLeastOnce, packetID: 10))
        ),
        PacketVector(
            "PUBLISH, QoS 2, again, retained, empty",
            "3.3",
            .v311,
            "3D 07 0003'a/b' FFFF",
            .publish(
                Publish(
                    topic: topic("a/b"),
                    payload: ByteBuffer(),
                    qos: .exactlyOnce,
                    retain: true,
                    dup: true,
                    packetID: 65535
                )
            )
        ),
        PacketVector(
            "PUBLISH that clears a retained message",
            "3.3.1.3",
            .v311,
            "31 05 0003'a/b'",
            .publish(Publish(topic: topic("a/b"), payload: ByteBuffer(), retain: true))
        ),
        PacketVector(
            "PUBLISH with a topic beyond ASCII",
            "3.3.2.1",
            .v311,
            "30 0A 0008'søl/€'",
            .publish(Publish(topic: topic("søl/€"), payload: ByteBuffer()))
        ),
        PacketVector("PUBACK", "3.4", .v311, "40 02 0001", .puback(PubAck(packetID: 1))),
        PacketVector("PUBREC", "3.5", .v311, "50 02 0001", .pubrec(PubAck(packetID: 1))),
        PacketVector("PUBREL", "3.6", .v311, "62 02 0001", .pubrel(PubAck(packetID: 1))),
        PacketVector("PUBCOMP", "3.7", .v311, "70 02 FFFF", .pubcomp(PubAck(packetID: 65535))),
        PacketVector(
            "SUBSCRIBE",
            "3.8",
            .v311,
            "82 0E 000A 0003'a/b' 01 0003'c/d' 02",
            .subscribe(
                Subscribe(
                    packetID: 10,
                    subscriptions: [
                        Subscription(filter: filter("a/b"), qos: .atLeastOnce),
                        Subscription(filter: filter("c/d"), qos: .exactlyOnce),
                    ]
                )
            )
        ),
        PacketVector(
            "SUBACK",
            "3.9",
            .v311,
            "90 06 000A 00 01 02 80",
            .suback(
                SubAck(packetID: 10, reasonCodes: [.grantedQoS0, .grantedQoS1, .grantedQoS2, .unspecifiedError])
            )
        ),
        PacketVector(
            "UNSUBSCRIBE",
            "3.10",
            .v311,
            "A2 0C 000A 0003'a/b' 0003'c/#'",
            .unsubscribe(Unsubscribe(packetID: 10, filters: [filter("a/b"), filter("c/#")]))
        ),
        PacketVector("UNSUBACK", "3.11", .v311, "B0 02 000A", .unsuback(UnsubAck(packetID: 10))),
        PacketVector("PINGREQ", "3.12", .v311, "C0 00", .pingreq),
        PacketVector("PINGRESP", "3.13", .v311, "D0 00", .pingresp),
        PacketVector("DISCONNECT", "3.14", .v311, "E0 00", .disconnect(Disconnect())),
    ]
}
