package import MQTTCodec

extension UplinkClient {
    /// What one uplink's client is told. The values are those of gateway.conf, or its defaults.
    package struct Configuration: Sendable {
        /// Client identifier; the gateway's name unless set.
        package var clientID: MQTTString
        /// `false` keeps commands waiting at the broker while the gateway is away.
        package var cleanSession = false
        /// Whole seconds, at most 65,535; 0 turns the watch off.
        package var keepAliveSeconds: UInt16 = 60
        /// `nil` for none.
        package var userName: MQTTString?
        /// Only together with a user name `[MQTT-3.1.2-22 of 3.1.1]`.
        package var password: Password?
        /// Filters of the routes in at the outside broker, asked for after every CONNACK. QoS 2 is asked for as 1, until the
        /// client has that half of the protocol.
        package var subscriptions: [Subscription] = []
        /// Filters in one SUBSCRIBE; some brokers refuse more than eight.
        package var filtersPerSubscribe = 8
        /// Most unacknowledged QoS 1 messages, 1 to ``UplinkClient/maxInFlight``.
        package var inFlight = 100
        /// Most bytes of topics and payloads in flight. A larger single message is sent when nothing else is in flight.
        package var inFlightBytes = 8 << 20
        /// Messages from the broker that may wait for the gateway's acknowledgement before reading pauses.
        package var inboundLimit = 1000
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
        "client \(self.clientID), keep alive \(self.keepAliveSeconds) s, \(self.subscriptions.count) subscriptions"
    }
}
