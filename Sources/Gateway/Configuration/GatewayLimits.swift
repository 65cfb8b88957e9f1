package import Devices

/// `[limits]`: what one gateway lets its peers use. Every table, queue and buffer behind a listener is bounded by one of
/// these.
package struct GatewayLimits: Sendable, Equatable {
    /// Connections on all listeners together.
    package var maxConnections = 10_000
    /// Connections from one address.
    package var maxConnectionsPerAddress = 1_000
    /// Connections whose CONNECT was not accepted yet, on all listeners together; those of one address at most half of it.
    package var maxHalfOpen = 2_000
    /// From the accepted connection to a whole CONNECT, the handshakes of TLS and WebSocket included.
    package var connectTimeout: Duration = .seconds(5)
    /// Largest MQTT packet in bytes, fixed header included; larger ones are refused from their header alone.
    package var maxPacket = 256 * 1024
    /// Subscriptions of one session.
    package var maxSubscriptions = 100
    /// Topics with a retained message.
    package var maxRetained = 10_000
    /// Bytes of all retained messages, topics included.
    package var maxRetainedBytes = 16 * 1024 * 1024
    /// Bytes that wait to be written to one connection; past it QoS 0 is dropped, and a reader that stays slow is cut off.
    package var maxQueuedBytes = 1024 * 1024
    /// Longest keep alive that is granted. MQTT 3.1.1 has no way to tell the client, so that one who asks for more, or for
    /// none, is held to this. Zero: whatever the client says, none at all included.
    package var maxKeepAlive: Duration = .seconds(3_600)
    /// QoS 1 messages on their way to one client, not yet acknowledged.
    package var maxInflight = 20
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
        set(\.maxHalfOpen, reader.int("max_half_open", in: 2...1_000_000))
        set(\.connectTimeout, reader.duration("connect_timeout", in: .milliseconds(100)...(.seconds(60))))
        set(\.maxPacket, reader.size("max_packet", in: 128...(128 << 20)))
        set(\.maxSubscriptions, reader.int("max_subscriptions", in: 1...100_000))
        set(\.maxRetained, reader.int("max_retained", in: 0...10_000_000))
        set(\.maxRetainedBytes, reader.size("max_retained_bytes", in: 0...(4 << 30)))
        set(\.maxQueuedBytes, reader.size("max_queued_bytes", in: 4_096...(1 << 30)))
        set(\.maxKeepAlive, reader.duration("max_keep_alive", in: .zero...(.seconds(65_535))))
        set(\.maxInflight, reader.int("max_inflight", in: 1...65_535))
        set(\.failureRate, reader.rate("failure_rate"))
        reader.finish()
    }
}
