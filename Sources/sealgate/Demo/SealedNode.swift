import MQTTCodec
import NIOCore
import Sealing

/// A v1 node of the demo: fetches its session IDs from the retained session topic and seals with them.
struct SealedNode: Sendable {
    let client: DemoClient
    /// Where it publishes.
    let topic: TopicName
    let sessionTopic: TopicName
    private let keys: V1Keys
    private let nodeID: [UInt8]
    private var sessionID: [UInt8]?

    init(client: DemoClient, topic: TopicName, sessionTopic: TopicName, keys: V1Keys, nodeID: String) {
        self.client = client
        self.topic = topic
        self.sessionTopic = sessionTopic
        self.keys = keys
        self.nodeID = Array(nodeID.utf8)
    }

    /// Subscribes to the session topic, as a node does that has just started.
    ///
    /// - Throws: ``DemoFailure`` if the gateway does not allow it.
    func begin() async throws {
        let filter = try TopicFilter(validating: self.sessionTopic.buffer)
        guard try await self.client.subscribe(filter) else {
            throw DemoFailure("\(self.client.name) may not subscribe to \(self.sessionTopic)")
        }
    }

    /// Seals `text` under the session ID that it has, or the next that is published.
    mutating func seal(_ text: String) async throws -> DemoMessage {
        let topic = self.sessionTopic
        let sessionID: [UInt8]
        if let known = self.sessionID {
            sessionID = known
        } else {
            let message = try await self.client.take("a session ID") { $0.topic == topic }
            sessionID = Array(message.payload.readableBytesView)
        }
        self.sessionID = sessionID
        let data = ByteBuffer(string: text)
        let payload = try V1Cipher.seal(data, keys: self.keys, nodeID: self.nodeID, sessionID: sessionID)
        return DemoMessage(topic: self.topic, payload: payload)
    }

    /// Its last message was acknowledged: the session ID is used up.
    mutating func accepted() {
        self.sessionID = nil
    }
}
