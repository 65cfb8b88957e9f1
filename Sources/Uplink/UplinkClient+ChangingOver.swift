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

    /// For the next CONNECT.
    package mutating func replaceCredentials(userName: MQTTString?, password: Password?) {
        self.configuration.userName = userName
        self.configuration.password = password
    }
}
