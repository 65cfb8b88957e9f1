package import Devices
import MQTTCodec
package import NIOCore

/// `[limits]`: what one gateway lets its peers use. Every table, queue and buffer behind a listener is bounded by one of
/// these.
package struct GatewayLimits: Sendable, Equatable {
    /// Connections on all listeners together.
    package var maxConnections = 10_000
    /// Connections from one address.
    package var maxConnectionsPerAddress = 1_000
    /// Connections of one device that proved itself.
    package var maxConnectionsPerDevice = 100
    /// Sessions, those of absent clients included; nil: twice ``maxConnections``.
    package var maxSessions: Int?
    /// Sessions of one device that proved itself.
    package var maxSessionsPerDevice = 100
    /// How long a session outlives its connection at most, if its client proved itself.
    package var sessionExpiry: Duration = .seconds(7 * 86_400)
    /// The same of clients that proved nothing, guests among them.
    package var sessionExpiryUnproven: Duration = .seconds(3_600)
    /// Connections whose CONNECT was not accepted yet, on all listeners together; those of one address at most half of it.
    package var maxHalfOpen = 2_000
    /// From the accepted connection to a whole CONNECT, the handshakes of TLS and WebSocket included.
    package var connectTimeout: Duration = .seconds(5)
    /// Largest MQTT packet in bytes, fixed header included; larger ones are refused from their header alone.
    package var maxPacket = 256 * 1024
    /// Subscriptions of one session.
    package var maxSubscriptions = 100
    /// Levels of a topic or filter; the codec takes none with more than ``TopicName/maxLevels``.
    package var maxTopicLevels = TopicName.maxLevels
    /// Bytes of a topic or filter.
    package var maxTopicLength = 4_096
    /// Bytes of a client id.
    package var maxClientIDLength = 256
    /// Topic aliases of one client, each way.
    package var maxTopicAliases = 10
    /// User properties of one packet.
    package var maxUserProperties = MQTTProperties.defaultMaxUserProperties
    /// Topics with a retained message.
    package var maxRetained = 10_000
    /// Topics with a retained message of one device.
    package var maxRetainedPerDevice = 5_000
    /// Bytes of all retained messages, topics included.
    package var maxRetainedBytes = 16 * 1024 * 1024
    /// Bytes that wait to be written to one connection; past it QoS 0 is dropped, and a reader that stays slow is cut off.
    package var maxQueuedBytes = 1024 * 1024
    /// Messages that wait for one client, beside those in flight.
    package var maxQueuedMessages = 1_000
    /// Bytes that wait for all clients together; past it nothing more is queued for absent ones.
    package var maxQueuedTotal = 64 << 20
    /// Longest keep alive that is granted. MQTT 3.1.1 has no way to tell the client, so that one who asks for more, or for
    /// none, is held to this. Zero: whatever the client says, none at all included.
    package var maxKeepAlive: Duration = .seconds(3_600)
    /// QoS 1 and 2 messages on their way to one client, not yet acknowledged.
    package var maxInflight = 20
    /// QoS 1 and 2 messages of one client, not yet acknowledged: Receive Maximum for clients of MQTT 5.0. For those of 3.x
    /// it bounds QoS 2 between PUBLISH and PUBREL.
    package var receiveMaximum = 100
    /// Addresses that CoAP remembers anything of: requests for deduplication, observers; on each listener.
    package var maxCoapPeers = 20_000
    /// Observations over CoAP, on each listener.
    package var maxCoapObservers = 10_000
    /// DTLS sessions, on each listener; over it the one that was silent longest goes.
    package var maxDtlsSessions = 2_000
    /// How long a DTLS session outlives its last message.
    package var dtlsIdleTimeout: Duration = .seconds(86_400)
    /// Bytes of a body put together from blocks, either way.
    package var maxCoapBody = 64 * 1024
    /// How often `$SYS` is published; zero: never.
    package var systemInterval: Duration = .seconds(10)
    /// How often the figures of an uplink are published, if they have changed. Whether it is connected is said at once.
    package var stateInterval: Duration = .seconds(10)
    /// Failures (unproven, unopened, malformed) of one address before it has to wait. The number is also the burst.
    package var failureRate = Rate(count: 10, interval: .seconds(60))

    /// The defaults.
    package init() {}

    /// Reads `[limits]`.
    init(_ reader: ConfigurationReader) {
        func set<Value>(_ property: WritableKeyPath<GatewayLimits, Value>, _ value: Value?) {
            if let value { self[keyPath: property] = value }
        }
        set(\.maxConnections, reader.int("max_connections", in: 1...1_000_000))
        set(\.maxConnectionsPerAddress, reader.int("max_connections_per_address", in: 1...1_000_000))
        set(\.maxConnectionsPerDevice, reader.int("max_connections_per_device", in: 1...1_000_000))
        set(\.maxSessions, reader.int("max_sessions", in: 1...2_000_000))
        set(\.maxSessionsPerDevice, reader.int("max_sessions_per_device", in: 1...1_000_000))
        set(\.sessionExpiry, reader.duration("session_expiry", in: .seconds(1)...(.seconds(366 * 86_400))))
        set(
            \.sessionExpiryUnproven,
            reader.duration("session_expiry_unproven", in: .seconds(1)...(.seconds(366 * 86_400)))
        )
        set(\.maxHalfOpen, reader.int("max_half_open", in: 2...1_000_000))
        set(\.connectTimeout, reader.duration("connect_timeout", in: .milliseconds(100)...(.seconds(60))))
        set(\.maxPacket, reader.size("max_packet", in: 128...(128 << 20)))
        set(\.maxSubscriptions, reader.int("max_subscriptions", in: 1...100_000))
        set(\.maxTopicLevels, reader.int("max_topic_levels", in: 1...TopicName.maxLevels))
        set(\.maxTopicLength, reader.size("max_topic_length", in: 1...65_535))
        set(\.maxClientIDLength, reader.size("max_client_id_length", in: 23...65_535))
        set(\.maxTopicAliases, reader.int("max_topic_aliases", in: 0...65_535))
        set(\.maxUserProperties, reader.int("max_user_properties", in: 0...10_000))
        set(\.maxRetained, reader.int("max_retained", in: 0...10_000_000))
        set(\.maxRetainedPerDevice, reader.int("max_retained_per_device", in: 0...10_000_000))
        set(\.maxRetainedBytes, reader.size("max_retained_bytes", in: 0...(4 << 30)))
        set(\.maxQueuedBytes, reader.size("max_queued_bytes", in: 4_096...(1 << 30)))
        set(\.maxQueuedMessages, reader.int("max_queued_messages", in: 1...10_000_000))
        set(\.maxQueuedTotal, reader.size("max_queued_total", in: 65_536...(64 << 30)))
        set(\.maxKeepAlive, Self.readMaxKeepAlive(reader))
        set(\.maxInflight, reader.int("max_inflight", in: 1...65_535))
        set(\.receiveMaximum, reader.int("max_inflight_inbound", in: 1...65_535))
        set(\.maxCoapPeers, reader.int("max_coap_peers", in: 16...1_000_000))
        set(\.maxCoapObservers, reader.int("max_coap_observers", in: 0...1_000_000))
        set(\.maxDtlsSessions, reader.int("max_dtls_sessions", in: 1...100_000))
        set(\.dtlsIdleTimeout, reader.duration("dtls_idle_timeout", in: .seconds(60)...(.seconds(30 * 86_400))))
        set(\.maxCoapBody, reader.size("max_coap_body", in: 1_024...(16 << 20)))
        set(\.systemInterval, reader.duration("sys_interval", in: .zero...(.seconds(86_400))))
        set(\.stateInterval, reader.duration("state_interval", in: .seconds(1)...(.seconds(86_400))))
        set(\.failureRate, reader.rate("failure_rate"))
        reader.finish()
    }

    /// MQTT counts keep alives in seconds: less than one would become none, which lifts the limit.
    private static func readMaxKeepAlive(_ reader: ConfigurationReader) -> Duration? {
        let key = "max_keep_alive"
        guard let longest = reader.duration(key, in: .zero...(.seconds(65_535))) else { return nil }
        guard longest == .zero || longest >= .seconds(1) else {
            return reader.refuse(key, "is less than a second; write \"1s\" or more, or \"0s\" for no limit")
        }
        return longest
    }

    /// What is wrong with the size of a topic or filter, for the operator; nil: nothing.
    package func problem(with topic: ByteBuffer) -> String? {
        guard topic.readableBytes <= self.maxTopicLength else {
            return "\(topic.readableBytes) bytes, over max_topic_length = \(self.maxTopicLength)"
        }
        // Nothing shorter can be deeper.
        guard topic.readableBytes >= self.maxTopicLevels else { return nil }
        let levels = topic.readableBytesView.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 }
        guard levels > self.maxTopicLevels else { return nil }
        return "\(levels) levels, over max_topic_levels = \(self.maxTopicLevels)"
    }
}
