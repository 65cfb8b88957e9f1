import Devices
import Uplink

extension UplinkConfiguration {
    /// Longest PSK identity in bytes that every common TLS library takes.
    static let maxIdentityBytes = 128

    /// Reads one `[uplink.NAME]`; `nil` if it lacks what nothing can stand for.
    init?(_ reader: ConfigurationReader, name: String, gateway: String, directory: String) {
        do {
            try DeviceID.check(name)
        } catch {
            reader.error("the name of an uplink \(error)")
        }
        let addresses = Self.readAddresses(reader, example: "mqtts://broker.example.org:8883")
        self.init(name: name, addresses: addresses, clientID: gateway, line: reader.line)
        self.devices = Self.readDevices(reader, gateway: gateway)
        self.readConnection(reader, directory: directory)
        self.checkDevices(reader)
        self.bind = Self.readBind(reader)
        if let version: ProtocolVersion = reader.choice("protocol") { self.protocolVersion = version }
        self.readSessionExpiry(reader)
        self.readStamp(reader)
        if let cleanSession = reader.bool("clean_session") { self.cleanSession = cleanSession }
        self.readDelivery(reader)
        self.stateTopicRule = StateTopicRule(reader)
        self.spool = reader.table("spool", example: "{ max_messages = …, … }").map(SpoolLimits.init) ?? SpoolLimits()
        reader.finish()
        guard !addresses.isEmpty else { return nil }
    }

    private mutating func readSessionExpiry(_ reader: ConfigurationReader) {
        guard let expiry = reader.duration("session_expiry", in: .zero...Self.maxSessionExpiry) else { return }
        self.sessionExpiry = expiry
        if expiry.components.attoseconds != 0 { reader.error("session_expiry", "must be whole seconds") }
        if self.protocolVersion != .v5 {
            reader.error("session_expiry", "only MQTT 5 can say it; write protocol = \"5\"")
        }
    }

    private mutating func readStamp(_ reader: ConfigurationReader) {
        guard reader.bool("stamp") == true else { return }
        self.stamp = true
        if self.protocolVersion != .v5 {
            reader.error("stamp", "only MQTT 5 has user properties; write protocol = \"5\"")
        }
    }

    /// Reads how to connect to ``addresses`` and as whom: what uplinks and attached brokers have in common.
    mutating func readConnection(_ reader: ConfigurationReader, directory: String) {
        self.readPSK(reader, directory: directory)
        self.readTransport(reader, directory: directory)
        self.ca = reader.file("ca", .authorities, directory: directory)
        self.certificate = reader.file("certificate", .certificates, directory: directory)
        self.key = reader.file("key", .privateKey, directory: directory)
        self.keyPassphraseFile = reader.file("key_passphrase_file", .secret, directory: directory)
        if let version: TLSProtocolVersion = reader.choice("tls_min") { self.tlsMin = version }
        if let version: TLSProtocolVersion = reader.choice("tls_max") { self.tlsMax = version }
        self.serverName = Self.readServerName(reader)
        if let clientID = reader.text("client_id", maxBytes: 65_535) { self.clientID = clientID }
        if let keepAlive = reader.duration("keep_alive", in: .zero...(.seconds(65_535))) {
            self.keepAlive = keepAlive
            if keepAlive.components.attoseconds != 0 { reader.error("keep_alive", "must be whole seconds") }
        }
        self.username = reader.text("username", maxBytes: 65_535)
        self.usernameFile = reader.file("username_file", .secret, directory: directory)
        self.passwordFile = reader.file("password_file", .secret, directory: directory)
        if let timeout = reader.duration("connect_timeout", in: .milliseconds(100)...(.seconds(300))) {
            self.connectTimeout = timeout
        }
        self.checkTogether(reader)
    }

    /// `address`: one or more.
    static func readAddresses(_ reader: ConfigurationReader, example: String) -> [UplinkAddress] {
        guard reader.has("address") else {
            reader.error("address", "missing; write \"\(example)\"")
            return []
        }
        guard let strings = reader.strings("address", orOne: true, atMost: 16) else { return [] }
        if strings.isEmpty { reader.error("address", "names no address") }
        var addresses: [UplinkAddress] = []
        for (text, path) in strings {
            do {
                addresses.append(try UplinkAddress(text))
            } catch {
                reader.document.error(path, error.description)
            }
        }
        if let first = addresses.first, addresses.contains(where: { $0.isTLS != first.isTLS }) {
            let (clear, secret) =
                first.isTLS ? (addresses.first { !$0.isTLS }, first) : (first, addresses.first(where: \.isTLS))
            let schemes = [clear, secret].compactMap { $0.map { "\($0.scheme)://" } }.joined(separator: " and ")
            reader.error("address", "mixes \(schemes): messages would go in the clear when the other fails")
        }
        return addresses
    }

    private mutating func readPSK(_ reader: ConfigurationReader, directory: String) {
        guard let table = reader.table("psk", example: "{ identity = \"…\", key_file = \"…\" }") else { return }
        if let devices = self.devices {
            self.devices?.keyIdentity = Self.readKeyIdentity(table, gateway: devices.gateway)
            return
        }
        let identity = table.text("identity", maxBytes: Self.maxIdentityBytes)
        let keyFile = table.file("key_file", .secret, directory: directory)
        for key in ["identity", "key_file"] where !table.has(key) { table.error(key, "missing") }
        table.finish()
        guard let identity, let keyFile else { return }
        self.psk = PSK(identity: identity, keyFile: keyFile)
    }

    private static func readServerName(_ reader: ConfigurationReader) -> String? {
        guard let text = reader.text("server_name", maxBytes: 253) else { return nil }
        guard (try? NetworkAddress(text, defaultPort: 0))?.host == text else {
            return reader.refuse("server_name", "\(TOMLPath.printable(text)) is no host name")
        }
        return text
    }

    /// What no key alone can say.
    private func checkTogether(_ reader: ConfigurationReader) {
        if !self.addresses.isEmpty, !self.isTLS {
            let scheme = self.addresses[0].scheme
            let keys = [
                "psk", "ca", "pin", "certificate", "key", "key_passphrase_file", "alpn", "tls_min", "tls_max",
                "server_name",
            ]
            for key in keys where reader.has(key) {
                reader.error(
                    key,
                    "\(scheme):// has no TLS, so that this would not be used; write \(scheme)s:// in address"
                )
            }
            if reader.has("password_file") {
                reader.document.warning(
                    reader.path.key("password_file"),
                    "\(scheme):// sends the password in the clear; write \(scheme)s:// in address"
                )
            }
        }
        if reader.has("certificate") != reader.has("key") {
            let (missing, present) = reader.has("certificate") ? ("key", "certificate") : ("certificate", "key")
            reader.error(missing, "missing; \(present) needs it")
        }
        if reader.has("key_passphrase_file"), !reader.has("key") {
            reader.error("key_passphrase_file", "is about the private key, which needs a key")
        }
        if reader.has("psk") {
            for key in ["ca", "pin", "certificate", "key"] where reader.has(key) {
                reader.error(key, "psk proves both sides without certificates; take one of the two out")
            }
        }
        if self.tlsMin > self.tlsMax { reader.error("tls_max", "is below tls_min") }
        if reader.has("username"), reader.has("username_file") {
            reader.error("username_file", "there is a username already; take one of the two out")
        }
        if reader.has("password_file"), !reader.has("username"), !reader.has("username_file") {
            reader.error("password_file", "a password needs a username")
        }
    }
}

extension SpoolLimits {
    /// Reads `spool = { … }`.
    init(_ reader: ConfigurationReader) {
        self.init()
        if let messages = reader.int("max_messages", in: 1...1_000_000_000) { self.maxMessages = messages }
        if let bytes = reader.size("max_bytes", in: 65_536...(1 << 50)) { self.maxBytes = bytes }
        if let age = reader.duration("max_age", in: .zero...(.seconds(3_650 * 86_400))) {
            self.maxAge = age == .zero ? nil : age
        }
        if let whenFull: WhenFull = reader.choice("when_full") { self.whenFull = whenFull }
        if let free = reader.size("min_free", in: 0...(1 << 50)) { self.minFree = free }
        if let qos0 = reader.bool("qos0") { self.keepsQoS0 = qos0 }
        reader.finish()
    }
}
