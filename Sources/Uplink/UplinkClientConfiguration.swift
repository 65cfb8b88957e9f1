package import MQTTCodec

extension UplinkClient {
    /// What one uplink's client is told. The values are those of gateway.conf, or its defaults.
    package struct Configuration: Sendable {
        /// MQTT 3.1.1 or 5.0.
        package var version = MQTTVersion.v311
        /// Client identifier; the gateway's name unless set. If it is empty, 5.0 keeps the one that the broker assigned for
        /// the connections after.
        package var clientID: MQTTString
        /// `false` keeps commands waiting at the broker while the gateway is away.
        package var cleanSession = false
        /// How long they wait there, in seconds; `UInt32.max`: without end. 5.0 only, and not with ``cleanSession``.
        package var sessionExpiry: UInt32 = 7 * 86_400
        /// Whole seconds, at most 65,535; 0 turns the watch off. With 5.0 the broker may decide otherwise.
        package var keepAliveSeconds: UInt16 = 60
        /// `nil` for none.
        package var userName: MQTTString?
        /// With 3.1.1 only together with a user name `[MQTT-3.1.2-22 of 3.1.1]`.
        package var password: Password?
        /// What the broker publishes when the gateway is lost.
        package var will: Will?
        /// Of CONNECT; 5.0 only.
        package var userProperties: [UserProperty] = []
        /// Whether the broker may say why it refuses something; 5.0 only.
        package var requestProblemInformation = true
        /// Filters of the routes in at the outside broker, asked for after every CONNACK. Their options are for 5.0.
        package var subscriptions: [Subscription] = []
        /// Filters in one SUBSCRIBE; some brokers refuse more than eight.
        package var filtersPerSubscribe = 8
        /// Most messages at QoS 1 and 2 that wait for the broker's answer, 1 to ``UplinkClient/maxInFlight``.
        package var inFlight = 100
        /// Most of them at QoS 2 with 3.1.1, whose brokers can't say how many they take: by default Mosquitto takes 20, others 10.
        /// One more, also of QoS 1, Mosquitto answers as if it had taken it, and drops it.
        package var exactlyOnceInFlight = 10
        /// Most bytes of topics and payloads in flight. A larger single message is sent when nothing else is in flight.
        package var inFlightBytes = 8 << 20
        /// Most topic aliases that are used for what is sent, where the broker allows as many; 5.0 only.
        package var maxOutboundTopicAliases = 64
        /// Messages from the broker that may wait for the gateway's acknowledgement before reading pauses.
        package var inboundLimit = 1000
        /// QoS 1 and 2 messages that the broker may send without an answer, from 1; 5.0 only, 3.1.1 can't say it.
        package var receiveMaximum: UInt16 = 1000
        /// Topic aliases that the broker may use; each keeps a topic in memory. 5.0 only.
        package var inboundTopicAliasMaximum: UInt16 = 32
        /// The largest packet that the broker may send, in bytes, from 1; `nil`: any. 5.0 only; what is larger all the same is
        /// for the owner to skip, see ``UplinkClient/skipped(firstByte:packetID:now:into:)``.
        package var maxPacketBytes: UInt32?
        /// Time for CONNACK, counted from CONNECT.
        package var connAckTimeout: Duration = .seconds(10)
        /// The longest time in which the broker may acknowledge nothing at all while it owes an acknowledgement. Some
        /// brokers drop a message over their limits silently; only a new connection gets it sent again.
        package var acknowledgementTimeout: Duration = .seconds(60)
        /// Waits between attempts.
        package var backoff = Backoff()

        /// The defaults.
        package init(clientID: MQTTString) {
            self.clientID = clientID
        }
    }
}

extension UplinkClient.Configuration: CustomStringConvertible {
    /// For logs; the password is left out.
    package var description: String {
        """
        client \(self.clientID), MQTT \(self.version), keep alive \(self.keepAliveSeconds) s, \
        \(self.subscriptions.count) subscriptions
        """
    }
}
