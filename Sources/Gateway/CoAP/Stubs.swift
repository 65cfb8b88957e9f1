import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Transport

final class Piggyback {
    func begin(
        for device: DeviceID,
        sessionID: ByteBuffer?,
        isProven: Bool,
        done: @escaping ((topic: TopicName, payload: ByteBuffer)?) -> Void
    ) { done(nil) }
}
extension GatewayCore {
    var piggyback: Piggyback { Piggyback() }
}
