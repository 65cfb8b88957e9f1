package import NIOCore

/// Values of the Observe option (RFC 7641 §2).
package enum CoAPObserve {
    /// In a GET: be told of changes.
    package static let register: UInt32 = 0
    /// In a GET: be told no longer.
    package static let deregister: UInt32 = 1
    /// Sequence numbers have 24 bits.
    package static let sequenceMask: UInt32 = 0xFF_FFFF
    /// After so long every notification counts as new, whatever its number (RFC 7641 §3.4).
    package static let reorderingTime: TimeAmount = .seconds(128)

    /// Whether a notification is newer than the newest so far (RFC 7641 §3.4).
    ///
    /// - Parameters:
    ///   - sequence: Of the notification that came; 24 bits.
    ///   - newest: Of the newest so far.
    ///   - elapsed: Time between their arrivals.
    package static func isFresh(_ sequence: UInt32, after newest: UInt32, elapsed: TimeAmount) -> Bool {
        if elapsed > Self.reorderingTime { return true }
        let half: UInt32 = 1 << 23
        return sequence > newest ? sequence - newest < half : newest > sequence && newest - sequence > half
    }
}
