/// Why a v1 message was refused, for the operator's counters and log. The sender is never told which it was: every
/// refusal looks the same from outside.
package enum V1Refusal: String, Error, Sendable, CaseIterable, CustomStringConvertible {
    /// Not four fields of the right lengths, in hex or raw.
    case malformed
    /// No device could have sent this here: the topic has none, or the claimed one is unknown.
    case unknownDevice
    /// No key set and no session ID in use makes the MAC hold: forged, damaged, or of a session long gone.
    case badSeal
    /// Sealed with the right keys under a session ID that was used before, has expired, or was rotated away.
    case staleSession
    /// The keys fit, but the node id inside is on no device's record here. A hint, found without proof.
    case unknownNode
    /// Proven, but by another device than the one that must have sent it.
    case wrongDevice
    /// Proven, but its IV is one that the device used a short while ago.
    case repeatedIV

    /// A few words for the log; constant text without secrets.
    package var description: String {
        switch self {
        case .malformed: "not a v1 payload"
        case .unknownDevice: "unknown device"
        case .badSeal: "seal does not verify"
        case .staleSession: "replay of a spent session id"
        case .unknownNode: "node id of no device here"
        case .wrongDevice: "sealed by another device"
        case .repeatedIV: "repeated IV: the node's random numbers repeat"
        }
    }
}
