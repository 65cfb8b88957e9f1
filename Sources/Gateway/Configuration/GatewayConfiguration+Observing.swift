import Devices
import MQTTCodec

/// What `[[observe]]` tables say together, and with profiles.
extension GatewayConfiguration {
    /// Most `[[observe]]` tables.
    package static let maxObserved = 1_000

    /// Reads them, and finds what one alone can't say.
    static func observed(_ root: ConfigurationReader, gateway: String) -> [ObserveConfiguration] {
        var observed: [ObserveConfiguration] = []
        var lines: [[String]: Int] = [:]
        for reader in root.tables("observe", atMost: Self.maxObserved) {
            guard let table = ObserveConfiguration(reader, gateway: gateway) else { continue }
            if let line = lines[table.identity] {
                // A node would take the second registration for the first, renewed.
                reader.error("resource", "it is observed already on line \(line)")
                continue
            }
            lines[table.identity] = table.line
            observed.append(table)
        }
        return observed
    }

    /// Topics that are the gateway's own.
    func checkObserved(_ root: ConfigurationReader) {
        guard !self.observed.isEmpty else { return }
        let reserved = ReservedTopics(
            profiles: Array(self.profiles.values),
            others: [self.stateTopics.reserved],
            gateway: self.name
        )
        for table in self.observed where reserved.contains(table.topic) {
            root.document.error(
                self.path(of: table, root.document).key("topic"),
                "\(table.topic) is a topic of the gateway's own, where nobody publishes"
            )
        }
    }

    /// Messages that would all be refused.
    func warnAboutObserved(_ document: ConfigurationDocument) {
        guard !self.observed.isEmpty else { return }
        let published = self.profiles.values.flatMap { $0.publish.map(\.template) }
        guard published.count * self.observed.count <= 100_000 else { return }
        for table in self.observed
        where !published.contains(where: {
            $0.expand(device: $0.hasDevice ? table.device : nil, gateway: self.name).matches(table.topic)
        }) {
            document.warning(
                self.path(of: table, document).key("topic"),
                "no profile lets device \(table.device) publish there: everything from this resource will be refused"
            )
        }
    }

    private func path(of table: ObserveConfiguration, _ document: ConfigurationDocument) -> TOMLPath {
        document.path(ofElement: "observe", onLine: table.line, count: Self.maxObserved)
    }
}
