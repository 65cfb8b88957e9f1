package import NIOCore

/// What a DTLS server may hold, and for how long. DTLS 1.2 with pre-shared keys.
package struct DTLSConfiguration: Sendable {
    /// Bytes of the keys that tickets are sealed with.
    package static let ticketKeyBytes = 80

    /// The key of an identity; called on the event loop.
    package var keyLookup: TLSConfiguration.KeyLookup
    /// Kept over restarts, sessions can be resumed after one; `nil`: no tickets. Secret.
    package var ticketKeys: [UInt8]?
    /// Bytes of a datagram that is sent, without the headers of UDP and IP.
    package var maxDatagramBytes = 1232
    /// Sessions whose handshake is done. Over it the one that was silent for longest goes.
    package var maxSessions = 2000
    /// Handshakes under way, behind the cookie. Over it the oldest goes.
    package var maxHalfOpen = 100
    /// For how long a handshake may go on behind the cookie. Counted by a clock that nobody sets, unlike OpenSSL's own.
    package var handshakeTimeout: TimeAmount = .seconds(30)
    /// Handshakes that are begun, each some tenths of a millisecond of arithmetic: those over it come again, as their hellos are repeated, and
    /// the messages of others are not held up.
    package var handshakesPerSecond = 250
    /// A session that was silent for so long goes.
    package var idleTimeout: TimeAmount = .hours(24)

    package init(keyLookup: @escaping TLSConfiguration.KeyLookup) {
        self.keyLookup = keyLookup
    }
}
