import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Transport

final class CoAPReader {
    init(core: GatewayCore) {}
    func get(
        _ request: CoAPRequest,
        topic: TopicName,
        identity: Client.Identity,
        claimed: String?,
        isSessionID: Bool,
        on channel: CoAPChannel
    ) {
        channel.respond(to: request.id, .error(.notFound))
    }
    func observationDue(_ id: CoAPObservationID, on channel: CoAPChannel) {}
    func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: CoAPChannel) {}
    func notificationConfirmed(_ id: CoAPObservationID, on channel: CoAPChannel) {}
    func endObservations(of devices: Set<DeviceID>) {}
    func eTag(of topic: TopicName) -> ByteBuffer? { nil }
}
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
