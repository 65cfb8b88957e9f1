import Devices
import MQTTCodec

extension Profile {
    /// `publish` on line + 1, `subscribe` on line + 2, `deny` on line + 3.
    static func make(
        _ name: String = "sensor",
        line: Int = 20,
        publish: [String] = [],
        subscribe: [String] = [],
        deny: [String] = [],
        sessionTopic: String? = nil,
        seal: SealForm = .none
    ) throws -> Profile {
        var profile = Profile(name: name, line: line)
        profile.publish = try publish.map { PolicyLine(template: try TopicTemplate($0), line: line + 1) }
        profile.subscribe = try subscribe.map { PolicyLine(template: try TopicTemplate($0), line: line + 2) }
        profile.deny = try deny.map { PolicyLine(template: try TopicTemplate($0), line: line + 3) }
        profile.sessionTopic = try sessionTopic.map { text in try TopicTemplate(text) }
        profile.seal = seal
        return profile
    }

    /// A policy for `device` of the gateway "attic", with this profile's session topic reserved.
    func policy(_ device: String? = "kitchen") throws -> DevicePolicy {
        DevicePolicy(
            profile: self,
            device: try device.map { text in try DeviceID(text) },
            gateway: "attic",
            reserved: ReservedTopics(profiles: [self], gateway: "attic")
        )
    }
}

extension Device {
    static func make(_ id: String, _ profile: String = "sensor") throws -> Device {
        Device(id: try DeviceID(id), profile: profile)
    }
}
