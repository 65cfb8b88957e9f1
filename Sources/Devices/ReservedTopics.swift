package import MQTTCodec

/// Topics that are the gateway's own: session topics and state topics. No device publishes there, and no route ends there;
/// otherwise a session ID, or the gateway's state, could be put into its mouth.
///
/// Topics that start with `$` are reserved without being listed.
package struct ReservedTopics: Sendable {
    private let patterns: [TopicPattern]

    /// Nothing but `$`.
    package init() { self.patterns = [] }

    /// The session topics of `profiles`, for every device id, and `others`.
    ///
    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    package init(profiles: [Profile], others: [TopicTemplate] = [], gateway: String) {
        var templates = Set(profiles.compactMap(\.sessionTopic))
        templates.formUnion(others)
        self.patterns = templates.map { $0.pattern(gateway: gateway) }
    }

    /// Whether `topic` is one of them. No allocation.
    package func contains(_ topic: TopicName) -> Bool {
        topic.startsWithDollar || self.patterns.contains { $0.matches(topic) }
    }
}
