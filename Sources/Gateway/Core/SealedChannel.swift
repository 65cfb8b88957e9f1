import Devices
import MQTTCodec
import NIOCore
import Sealing

/// One session topic: the receiver that issues and consumes its session IDs.
final class SealedChannel {
    let topic: TopicName
    let receiver: V1Receiver
    /// `max_payload` of the profile behind the topic.
    var maxPayload: Int

    init(topic: TopicName, receiver: V1Receiver, maxPayload: Int) {
        self.topic = topic
        self.receiver = receiver
        self.maxPayload = maxPayload
    }
}
