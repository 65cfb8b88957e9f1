import Devices
import MQTTCodec
import Uplink

/// In what order an uplink's spool is sent.
package enum SpoolOrder: String, Sendable, Hashable, CaseIterable {
    /// As the messages came.
    case oldestFirst = "oldest-first"
    /// What comes in now at once, and what waited behind it.
    case newestFirst = "newest-first"
}

/// When a publisher is told that its message is safe.
package enum AcknowledgeWhen: Sendable, Hashable {
    /// It is on this gateway's disk.
    case spooled
    /// The outside broker has it; or it is on disk, when that took longer than `patience`.
    case endToEnd(patience: Duration)
}

extension UplinkConfiguration {
    /// The words of `acknowledge`.
    private enum AcknowledgeWord: String, CaseIterable {
        case spooled
        case endToEnd = "end-to-end"
    }

    /// How long an acknowledgement waits for the outside broker's, if gateway.conf does not say.
    static let defaultPatience = Duration.seconds(2)

    /// Reads how messages are handed over, and what the outside broker takes.
    mutating func readDelivery(_ reader: ConfigurationReader) {
        if let order: SpoolOrder = reader.choice("order") { self.order = order }
        let word: AcknowledgeWord? = reader.choice("acknowledge")
        let patience = reader.duration("patience", in: .milliseconds(10)...(.seconds(60)))
        if word == .endToEnd {
            self.acknowledge = .endToEnd(patience: patience ?? Self.defaultPatience)
        } else if patience != nil {
            reader.error("patience", "is of use only with acknowledge = \"end-to-end\"")
        }
        if let times = reader.int("dead_after", in: 1...100) { self.deadAfter = times }
        self.readProvider(reader)
    }

    private mutating func readProvider(_ reader: ConfigurationReader) {
        let provider: Provider = reader.choice("provider") ?? .generic
        var limits = ProviderLimits(provider)
        if let bytes = reader.size("max_payload", in: 1...(256 << 20)) { limits.maxPayload = bytes }
        if let bytes = reader.size("max_topic_length", in: 1...65_535) { limits.maxTopicLength = bytes }
        if let levels = reader.int("max_topic_levels", in: 1...128) { limits.maxTopicLevels = levels }
        if let qos = reader.int("max_qos", in: 0...2).flatMap({ QoS(rawValue: UInt8($0)) }) { limits.maxQoS = qos }
        if let retain = reader.bool("retain") { limits.retain = retain }
        if let rate = reader.rate("rate") { limits.rate = rate }
        if let inFlight = reader.int("in_flight", in: 1...UplinkClient.maxInFlight) { limits.inFlight = inFlight }
        self.providerLimits = limits
        if let inFlight = limits.inFlight { self.inFlight = inFlight }
    }
}
