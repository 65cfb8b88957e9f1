import Broker
package import NIOCore

extension MQTTConnection {
    /// Limits and times of one connection.
    package struct Configuration: Sendable {
        /// Largest packet, fixed header included, once the client is connected.
        package var maxPacketBytes = 256 << 10
        /// Largest CONNECT.
        package var maxConnectBytes = 64 << 10
        /// CONNECT must be complete within this time of `accept`.
        package var connectTimeout: TimeAmount = .seconds(5)
        /// A client about which the gateway has not decided within this time of its CONNECT is turned away.
        package var decisionTimeout: TimeAmount = .seconds(30)
        /// Longest keep alive that is watched, in seconds.
        package var maxKeepAliveSeconds: UInt16 = 3600
        /// Bytes that may wait for a slow reader.
        package var maxQueuedBytes = 1 << 20
        /// How long a client may let more than that wait before it is cut off.
        package var slowReaderTimeout: TimeAmount = .seconds(30)
        /// How long a client that was told why its connection ends has to close its side.
        package var lingerTime: TimeAmount = .seconds(2)
        /// What it may send meanwhile, in bytes; it is thrown away.
        package var maxLingerBytes = 1 << 20
        /// Most filters of one SUBSCRIBE or UNSUBSCRIBE.
        package var maxFiltersPerPacket = 128
        /// Most QoS 1 and QoS 2 messages of a client of MQTT 5.0 that are not answered to the end.
        package var receiveMaximum: UInt16 = 100
        /// Highest topic alias that is taken; 0: none.
        package var topicAliasMaximum: UInt16 = 10
        /// Longest topic in bytes for which an alias is taken.
        package var maxTopicBytes = 65_535
        /// Highest topic alias that is sent; 0: none.
        package var outboundTopicAliasMaximum: UInt16 = 10
        /// Most user properties of one packet.
        package var maxUserProperties = 64

        package init() {}

        var limits: ServerConnection.Limits {
            var limits = ServerConnection.Limits()
            limits.maxFiltersPerPacket = self.maxFiltersPerPacket
            limits.receiveMaximum = self.receiveMaximum
            limits.topicAliasMaximum = self.topicAliasMaximum
            limits.maxTopicBytes = self.maxTopicBytes
            limits.outboundTopicAliasMaximum = self.outboundTopicAliasMaximum
            limits.maxUserProperties = self.maxUserProperties
            limits.maxPacketBytes = self.maxPacketBytes
            limits.maxKeepAlive = self.maxKeepAliveSeconds
            return limits
        }
    }

    /// How a connection ended.
    package struct End: Sendable {
        package enum Kind: Sendable {
            /// DISCONNECT, the peer went away, or the gateway closed it.
            case normal
            /// The peer broke the protocol, or sent nothing in time.
            case misbehaved
            /// TLS was not set up.
            case handshakeFailed

            init(_ closure: ServerConnection.Closure?) {
                switch closure {
                case .malformed, .protocolError, .unsupportedProtocol, .enhancedAuthentication, .connectTimeout,
                    .tooManyFilters, .topicAliasInvalid, .topicTooLong, .receiveMaximumExceeded, .qosNotSupported,
                    .retainNotSupported:
                    self = .misbehaved
                case .disconnected, .keepAliveExpired, .decisionTimeout, nil:
                    self = .normal
                }
            }
        }

        package let kind: Kind
        /// In words for the operator; may hold what the peer sent.
        package let reason: String
        /// Of a DISCONNECT that changed it, in seconds; nil: as it was.
        package let sessionExpiryInterval: UInt32?
    }
}
