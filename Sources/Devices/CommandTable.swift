package import MQTTCodec
import NIOCore

/// Which topics are for one device alone, and sealed for it if its messages are sealed: by the `sealed_commands` of all
/// profiles, or what stands for them.
struct CommandTable {
    private struct Claim {
        var pattern: TopicPattern
        var profile: Int
    }

    private let claims: [Claim]

    init(profiles: [Profile], gateway: String) {
        self.claims = profiles.enumerated().flatMap { index, profile in
            profile.commandTopics.map { Claim(pattern: $0.pattern(gateway: gateway), profile: index) }
        }
    }

    /// The device that a command on `topic` is for: the first id that a filter takes out of it and `isMeant` agrees to, given
    /// the filter's profile. No allocation where no filter matches.
    func device(of topic: TopicName, where isMeant: (DeviceID, Int) -> Bool) -> DeviceID? {
        guard !self.claims.isEmpty, !topic.isCommandSessionTopic else { return nil }
        for claim in self.claims {
            if let id = claim.pattern.device(in: topic), isMeant(id, claim.profile) { return id }
        }
        return nil
    }
}

extension TopicName {
    private static let sessionSuffix: StaticString = "/sessionID"

    /// Whether nodes publish session IDs on it, for the commands on the topic that is left without its last level.
    var isCommandSessionTopic: Bool {
        let suffix = Self.sessionSuffix.utf8CodeUnitCount
        guard self.buffer.readableBytes > suffix else { return false }
        return self.buffer.withUnsafeReadableBytes { bytes in
            bytes.suffix(suffix).elementsEqual(
                UnsafeBufferPointer(start: Self.sessionSuffix.utf8Start, count: suffix)
            )
        }
    }

    /// The topic whose commands are sealed under the session IDs that are published on this one; nil if this is none.
    var commandTopic: TopicName? {
        guard self.isCommandSessionTopic else { return nil }
        let count = self.buffer.readableBytes - Self.sessionSuffix.utf8CodeUnitCount
        guard let slice = self.buffer.getSlice(at: self.buffer.readerIndex, length: count) else { return nil }
        return TopicName(unchecked: slice)
    }

    /// Where session IDs for the commands on this topic are published.
    package var commandSessionTopic: String { self.description + "\(Self.sessionSuffix)" }
}

extension DeviceRegistry {
    /// The device that messages on `topic` are sealed for; nil if none is: by `sealed_commands` of its profile, the form of its
    /// seal, and whether it has keys.
    ///
    /// - Parameter needsKeys: False where the devices were read without their secrets: then each counts as having some.
    package func commandDevice(_ topic: TopicName, needsKeys: Bool = true) -> DeviceID? {
        let id = self.commands.device(of: topic) { id, profile in
            self.isOf(id, profile: profile) && self.seal(of: id) == .v1 && self.device(id)?.isRevoked == false
                && (!needsKeys || self.v1Member(id) != nil)
        }
        return id.flatMap { self.reserved.contains(topic) ? nil : $0 }
    }

    /// Whose session IDs are published on `topic`, and for the commands of which topic; nil if it is not such a topic.
    ///
    /// - Parameter needsKeys: See ``commandDevice(_:needsKeys:)``.
    package func commandSession(
        _ topic: TopicName,
        needsKeys: Bool = true
    ) -> (device: DeviceID, commands: TopicName)? {
        guard let commands = topic.commandTopic,
            let device = self.commandDevice(commands, needsKeys: needsKeys)
        else { return nil }
        return (device, commands.compacted())
    }
}
