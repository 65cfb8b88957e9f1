import CoAPCodec
import Devices
import MQTTCodec
import NIOCore

/// What the path of a request leads to.
enum CoAPTarget: Equatable {
    /// `/ps/<topic>`, or one of the listener's `paths`.
    case topic(TopicName)
    /// A path of `paths` whose topic needs a device, and there is none.
    case topicOfNobody
    /// `/sid`.
    case sessionID
    /// `/time`.
    case time
    /// `/.well-known/core` (RFC 7252 §7.2).
    case wellKnownCore
    /// Nothing is there.
    case nothing
}

/// The resources of one listener, by their paths. Bound to the gateway's loop.
struct CoAPResources {
    /// A path of the configuration.
    struct ShortPath {
        let path: ByteBuffer
        let topic: TopicTemplate
    }

    private static let wellKnownCore = ByteBuffer(string: ".well-known/core")
    private static let sessionID = ByteBuffer(string: "sid")
    private static let time = ByteBuffer(string: "time")

    private let gateway: String
    /// With the slash behind it; empty: the whole path is the topic.
    private let prefix: ByteBuffer
    private let paths: [ShortPath]

    /// - Parameter gateway: The gateway's name, for `%g`.
    init(_ listener: ListenerConfiguration, gateway: String) {
        self.gateway = gateway
        self.prefix = ByteBuffer(string: listener.prefix.isEmpty ? "" : listener.prefix + "/")
        self.paths = listener.paths.map {
            ShortPath(path: ByteBuffer(string: $0.path.joined(separator: "/")), topic: $0.topic)
        }
    }

    /// Finds what a path leads to.
    ///
    /// - Parameter path: The segments that are not empty, joined by slashes.
    func target(of path: ByteBuffer, device: DeviceID?) -> CoAPTarget {
        if self.prefix.readableBytes > 0, let topic = self.topic(behindPrefixOf: path) { return .topic(topic) }
        // What a listener with an empty prefix names like this is no topic.
        if path.hasSameBytes(as: Self.sessionID) { return .sessionID }
        if path.hasSameBytes(as: Self.time) { return .time }
        if path.hasSameBytes(as: Self.wellKnownCore) { return .wellKnownCore }
        for short in self.paths where short.path.hasSameBytes(as: path) {
            return short.topic.expandTopic(device: device, gateway: self.gateway).map(CoAPTarget.topic)
                ?? .topicOfNobody
        }
        return self.topic(behindPrefixOf: path).map(CoAPTarget.topic) ?? .nothing
    }

    private func topic(behindPrefixOf path: ByteBuffer) -> TopicName? {
        guard path.readableBytes > self.prefix.readableBytes, path.hasPrefix(self.prefix) else { return nil }
        var topic = path
        topic.moveReaderIndex(forwardBy: self.prefix.readableBytes)
        // CoAPPath lets no segment pass that no topic name could hold.
        return TopicName(unchecked: topic)
    }

    /// What `/.well-known/core` lists.
    var links: [CoRELink] {
        // The collection of topics, in the words of draft-ietf-core-coap-pubsub.
        var links = [
            CoRELink(path: "/" + String(buffer: self.prefix), [.init("rt", "core.ps.coll"), .init("obs")]),
            CoRELink(path: "/sid", [.init("ct", "0"), .init("obs"), .init("title", "session ID of a sealed node")]),
            CoRELink(path: "/time", [.init("ct", "0"), .init("title", "seconds since 1970")]),
        ]
        links += self.paths.map { CoRELink(path: "/" + String(buffer: $0.path), [.init("rt", "core.ps.data")]) }
        return links
    }
}

extension ByteBuffer {
    fileprivate func hasPrefix(_ prefix: ByteBuffer) -> Bool {
        self.withUnsafeReadableBytes { bytes in
            prefix.withUnsafeReadableBytes { bytes.prefix($0.count).elementsEqual($0) }
        }
    }
}
