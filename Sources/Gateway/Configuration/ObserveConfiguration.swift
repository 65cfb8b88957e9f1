package import Devices
package import MQTTCodec

/// One `[[observe]]` table: a resource that a node hosts, and the topic on which what it says is that of a device.
package struct ObserveConfiguration: Sendable, Equatable {
    /// The line of `[[observe]]` in gateway.conf.
    package var line: Int
    /// As written, for logs.
    package var text: String
    /// A name or an address, and the port.
    package var address: NetworkAddress
    /// Whether the host is a name, which the node is told (RFC 7252 §6.4).
    package var hasName: Bool
    /// Segments, unescaped.
    package var path: [String]
    /// Parts of the query, unescaped.
    package var queries: [String]
    /// Whose messages they are.
    package var device: DeviceID
    /// Where they are published.
    package var topic: TopicName
    /// Whether they replace the topic's retained value, where the profile allows that.
    package var retain: Bool

    /// What is asked for, for comparing.
    var identity: [String] { [self.address.description] + self.path.map { "/" + $0 } + self.queries.map { "?" + $0 } }
}
