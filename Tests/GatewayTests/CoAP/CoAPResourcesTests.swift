import CoAPCodec
import Devices
import MQTTCodec
import NIOCore
import Testing

@testable import Gateway

@Suite("Resources of a listener of CoAP")
struct CoAPResourcesTests {
    private func resources(prefix: String = "ps", paths: [([String], String)] = []) throws -> CoAPResources {
        var listener = ListenerConfiguration(transport: .coap, bind: try NetworkAddress("127.0.0.1:5683"))
        listener.prefix = prefix
        listener.paths = try paths.map { CoAPPathRule(path: $0.0, topic: try TopicTemplate($0.1), line: 1) }
        return CoAPResources(listener, gateway: "attic")
    }

    private func target(_ resources: CoAPResources, _ path: String, device: String? = nil) throws -> CoAPTarget {
        resources.target(of: ByteBuffer(string: path), device: try device.map { try DeviceID($0) })
    }

    @Test("the path behind the prefix is the topic")
    func topics() throws {
        let own = try self.resources()
        #expect(try self.target(own, "ps/nodes/kitchen/temp") == .topic(TopicName("nodes/kitchen/temp")))
        #expect(try self.target(own, "ps/sid") == .topic(TopicName("sid")))
        for path in ["", "ps", "psx/a", "nodes/kitchen/temp", "p", ".well-known", "sid/x", "times"] {
            #expect(try self.target(own, path) == .nothing, "\(path)")
        }
        #expect(try self.target(own, "sid") == .sessionID)
        #expect(try self.target(own, "time") == .time)
        #expect(try self.target(own, ".well-known/core") == .wellKnownCore)
    }

    @Test("another prefix, and none")
    func prefixes() throws {
        let long = try self.resources(prefix: "mqtt/v1")
        #expect(try self.target(long, "mqtt/v1/a") == .topic(TopicName("a")))
        #expect(try self.target(long, "ps/a") == .nothing)
        let none = try self.resources(prefix: "")
        #expect(try self.target(none, "a/b") == .topic(TopicName("a/b")))
        #expect(try self.target(none, "") == .nothing)
        #expect(try self.target(none, "time") == .time)
    }

    @Test("short paths lead to topics, those of a device only if there is one")
    func shortPaths() throws {
        let own = try self.resources(paths: [(["t"], "nodes/%d/temp"), (["a", "b"], "%g/all")])
        #expect(try self.target(own, "t", device: "kitchen") == .topic(TopicName("nodes/kitchen/temp")))
        #expect(try self.target(own, "t") == .topicOfNobody)
        #expect(try self.target(own, "a/b") == .topic(TopicName("attic/all")))
        #expect(try self.target(own, "a") == .nothing)
    }

    @Test("lists what there is")
    func links() throws {
        var payload = ByteBuffer()
        for link in try self.resources(paths: [(["t"], "nodes/%d/temp")]).links { link.write(into: &payload) }
        let text = String(buffer: payload)
        for part in ["</ps/>", "</sid>", "</time>", "</t>"] { #expect(text.contains(part)) }
    }
}
