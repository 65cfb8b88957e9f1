package import MQTTCodec
package import NIOCore

extension UplinkClient {
    /// Sends a QoS 0 message past the order of the numbered ones: nothing of it is kept, and nothing is owed.
    ///
    /// - Returns: `false` unless connected.
    package mutating func sendUnstored(
        topic: TopicName,
        payload: ByteBuffer,
        retain: Bool,
        into output: inout ByteBuffer
    ) -> Bool {
        guard case .connected = self.state else { return false }
        Publish.write(
            topic: topic,
            payload: payload,
            qos: .atMostOnce,
            retain: retain,
            version: self.version,
            into: &output
        )
        self.keepAlive.sent(self.clock)
        return true
    }
}
