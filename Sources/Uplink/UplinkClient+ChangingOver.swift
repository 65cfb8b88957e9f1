package import MQTTCodec
package import NIOCore

/// Leaving a connection that is good, for one that is better.
extension UplinkClient {
    /// A better connection is up: DISCONNECT goes out on the present one, which the owner then closes, and connects at once.
    /// What is in flight is sent again there.
    ///
    /// - Returns: `.connect`, or `.none` unless connected.
    package mutating func changeOver(now: NIODeadline, into output: inout ByteBuffer) -> UplinkAction {
        self.clock = now
        guard case .connected = self.state else { return .none }
        output.writeInteger(0xE000, as: UInt16.self)
        self.state = .connecting
        self.connectionEnded()
        return .connect
    }

    /// There is no use for a connection for now: DISCONNECT goes out on the present one, if there is one, which the owner then
    /// closes. What is in flight stays for the next connection, which ``start(now:)`` begins. Not after ``stop(into:)``.
    package mutating func rest(into output: inout ByteBuffer) {
        switch self.state {
        case .stopped: preconditionFailure("rest in \(self.phase)")
        case .connected: output.writeInteger(0xE000, as: UInt16.self)
        case .idle, .connecting, .awaitingConnAck, .waiting: break
        }
        self.state = .idle
        self.connectionEnded()
    }

    /// Whether it remembers nothing that a new client in its place would not know.
    package var isForgettable: Bool {
        self.window.count == 0 && self.held.isEmpty && self.inbound.count == 0
    }

    /// For the next CONNECT.
    package mutating func replaceCredentials(userName: MQTTString?, password: Password?) {
        self.configuration.userName = userName
        self.configuration.password = password
    }
}
