import Devices
import MQTTCodec
import NIOCore
import Sealing

/// One session topic: the receiver that issues and consumes its session IDs.
final class SealedChannel {
    let topic: TopicName
    let receiver: V1Receiver

    init(topic: TopicName, receiver: V1Receiver) {
        self.topic = topic
        self.receiver = receiver
    }
}
