package import MQTTCodec

extension ServerConnection {
    /// What the owner must decide or do after a packet.
    package enum Event {
        case none
        /// Decide who this is, now or later, then call ``accept(_:_:now:)`` or ``farewell(_:)`` and ``close()``. No frame
        /// may be handed in before.
        case connect(Connect)
        /// Publish it; at QoS 1 a PUBACK, at QoS 2 a PUBREC is owed, in the order of these events `[MQTT-4.6.0-2]`,
        /// `[MQTT-4.6.0-3]`. The topic is there, whatever alias stood for it.
        case publish(Publish)
        /// PUBREL: a PUBCOMP is owed `[MQTT-4.3.3-11]`, and the identifier is free `[MQTT-4.3.3-12]`.
        case release(packetID: UInt16)
        /// PUBACK: the client has this QoS 1 message, or will not take it.
        case acknowledged(packetID: UInt16, ReasonCode)
        /// PUBREC: the client has this QoS 2 message, then a PUBREL is owed; or will not take it, then none is
        /// `[MQTT-4.3.3-4]`.
        case recorded(packetID: UInt16, ReasonCode)
        /// PUBCOMP: the last of a QoS 2 message.
        case completed(packetID: UInt16, ReasonCode)
        /// A SUBACK is owed, with one code for each filter, in order `[MQTT-3.8.4-6]`.
        case subscribe(Subscribe)
        /// An UNSUBACK is owed `[MQTT-3.10.4-4]`.
        case unsubscribe(Unsubscribe)
        /// A PINGRESP is owed `[MQTT-3.12.4-1]`.
        case ping
        /// Send what ``farewell(_:)`` gives for the closure's reason code, then close the network connection, after the
        /// bytes that are written already.
        case close(Closure)
    }

    /// Why the connection ends.
    package enum Closure: Error, Equatable, Sendable, CustomStringConvertible {
        /// DISCONNECT with this code. The will is sent unless it is 0 `[MQTT-3.14.4-3]`.
        case disconnected(ReasonCode)
        /// The protocol name is known and its level is not `[MQTT-3.1.2-2]`, `[MQTT-3.1.2-2 of 3.1.1]`.
        case unsupportedProtocol
        /// CONNECT names an Authentication Method; none is supported `[MQTT-4.12.0-1]`.
        case enhancedAuthentication
        case malformed(MQTTDecodeError)
        case protocolError(String)
        /// More filters in one packet than is allowed here.
        case tooManyFilters(limit: Int)
        /// An alias above the Topic Alias Maximum, or one that stands for nothing `[MQTT-3.3.2-9]`.
        case topicAliasInvalid
        /// An alias for a topic longer than what is kept.
        case topicTooLong(limit: Int)
        /// More unanswered messages than the Receive Maximum (MQTT 5.0 §3.3.4).
        case receiveMaximumExceeded
        /// A QoS above the Maximum QoS (MQTT 5.0 §3.2.2.3.4).
        case qosNotSupported
        /// RETAIN where it is not available `[MQTT-3.2.2-14]`.
        case retainNotSupported
        /// Nothing came for one and a half times the keep alive `[MQTT-3.1.2-22]`.
        case keepAliveExpired
        /// No CONNECT in time.
        case connectTimeout
        /// The owner did not decide about CONNECT in time.
        case decisionTimeout

        /// What a client of MQTT 5.0 is told of it, in CONNACK or DISCONNECT; nil: nothing.
        package var reasonCode: ReasonCode? {
            switch self {
            case .disconnected, .connectTimeout: nil
            case .unsupportedProtocol: .unsupportedProtocolVersion
            case .enhancedAuthentication: .badAuthenticationMethod
            case .malformed(let error): error.reasonCode
            case .protocolError: .protocolError
            case .tooManyFilters: .quotaExceeded
            case .topicAliasInvalid: .topicAliasInvalid
            case .topicTooLong: .topicNameInvalid
            case .receiveMaximumExceeded: .receiveMaximumExceeded
            case .qosNotSupported: .qosNotSupported
            case .retainNotSupported: .retainNotSupported
            case .keepAliveExpired: .keepAliveTimeout
            case .decisionTimeout: .serverUnavailable
            }
        }

        /// Whether the will, if there is one, is due `[MQTT-3.1.2-8]`, `[MQTT-3.1.2-10]`.
        package var publishesWill: Bool { self != .disconnected(.normalDisconnection) }

        /// For the operator's log; peers are told a code at most.
        package var description: String {
            switch self {
            case .disconnected(.normalDisconnection): "the client disconnected"
            case .disconnected(.disconnectWithWill): "the client disconnected and wants its will sent"
            case .disconnected(let code): "the client disconnected: \(code)"
            case .unsupportedProtocol:
                "a protocol version that is not supported: set the client to MQTT 5.0, 3.1.1 or 3.1"
            case .enhancedAuthentication: "an authentication method, of which none is supported"
            case .malformed(let error): "malformed packet: \(error)"
            case .protocolError(let words): "protocol error: \(words)"
            case .tooManyFilters(let limit): "more filters than \(limit) in one packet"
            case .topicAliasInvalid: "a topic alias above the maximum, or one that stands for no topic"
            case .topicTooLong(let limit): "a topic alias for a topic of more than \(limit) bytes"
            case .receiveMaximumExceeded: "more unacknowledged messages than the receive maximum"
            case .qosNotSupported: "a message above the maximum QoS"
            case .retainNotSupported: "a retained message, which is not available"
            case .keepAliveExpired: "nothing received for 1.5 times the keep alive"
            case .connectTimeout: "no CONNECT in time"
            case .decisionTimeout: "who the client is was not decided in time"
            }
        }
    }
}
