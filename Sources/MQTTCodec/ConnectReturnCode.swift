/// CONNACK's return codes in MQTT 3.1 and 3.1.1 (MQTT 3.1.1 §3.2.2.3).
public enum ConnectReturnCode: UInt8, Sendable, Hashable, CaseIterable {
    case accepted = 0
    case unacceptableProtocolVersion = 1
    case identifierRejected = 2
    case serverUnavailable = 3
    case badUserNameOrPassword = 4
    case notAuthorized = 5

    /// The code that says to a 3.x client what `reason` says to one of 5.0; nil where none does. Then the connection is
    /// closed without a CONNACK `[MQTT-3.2.2-6 of 3.1.1]`.
    public init?(_ reason: ReasonCode) {
        switch reason {
        case .success: self = .accepted
        case .unsupportedProtocolVersion: self = .unacceptableProtocolVersion
        case .clientIdentifierNotValid: self = .identifierRejected
        case .serverUnavailable, .serverBusy, .useAnotherServer, .serverMoved, .connectionRateExceeded, .quotaExceeded:
            self = .serverUnavailable
        case .badUserNameOrPassword: self = .badUserNameOrPassword
        case .notAuthorized, .banned, .badAuthenticationMethod: self = .notAuthorized
        default: return nil  // Every other code of 5.0 has no word in 3.x.
        }
    }

    /// The same in the words of MQTT 5.0. `ConnectReturnCode(code.reasonCode) == code` holds for every code.
    public var reasonCode: ReasonCode {
        switch self {
        case .accepted: .success
        case .unacceptableProtocolVersion: .unsupportedProtocolVersion
        case .identifierRejected: .clientIdentifierNotValid
        case .serverUnavailable: .serverUnavailable
        case .badUserNameOrPassword: .badUserNameOrPassword
        case .notAuthorized: .notAuthorized
        }
    }
}
