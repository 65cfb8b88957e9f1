package import MQTTCodec

/// Why a connection to the outside broker ended, or did not come about. ``description`` is for the operator's log.
package enum UplinkFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The broker answered CONNECT with this refusal (MQTT 3.1.1 §3.2.2.3, MQTT 5.0 §3.2.2.2), maybe in words, which are
    /// printable and short.
    case refused(ReasonCode, words: String?)
    /// The broker does not speak this version.
    case versionNotSpoken(MQTTVersion)
    /// The broker ended the connection with this DISCONNECT (MQTT 5.0 §3.14), maybe in words, which are printable and short.
    case disconnected(ReasonCode, words: String?)
    /// No CONNACK within this time.
    case noConnAck(within: Duration)
    /// Nothing was received for one and a half keep-alive intervals.
    case silent(keepAlive: Duration)
    /// The broker acknowledged nothing for this time, though it owes an acknowledgement.
    case notAcknowledging(within: Duration)
    /// The broker asked for more than user name and password (MQTT 5.0 §4.12).
    case extendedAuthentication
    /// The broker takes packets of so many bytes at most, with which no message can be sent.
    case packetsTooSmall(limit: Int)
    /// A packet that breaks the format.
    case malformed(MQTTDecodeError)
    /// A well-formed packet that breaks the protocol; in words.
    case protocolError(String)
    /// What TCP or TLS said, in words.
    case transport(String)

    /// One sentence without a full stop, with no secret in it.
    package var description: String {
        switch self {
        case .refused(let code, let words):
            "the broker refused the connection: \(Self.words(code, words))"
        case .versionNotSpoken(let version): "the broker refused the connection: it does not speak MQTT \(version)"
        case .disconnected(let code, let words):
            "the broker ended the connection: \(Self.words(code, words))"
        case .noConnAck(let time): "the broker did not answer CONNECT within \(time)"
        case .silent(let keepAlive): "the broker fell silent (nothing received for 1.5 times \(keepAlive))"
        case .notAcknowledging(let time): "the broker acknowledged nothing for \(time)"
        case .extendedAuthentication:
            "the broker asks for extended authentication (AUTH), which the gateway does not speak"
        case .packetsTooSmall(let limit): "the broker takes packets of at most \(limit) bytes, too few for a message"
        case .malformed(let error): "the broker sent a malformed packet: \(error)"
        case .protocolError(let words): "the broker broke the protocol: \(words)"
        case .transport(let words): words
        }
    }

    /// Such as `it is shutting down (0x8B): "see you"`.
    private static func words(_ code: ReasonCode, _ words: String?) -> String {
        let number = String(code.rawValue, radix: 16, uppercase: true)
        let padded = number.count < 2 ? "0\(number)" : number
        return "\(code.uplinkWords) (0x\(padded))" + (words.map { ": \($0)" } ?? "")
    }
}
