package import MQTTCodec

/// Why a connection to the outside broker ended, or did not come about. ``description`` is for the operator's log.
package enum UplinkFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The broker answered CONNECT with this refusal (MQTT 3.1.1 §3.2.2.3).
    case refused(ReasonCode)
    /// No CONNACK within this time.
    case noConnAck(within: Duration)
    /// Nothing was received for one and a half keep-alive intervals.
    case silent(keepAlive: Duration)
    /// The broker acknowledged nothing for this time, though it owes an acknowledgement.
    case notAcknowledging(within: Duration)
    /// A packet that breaks the format.
    case malformed(MQTTDecodeError)
    /// A well-formed packet that breaks the protocol; in words.
    case protocolError(String)
    /// What TCP or TLS said, in words.
    case transport(String)

    /// One sentence without a full stop, with no secret in it.
    package var description: String {
        switch self {
        case .refused(let code): "the broker refused the connection: \(Self.words(for: code))"
        case .noConnAck(let time): "the broker did not answer CONNECT within \(time)"
        case .silent(let keepAlive): "the broker fell silent (nothing received for 1.5 times \(keepAlive))"
        case .notAcknowledging(let time): "the broker acknowledged nothing for \(time)"
        case .malformed(let error): "the broker sent a malformed packet: \(error)"
        case .protocolError(let words): "the broker broke the protocol: \(words)"
        case .transport(let words): words
        }
    }

    private static func words(for code: ReasonCode) -> String {
        switch code {
        case .unsupportedProtocolVersion: "it does not speak MQTT 3.1.1"
        case .clientIdentifierNotValid: "it does not take this client id"
        case .serverUnavailable: "its MQTT service is unavailable"
        case .badUserNameOrPassword: "wrong user name or password"
        case .notAuthorized: "not authorized"
        default: "\(code)"
        }
    }
}
