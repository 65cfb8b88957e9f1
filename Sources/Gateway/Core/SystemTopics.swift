import Broker
import MQTTCodec
import NIOCore

/// The values of `$SYS`, as they were last published: only what has changed is sent again.
///
/// The names below `$SYS/broker` are those of Mosquitto, so that dashboards made for it show something here; what only a
/// gateway has is below `$SYS/gateway`.
struct SystemTopics {
    /// How often; zero: never.
    let interval: Duration
    private var sent: [String: String] = [:]

    init(interval: Duration) {
        self.interval = interval
    }

    /// The messages whose value is another one than the last time.
    mutating func changed(of values: [(name: String, value: String)]) -> [Message] {
        var messages: [Message] = []
        for (name, value) in values where self.sent[name] != value {
            self.sent[name] = value
            if let message = Self.message(name, value) { messages.append(message) }
        }
        return messages
    }

    /// One value as a message; nil if its name can't be a topic.
    static func message(_ name: String, _ value: String) -> Message? {
        guard let topic = try? TopicName("$SYS/" + name) else { return nil }
        return Message(topic: topic, payload: ByteBuffer(string: value), qos: .exactlyOnce, retain: true)
    }
}
