import NIOCore
import Sealing
import TestSupport

/// A node of the v1 kind, made of mosquitto's clients: gets session IDs, seals, publishes.
struct SealedNode {
    let id: String
    let nodeID: String
    let secret: UInt8
    let target: MosquittoTarget
    private let sessions: MosquittoSubscriber

    /// Different secrets for each number.
    static func keys(secret: UInt8) -> (staticIV: [UInt8], ivKey: [UInt8], dataKey: [UInt8], passphrase: [UInt8]) {
        func bytes(_ start: UInt8) -> [UInt8] { (0..<16).map { start &+ $0 ^ secret } }
        return (bytes(1), bytes(40), bytes(80), bytes(120))
    }

    /// Subscribes to the session topic of `id`.
    init(id: String, nodeID: String, secret: UInt8, target: MosquittoTarget) async throws {
        self.id = id
        self.nodeID = nodeID
        self.secret = secret
        self.target = target
        self.sessions = try await MosquittoSubscriber.start(target, topics: ["nodes/\(id)/sessionID"])
    }

    /// The nth session ID that was published, from 1.
    func session(_ number: Int) async throws -> String {
        try await self.sessions.messages(number)[number - 1].payload
    }

    /// All that came so far.
    var sessionIDs: [String] { self.sessions.received.map(\.payload) }

    /// What the node sends for `data` under a session ID.
    func seal(_ data: String, session: String) throws -> String {
        try Self.seal(data, session: session, nodeID: self.nodeID, secret: self.secret)
    }

    /// The same for a node that speaks another way.
    static func seal(_ data: String, session: String, nodeID: String, secret: UInt8) throws -> String {
        let keys = Self.keys(secret: secret)
        let payload = try V1Cipher.seal(
            ByteBuffer(string: data),
            keys: V1Keys(
                staticIV: keys.staticIV,
                ivKey: keys.ivKey,
                dataKey: keys.dataKey,
                passphrase: keys.passphrase
            ),
            nodeID: Array(nodeID.utf8),
            sessionID: Array(session.utf8)
        )
        return String(buffer: payload)
    }

    /// Publishes bytes at QoS 1 and waits for the acknowledgement.
    func publish(_ payload: String, topic: String = "data") async throws -> ChildProcess.Finished {
        try await MosquittoPublisher.publish(self.target, topic: "nodes/\(self.id)/\(topic)", payload: payload)
    }

    func stop() async throws { try await self.sessions.stop() }
}
