import CoAPCodec
import Devices
import Sealing

extension Profile {
    /// Where a v1 profile publishes session IDs unless it says otherwise.
    static let defaultSessionTopic = "nodes/%d/sessionID"

    /// Reads one `[profile.NAME]`.
    init(_ reader: ConfigurationReader, name: String) {
        self.init(name: name, line: reader.line)
        do {
            try DeviceID.check(name)
        } catch {
            reader.error("the name of a profile \(error)")
        }
        let unsupported = [SealForm.v2, .cose].map(\.rawValue)
        if let seal: SealForm = reader.choice("seal", reserved: Set(unsupported)) { self.seal = seal }
        if let plaintext = reader.bool("plaintext") { self.plaintext = plaintext }
        if let identifyBy: IdentifyBy = reader.choice("identify_by") { self.identifyBy = identifyBy }
        self.publish = reader.templates("publish") ?? []
        self.subscribe = reader.templates("subscribe") ?? []
        self.deny = reader.templates("deny") ?? []
        self.sessionTopic = Self.readSessionTopic(reader, seal: self.seal)
        self.sealedCommands = Self.readSealedCommands(reader)
        if let size = reader.size("max_payload", in: 1...(256 << 20)) { self.maxPayload = size }
        self.rate = reader.rate("rate")
        if let window = reader.int("window", in: V1Receiver.Configuration.windowRange) { self.window = window }
        self.lifetime = reader.duration("lifetime", in: .seconds(1)...(.seconds(365 * 86_400)))
        if let rotate = reader.bool("rotate_on_failure") { self.rotateOnFailure = rotate }
        if let relay = reader.bool("relay") { self.relay = relay }
        if let retain = reader.bool("retain") { self.retain = retain }
        if let fresh = reader.bool("fresh") { self.fresh = fresh }
        if let piggyback = reader.bool("piggyback_commands") { self.piggybackCommands = piggyback }
        if let senml: SenMLRule = reader.choice("senml") { self.senml = senml }
        self.responseInformation = Self.readResponseInformation(reader)
        reader.finish(reserved: ["bind_topic"])
    }

    private static func readSessionTopic(_ reader: ConfigurationReader, seal: SealForm) -> TopicTemplate? {
        guard reader.has("session_topic") else {
            return seal == .v1 ? try? TopicTemplate(Self.defaultSessionTopic) : nil
        }
        guard let template = reader.template("session_topic") else { return nil }
        guard !template.hasWildcards else {
            return reader.refuse("session_topic", "is published on, so that it can have no + or #")
        }
        guard !template.text.hasPrefix("$") else {
            return reader.refuse("session_topic", "starts with $, where no node can subscribe to it")
        }
        return template
    }

    private static func readSealedCommands(_ reader: ConfigurationReader) -> [TopicTemplate]? {
        guard let lines = reader.templates("sealed_commands") else { return nil }
        for line in lines where !line.template.hasDevice {
            let shown = TOMLPath.printable(line.template.text)
            reader.error("sealed_commands", "\(shown) has no %d: what is sealed is for one device alone")
        }
        return lines.map(\.template)
    }

    private static func readResponseInformation(_ reader: ConfigurationReader) -> TopicTemplate? {
        guard reader.has("response_information"), let template = reader.template("response_information") else {
            return nil
        }
        guard !template.hasWildcards else {
            return reader.refuse("response_information", "is the beginning of topics, so that it can have no + or #")
        }
        return template
    }
}
