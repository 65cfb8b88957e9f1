import Devices

/// `connect_as = "device"`: each device has a connection of its own to the outside broker, and proves itself there.
package struct DeviceConnections: Sendable, Equatable {
    /// The gateway's name, for the templates.
    package var gateway: String
    /// The identity that goes with a device's own TLS-PSK; `nil`: devices have certificates there, or no TLS of their own.
    package var keyIdentity: DeviceTemplate?
    /// How long a connection without any use stays; `nil`: for good.
    package var idleTimeout: Duration? = .seconds(600)
    /// Most connections at a time.
    package var maxConnections = 1000

    /// With the defaults.
    package init(gateway: String) {
        self.gateway = gateway
    }

    /// Most that ``maxConnections`` can be: each may have a spool of its own, and the store numbers 32,767.
    package static let maxConnectionsLimit = 30_000
}

extension UplinkConfiguration {
    /// Who the outside broker sees.
    private enum ConnectAs: String, CaseIterable {
        case gateway
        case device
    }

    /// The default of `client_id` for devices.
    static let deviceClientID = "%d"

    /// Reads `connect_as` and the keys that go with it.
    static func readDevices(_ reader: ConfigurationReader, gateway: String) -> DeviceConnections? {
        let connectAs: ConnectAs? = reader.choice("connect_as")
        let idleTimeout = reader.duration("idle_timeout", in: .zero...(.seconds(30 * 86_400)))
        let most = reader.int("max_device_connections", in: 1...DeviceConnections.maxConnectionsLimit)
        guard connectAs == .device else {
            for key in ["idle_timeout", "max_device_connections"] where reader.has(key) {
                reader.error(key, "is of use only with connect_as = \"device\"")
            }
            return nil
        }
        var devices = DeviceConnections(gateway: gateway)
        if let idleTimeout { devices.idleTimeout = idleTimeout == .zero ? nil : idleTimeout }
        if let most { devices.maxConnections = most }
        return devices
    }

    /// The `psk` of devices: their own keys, under an identity.
    static func readKeyIdentity(_ table: ConfigurationReader, gateway: String) -> DeviceTemplate? {
        let text = table.text("identity", maxBytes: 1024)
        if table.has("key_file") {
            table.error("key_file", "each device proves itself with its own TLS-PSK; take this out")
        }
        if !table.has("identity") { table.error("identity", "missing; write \"%d\"") }
        table.finish()
        guard let template = text.flatMap({ Self.template($0, "identity", table) }) else { return nil }
        guard template.hasDevice else {
            return table.refuse("identity", "is the same for all devices: it needs a %d")
        }
        guard template.maxBytes(gateway: gateway) <= Self.maxIdentityBytes else {
            return table.refuse("identity", "is longer than \(Self.maxIdentityBytes) bytes with a long device id")
        }
        return template
    }

    /// Checks what has a device's name in it. After the rest was read.
    mutating func checkDevices(_ reader: ConfigurationReader) {
        guard self.devices != nil else { return }
        if !reader.has("client_id") { self.clientID = Self.deviceClientID }
        if let template = Self.template(self.clientID, "client_id", reader), !template.hasDevice {
            reader.error("client_id", "is the same for all devices, which would throw each other out: it needs a %d")
        }
        if let username = self.username { _ = Self.template(username, "username", reader) }
        let files = [
            ("certificate", self.certificate), ("key", self.key), ("key_passphrase_file", self.keyPassphraseFile),
            ("username_file", self.usernameFile), ("password_file", self.passwordFile),
        ]
        for (key, file) in files {
            guard let file, let template = Self.template(file.path, key, reader) else { continue }
            guard ["certificate", "key"].contains(key), !template.hasDevice else { continue }
            reader.error(key, "is the same for all devices: it needs a %d, as in \"certs/%d.crt\"")
        }
    }

    private static func template(_ text: String, _ key: String, _ reader: ConfigurationReader) -> DeviceTemplate? {
        do {
            return try DeviceTemplate(text)
        } catch {
            return reader.refuse(key, error.description)
        }
    }

    // MARK: Use

    /// What holds for one device's connection: its names and its files. For the id `..` a path may lead elsewhere.
    func forDevice(_ id: DeviceID) -> UplinkConfiguration {
        guard let devices = self.devices else { return self }
        func expand(_ text: String) -> String {
            (try? DeviceTemplate(text))?.expand(device: id.text, gateway: devices.gateway) ?? text
        }
        func expand(_ file: ConfigurationFile?) -> ConfigurationFile? {
            guard var file else { return nil }
            file.path = expand(file.path)
            return file
        }
        var own = self
        own.clientID = expand(self.clientID)
        own.username = self.username.map(expand)
        own.certificate = expand(self.certificate)
        own.key = expand(self.key)
        own.keyPassphraseFile = expand(self.keyPassphraseFile)
        own.usernameFile = expand(self.usernameFile)
        own.passwordFile = expand(self.passwordFile)
        return own
    }

    /// What holds for all devices: without their names and files.
    var ofAllDevices: UplinkConfiguration {
        guard self.devices != nil else { return self }
        var common = self
        common.certificate = nil
        common.key = nil
        common.keyPassphraseFile = nil
        common.username = nil
        common.usernameFile = nil
        common.passwordFile = nil
        return common
    }

    /// Whether anything of a device's credentials is in a file.
    var hasDeviceFiles: Bool {
        self.devices != nil && (self.certificate != nil || self.usernameFile != nil || self.passwordFile != nil)
    }
}
