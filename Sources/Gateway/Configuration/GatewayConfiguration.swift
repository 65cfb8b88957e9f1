package import Devices

/// gateway.conf, read and checked: everything that a person says about a gateway but its devices and their keys.
///
/// Holds no secret, only the names of their files; see ``SecretFile``.
package struct GatewayConfiguration: Sendable, Equatable {
    /// How much is logged, by the names of swift-log.
    package enum LogLevel: String, Sendable, Hashable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    /// Longest file in bytes.
    package static let maxFileBytes = 4 * 1024 * 1024
    /// Most `[[listener]]` tables.
    package static let maxListeners = 64
    /// Most `[uplink.NAME]` tables.
    package static let maxUplinks = 64
    /// Most `[[route]]` tables: they are tried one after the other for each message.
    package static let maxRoutes = 1_000
    /// Most `[profile.NAME]` tables.
    package static let maxProfiles = 1_000

    /// The file's path as it was given, for messages.
    package var file: String
    /// Where relative paths start: the file's directory, empty for the working directory.
    package var directory: String
    /// `%g` in topics, and the client id of uplinks that name none. Has passed ``DeviceID/check(_:)``.
    package var name: String
    /// The directory of sealgate.db and master.key. Reading the configuration does not create it.
    package var stateDirectory: String
    /// How much is logged.
    package var logLevel: LogLevel
    /// Where the gateway says how it is.
    package var stateTopics: StateTopicNames
    /// By which time certificates are judged while the clock is not set.
    package var clock: ClockRule
    /// `[limits]`.
    package var limits: GatewayLimits
    /// Where clients connect, in the order of the file.
    package var listeners: [ListenerConfiguration]
    /// The `[[listener]]` tables with `protocol = "attach"`, in the order of the file.
    package var attached: [AttachedBrokerConfiguration]
    /// By name; ``Profile/line`` tells the order of the file.
    package var profiles: [String: Profile]
    /// In the order of the file; a place in this list can stand for an uplink.
    package var uplinks: [UplinkConfiguration]
    /// In the order of the file. Each compiles with ``name``.
    package var routes: [Route]
    /// The `[[observe]]` tables, in the order of the file.
    package var observed: [ObserveConfiguration]
    /// What can be used but was probably not meant so, in the order of the file.
    package var warnings: [ConfigurationFinding]

    /// Reads the file at `path`. Blocks; creates and changes nothing, and opens none of the files that it names.
    ///
    /// - Throws: ``ConfigurationError`` with everything that is wrong in it.
    package static func load(path: String) throws(ConfigurationError) -> GatewayConfiguration {
        let text = try ConfigurationDocument.readText(path, limit: Self.maxFileBytes)
        return try Self.parse(text, file: path, directory: ConfigurationFile.directory(of: path))
    }

    /// Reads `text`.
    ///
    /// - Parameters:
    ///   - file: the name for messages.
    ///   - directory: where relative paths start; empty for the working directory.
    /// - Throws: ``ConfigurationError`` with everything that is wrong in it.
    package static func parse(
        _ text: String,
        file: String = "gateway.conf",
        directory: String = ""
    ) throws(ConfigurationError) -> GatewayConfiguration {
        let document = try ConfigurationDocument(text: text, file: file, maxBytes: Self.maxFileBytes)
        var configuration = GatewayConfiguration(document, directory: directory)
        try document.throwErrors()
        configuration.addWarnings(document)
        configuration.warnings = document.warnings.sorted { $0.line < $1.line }
        return configuration
    }

    private init(_ document: ConfigurationDocument, directory: String) {
        let root = ConfigurationReader(document)
        let gateway = root.table("gateway", example: "[gateway] and keys below it")
        if !root.has("gateway") { root.error("gateway", "missing; write [gateway] and below it a name") }
        let name = Self.readName(gateway)
        let state = gateway?.text("state", maxBytes: 4_096) ?? "state"
        let level: LogLevel? = gateway?.choice("log_level")
        let stateTopics = StateTopicNames(gateway, gateway: name)
        let clock = ClockRule(gateway)
        gateway?.finish()

        self.file = document.file
        self.directory = directory
        self.name = name
        self.stateDirectory = ConfigurationFile.resolve(state, in: directory)
        self.logLevel = level ?? .info
        self.stateTopics = stateTopics
        self.clock = clock
        self.limits =
            root.table("limits", example: "[limits] and keys below it").map(GatewayLimits.init) ?? GatewayLimits()
        self.profiles = [:]
        for (name, reader) in root.namedTables("profile", atMost: Self.maxProfiles) {
            self.profiles[name] = Profile(reader, name: name)
        }
        let listeners = root.tables("listener", atMost: Self.maxListeners)
        self.listeners = []
        self.attached = []
        for reader in listeners {
            if AttachedBrokerConfiguration.isMeant(by: reader) {
                _ = reader.has("protocol")
                let attached = AttachedBrokerConfiguration(reader, gateway: name, directory: directory)
                if let attached { self.attached.append(attached) }
            } else if let listener = ListenerConfiguration(reader, directory: directory) {
                self.listeners.append(listener)
            }
        }
        let uplinks = root.namedTables("uplink", atMost: Self.maxUplinks)
        self.uplinks = uplinks.compactMap {
            UplinkConfiguration($0.reader, name: $0.name, gateway: name, directory: directory)
        }
        self.routes = root.tables("route", atMost: Self.maxRoutes).compactMap {
            Route($0, uplinks: uplinks.map(\.name), gateway: name)
        }
        self.observed = Self.observed(root, gateway: name)
        self.warnings = []
        self.checkDeviceRoutes(document)
        self.checkNewestFirst(document)
        self.checkListeners(root, count: listeners.count)
        self.checkObserved(root)
        root.finish(reserved: ["admin"])
    }

    /// The gateway's name; where it can't be used, one that can, so that the rest can be checked.
    private static func readName(_ reader: ConfigurationReader?) -> String {
        let substitute = "gateway"
        guard let reader else { return substitute }
        guard reader.has("name") else {
            reader.error("name", "missing; it is the %g in topics and the client id of uplinks")
            return substitute
        }
        guard let name = reader.string("name") else { return substitute }
        do {
            try DeviceID.check(name)
            return name
        } catch {
            reader.error("name", "the name \(error)")
            return substitute
        }
    }

    /// What one listener alone can't say.
    private func checkListeners(_ root: ConfigurationReader, count: Int) {
        if count == 0, !root.hasFailed("listener") {
            root.error("listener", "missing; without a [[listener]] no node can connect")
        }
        var seen: [BoundAddress: Int] = [:]
        for listener in self.listeners {
            let path = root.document.path(ofElement: "listener", onLine: listener.line, count: count)
            if listener.anonymous == .guest, self.profiles["guest"] == nil {
                let message = "there is no profile \"guest\"; write [profile.guest]"
                root.document.error(path.key("anonymous"), message)
            }
            self.checkPaths(of: listener, root.document, path)
            guard listener.bind.port != 0 else { continue }
            let bound = BoundAddress(address: listener.bind, isUDP: listener.isCoAP)
            if let line = seen[bound] {
                root.document.error(path.key("bind"), "\(listener.bind) is bound already on line \(line)")
            } else {
                seen[bound] = root.document.line(of: path.key("bind"))
            }
        }
        self.checkAttached(root, count: count)
    }

    /// UDP and TCP have ports of their own.
    private struct BoundAddress: Hashable {
        var address: NetworkAddress
        var isUDP: Bool
    }

    private func checkAttached(_ root: ConfigurationReader, count: Int) {
        for (index, attached) in self.attached.enumerated() {
            guard let earlier = self.attached[..<index].first(where: { $0.name == attached.name }) else { continue }
            let path = root.document.path(ofElement: "listener", onLine: attached.line, count: count)
            root.document.error(
                path.key("address"),
                "the gateway is attached to \(attached.name) already on line \(earlier.line)"
            )
        }
    }

    // MARK: Files

    /// Every file that is named, in the order of the lines.
    package var files: [ConfigurationFile] {
        (self.listeners.flatMap(\.files) + (self.uplinks + self.attached.map(\.broker)).flatMap(\.files))
            .sorted { $0.line < $1.line }
    }

    /// Which of the named files can't be used: missing, unreadable, open to others, not what they should be.
    ///
    /// Opens and reads them; creates and changes nothing. The findings carry the line of the key. Secrets that are read are
    /// not kept.
    package func checkFiles() -> [ConfigurationFinding] {
        let keys = Set((self.uplinks + self.attached.map(\.broker)).compactMap(\.psk?.keyFile))
        return self.files.compactMap { file in
            (keys.contains(file) ? SecretFile.checkPreSharedKey(file) : SecretFile.check(file)).map {
                ConfigurationFinding(file: self.file, line: file.line, key: file.key, message: $0.description)
            }
        }
    }
}
