import Devices
import MQTTCodec
import Sealing
import Testing

@Suite("Topics of commands that are sealed")
struct CommandTopicTests {
    private func registry(
        _ commands: [String]? = nil,
        subscribe: [String] = ["nodes/%d/sessionID", "nodes/%d/cmd/#", "weather/#"]
    ) throws -> DeviceRegistry {
        var sealed = try Profile.make(subscribe: subscribe, sessionTopic: "nodes/%d/sessionID", seal: .v1)
        sealed.sealedCommands = try commands?.map { text in try TopicTemplate(text) }
        let plain = try Profile.make("plain", subscribe: ["nodes/%d/cmd/#"])
        let registry = DeviceRegistry(gateway: "attic")
        var devices = try ["k", "gone", "bare", "open"].map { try Device.make($0) } + [try .make("lamp", "plain")]
        for index in devices.indices where devices[index].id.text != "bare" { devices[index].v1Keys = .random() }
        devices[1].isRevoked = true
        devices[3].seal = SealForm.none
        _ = registry.replace(devices: devices, profiles: [sealed, plain])
        return registry
    }

    private func device(_ registry: DeviceRegistry, _ topic: String) throws -> String? {
        registry.commandDevice(try TopicName(topic))?.text
    }

    @Test("are those that a sealed device alone may subscribe to, unless its profile names others")
    func byProfile() throws {
        let registry = try self.registry()
        #expect(try self.device(registry, "nodes/k/cmd/on") == "k")
        #expect(try self.device(registry, "nodes/k/cmd") == "k")
        for topic in [
            "nodes/k/temp", "weather/k", "nodes/k/sessionID", "nodes/k/cmd/sessionID", "nodes/k/cmd/on/sessionID",
            "nodes/nobody/cmd/on", "nodes/gone/cmd/on", "nodes/bare/cmd/on", "nodes/open/cmd/on", "nodes/lamp/cmd/on",
        ] { #expect(try self.device(registry, topic) == nil, "\(topic)") }
        #expect(try self.device(try self.registry([]), "nodes/k/cmd/on") == nil)
        let named = try self.registry(["actors/%d/+"])
        #expect(try self.device(named, "nodes/k/cmd/on") == nil)
        #expect(try self.device(named, "actors/k/on") == "k")
        // The gateway's own session IDs are no commands, however wide the filter is.
        let wide = try self.registry(subscribe: ["nodes/%d/#"])
        #expect(try self.device(wide, "nodes/k/sessionID") == nil)
        #expect(try self.device(wide, "nodes/k/x") == "k")
    }

    @Test("have a topic for session IDs below each")
    func sessions() throws {
        let registry = try self.registry()
        let found = registry.commandSession(try TopicName("nodes/k/cmd/on/sessionID"))
        #expect(found?.device.text == "k")
        #expect(found?.commands.description == "nodes/k/cmd/on")
        for topic in ["nodes/k/cmd/on", "nodes/k/sessionID", "/sessionID", "sessionID", "nodes/lamp/cmd/on/sessionID"] {
            let name = try TopicName(topic)
            #expect(registry.commandSession(name) == nil, "\(topic)")
        }
    }
}
