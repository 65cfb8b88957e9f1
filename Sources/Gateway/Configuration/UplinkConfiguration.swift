/// How much an uplink's spool holds, and what becomes of the rest.
package struct SpoolLimits: Sendable, Equatable {
    /// What becomes of a message for which there is no room.
    package enum WhenFull: String, Sendable, Hashable, CaseIterable {
        /// It is not acknowledged: the node keeps it and tries again.
        case reject
        /// The oldest messages of the spool go.
        case dropOldest = "drop-oldest"
        /// It goes itself, acknowledged.
        case dropNewest = "drop-newest"
    }

    /// Messages.
    package var maxMessages = 1_000_000
    /// Bytes of payloads and topics.
    package var maxBytes = 1 << 30
    /// How long a message may wait for the outside broker; `nil`: as long as it takes.
    package var maxAge: Duration? = .seconds(7 * 86_400)
    /// What becomes of a message for which there is no room.
    package var whenFull: WhenFull = .dropOldest
    /// Free bytes on the disk of the state directory below which the spool counts as full; 0: none.
    package var minFree = 64 << 20
    /// Whether messages of routes with QoS 0 wait too while the uplink is down.
    package var keepsQoS0 = false

    /// The defaults.
    package init() {}
}

/// One `[uplink.NAME]`: an outside broker.
package struct UplinkConfiguration: Sendable, Equatable {
    /// A TLS pre-shared key: the identity as it is sent, the key by its file.
    package struct PSK: Sendable, Hashable {
        /// 1 to 128 bytes, sent in the clear in the handshake.
        package var identity: String
        /// See ``SecretFile/loadSecret(_:)``.
        package var keyFile: ConfigurationFile

        /// An identity and the file with its key.
        package init(identity: String, keyFile: ConfigurationFile) {
            self.identity = identity
            self.keyFile = keyFile
        }
    }

    /// An HTTP proxy that opens a tunnel by CONNECT.
    package struct Proxy: Sendable, Hashable {
        /// Where it is.
        package var address: NetworkAddress
        /// The user name for it; `nil`: it asks for none.
        package var username: String?
        /// The password for it; with ``username``.
        package var passwordFile: ConfigurationFile?

        /// A proxy that asks for no user name.
        package init(address: NetworkAddress) {
            self.address = address
        }
    }

    /// MQTT's versions, as gateway.conf writes them.
    package enum ProtocolVersion: String, Sendable, Hashable, CaseIterable {
        /// MQTT 3.1.1.
        case v311 = "3.1.1"
        /// MQTT 5.0.
        case v5 = "5"
    }

    /// The `NAME` of `[uplink.NAME]`.
    package var name: String
    /// The line of `[uplink.NAME]` in gateway.conf.
    package var line: Int
    /// One or more, tried in order; all with TLS or all without.
    package var addresses: [UplinkAddress]
    /// How long a connection to a later address lives before the earlier ones are tried again; `nil`: for good.
    package var returnAfter: Duration? = .seconds(600)
    /// The HTTP proxy on the way.
    package var proxy: Proxy?
    /// The address of this machine to connect from; `nil`: the system's choice.
    package var bind: String?
    /// Proves both sides; without certificates then.
    package var psk: PSK?
    /// The CA of the broker's certificate, or a directory of them; `nil`: the system's CAs, or none with ``pins``.
    package var ca: ConfigurationFile?
    /// SHA-256 of the broker's public key, 32 bytes each; empty: any key that ``ca`` vouches for.
    package var pins: [[UInt8]] = []
    /// The gateway's client certificate; with ``key``.
    package var certificate: ConfigurationFile?
    /// The private key of ``certificate``.
    package var key: ConfigurationFile?
    /// The passphrase of ``key``.
    package var keyPassphraseFile: ConfigurationFile?
    /// What ALPN offers.
    package var alpn: [String] = []
    /// The oldest TLS that is spoken.
    package var tlsMin: TLSProtocolVersion = .tls12
    /// The newest TLS that is spoken.
    package var tlsMax: TLSProtocolVersion = .tls13
    /// The name that the broker's certificate must have, also sent as SNI; `nil`: the host of the address.
    package var serverName: String?
    /// MQTT's version.
    package var protocolVersion: ProtocolVersion = .v311
    /// How long the broker keeps the session while the uplink is down, in whole seconds up to ``maxSessionExpiry``; 5.0 only.
    package var sessionExpiry: Duration = .seconds(7 * 86_400)
    /// The client id; the gateway's name by default.
    package var clientID: String
    /// The keep alive that is asked for, in whole seconds; zero: none.
    package var keepAlive: Duration = .seconds(60)
    /// Whether the broker forgets the session at each connection. `false`: commands sent meanwhile arrive later.
    package var cleanSession = false
    /// The user name; `nil`: that of ``usernameFile``, or none is sent.
    package var username: String?
    /// The file with the user name; not together with ``username``.
    package var usernameFile: ConfigurationFile?
    /// The password; only with a user name.
    package var passwordFile: ConfigurationFile?
    /// Most messages above QoS 0 that are sent and not yet acknowledged.
    package var inFlight = 100
    /// For one address: TCP, TLS and CONNACK together.
    package var connectTimeout: Duration = .seconds(10)
    /// How much waits on disk.
    package var spool = SpoolLimits()
    /// In what order it is sent.
    package var order = SpoolOrder.oldestFirst
    /// When a publisher hears that its message is safe.
    package var acknowledge = AcknowledgeWhen.spooled
    /// What the outside broker takes.
    package var providerLimits = ProviderLimits()
    /// How often the outside broker refuses a message before it goes to the dead letters.
    package var deadAfter = 3
    /// Where the outside broker is told whether the gateway is there.
    package var stateTopicRule = StateTopicRule.own

    /// Set: each device has a connection of its own, and `%d` in ``clientID``, ``username`` and the paths of its files stands for
    /// its id. `nil`: the gateway has one for all.
    package var devices: DeviceConnections?
    /// Whether messages carry who sent them, in user properties of MQTT 5.0.
    package var stamp = false

    /// As long as anything else may wait.
    package static let maxSessionExpiry: Duration = .seconds(3_650 * 86_400)

    /// An uplink with the defaults.
    package init(name: String, addresses: [UplinkAddress], clientID: String, line: Int = 0) {
        self.name = name
        self.addresses = addresses
        self.clientID = clientID
        self.line = line
    }

    /// Whether TLS is spoken.
    package var isTLS: Bool { self.addresses.contains(where: \.isTLS) }

    /// Whether it is another file for each device.
    private func isOfDevice(_ file: ConfigurationFile) -> Bool {
        guard self.devices != nil, file != self.ca, file != self.proxy?.passwordFile else { return false }
        return (try? DeviceTemplate(file.path))?.hasDevice ?? false
    }

    /// The files that it names, but those of single devices.
    package var files: [ConfigurationFile] {
        [
            self.psk?.keyFile, self.ca, self.certificate, self.key, self.keyPassphraseFile, self.usernameFile,
            self.passwordFile, self.proxy?.passwordFile,
        ].compactMap { $0 }.filter { !self.isOfDevice($0) }
    }
}
