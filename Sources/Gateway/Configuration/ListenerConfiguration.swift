/// The oldest or newest TLS that is spoken.
package enum TLSProtocolVersion: String, Sendable, Hashable, CaseIterable, Comparable {
    /// TLS 1.2, the floor.
    case tls12 = "1.2"
    /// TLS 1.3.
    case tls13 = "1.3"

    /// By age.
    package static func < (left: Self, right: Self) -> Bool { left == .tls12 && right == .tls13 }
}

/// One `[[listener]]`: where nodes connect.
package struct ListenerConfiguration: Sendable, Equatable {
    /// What is spoken there.
    package enum Transport: String, Sendable, Hashable, CaseIterable {
        /// MQTT over TCP.
        case mqtt
        /// MQTT over TLS.
        case mqtts
        /// MQTT over WebSocket.
        case ws
        /// MQTT over WebSocket over TLS.
        case wss
        /// None: the gateway is a client of a broker; see ``AttachedBrokerConfiguration``.
        case attach
        /// CoAP over UDP, plain or with OSCORE.
        case coap
        /// CoAP over DTLS.
        case coaps
    }

    /// What becomes of a connection that proves nothing.
    package enum Anonymous: Sendable, Hashable {
        /// It is closed.
        case refused
        /// It may stay: every message has to be sealed, or its profile has to say `plaintext = true`.
        case allowed
        /// It has the profile `guest`.
        case guest
    }

    /// What becomes of a client of MQTT 3.x that publishes where it may not; one of 5.0 is told.
    package enum OnDenied: String, Sendable, Hashable, CaseIterable {
        /// The message is acknowledged, and dropped.
        case acknowledge
        /// The connection is closed.
        case close
    }

    /// Where a client certificate carries the id of its device.
    package enum ClientName: String, Sendable, Hashable, CaseIterable {
        /// The common name.
        case commonName = "cn"
        /// The one dNSName or `urn:sealgate:ID` among the subjectAltNames.
        case alternativeName = "san"
    }

    /// The line of `[[listener]]` in gateway.conf.
    package var line: Int
    /// What is spoken there; never `attach`.
    package var transport: Transport
    /// Where it listens; port 0: any free one.
    package var bind: NetworkAddress
    /// What becomes of a connection that proves nothing.
    package var anonymous: Anonymous = .refused
    /// What becomes of a client of MQTT 3.x that publishes where it may not.
    package var onDenied: OnDenied = .acknowledge
    /// Whether devices prove themselves with their pre-shared key, over TLS or DTLS.
    package var psk = false
    /// CoAP: whether devices prove themselves with OSCORE.
    package var oscore = true
    /// Whether devices prove themselves with user name (their id) and password.
    package var password = false
    /// The gateway's certificate, with the chain behind it; with ``key``.
    package var certificate: ConfigurationFile?
    /// The private key of ``certificate``.
    package var key: ConfigurationFile?
    /// The passphrase of ``key``.
    package var keyPassphraseFile: ConfigurationFile?
    /// The CAs of client certificates, a file or a directory, which name the device as ``clientName`` says. `nil`: none is asked for.
    package var clientCA: ConfigurationFile?
    /// Revocation lists of these CAs. `nil`: nothing is revoked.
    package var clientCRL: ConfigurationFile?
    /// Where a client certificate carries the id of its device.
    package var clientName = ClientName.commonName
    /// The oldest TLS that is spoken.
    package var tlsMin: TLSProtocolVersion = .tls12
    /// The path of a WebSocket's request.
    package var path = "/mqtt"
    /// From which origins browsers may open a WebSocket; `nil`: all, the empty list: none.
    package var origins: [String]?
    /// CoAP: the path below which the rest of a path is the topic, without its first slash; empty: all of it is.
    package var prefix = "ps"
    /// CoAP: other paths, and the topics that they stand for, in the order of the file. They come before ``prefix``.
    package var paths: [CoAPPathRule] = []
    /// CoAP: whether requests to the group of all CoAP nodes are answered (RFC 7252 §12.8).
    package var multicast = false
    /// CoAP: how long a response may take and still travel in the acknowledgement.
    package var piggybackWithin: Duration = .milliseconds(500)

    /// A listener that refuses whoever proves nothing.
    package init(transport: Transport, bind: NetworkAddress, line: Int = 0) {
        self.transport = transport
        self.bind = bind
        self.line = line
    }

    /// Whether TLS is spoken; of DTLS, `coaps`, see ``isCoAP``.
    package var isTLS: Bool { self.transport == .mqtts || self.transport == .wss }

    /// Whether CoAP is spoken, with DTLS or without.
    package var isCoAP: Bool { self.transport == .coap || self.transport == .coaps }

    /// Whether clients may come in as nobody, and then claim to be a device. With DTLS each of them has proven one.
    package var admitsUnproven: Bool { self.anonymous == .allowed && self.transport != .coaps }

    /// Whether devices can prove themselves there, other than by their seals.
    package var provesDevices: Bool {
        self.psk || self.password || self.clientCA != nil || self.isCoAP && self.oscore
    }

    /// Whether MQTT is in WebSocket frames.
    package var isWebSocket: Bool { self.transport == .ws || self.transport == .wss }

    /// The files that it names.
    package var files: [ConfigurationFile] {
        [self.certificate, self.key, self.keyPassphraseFile, self.clientCA, self.clientCRL].compactMap { $0 }
    }
}

extension ListenerConfiguration {
    /// Reads one `[[listener]]`; `nil` if it lacks what nothing can stand for.
    init?(_ reader: ConfigurationReader, directory: String) {
        let transport: Transport? = reader.choice("protocol")
        if !reader.has("protocol") { reader.error("protocol", "missing; write \"mqtt\" or \"mqtts\"") }
        for key in AttachedBrokerConfiguration.ownKeys where key != "prefix" && reader.has(key) {
            reader.error(key, "is for a listener with protocol = \"attach\", which is a client of a broker")
        }
        let path = Self.readPath(reader)
        let origins = Self.readOrigins(reader)
        let bind = Self.readBind(reader, example: transport?.exampleBind ?? "0.0.0.0:1883")
        let anonymous = reader.boolOr("guest", "anonymous")
        let onDenied: OnDenied? = reader.choice("on_denied")
        let psk = reader.bool("psk")
        let password = reader.bool("password")
        let certificate = reader.file("certificate", .certificates, directory: directory)
        let key = reader.file("key", .privateKey, directory: directory)
        let keyPassphraseFile = reader.file("key_passphrase_file", .secret, directory: directory)
        let clientCA = reader.file("client_ca", .authorities, directory: directory)
        let clientCRL = reader.file("client_crl", .revocations, directory: directory)
        let clientName: ClientName? = reader.choice("client_name")
        let tlsMin: TLSProtocolVersion? = reader.choice("tls_min")
        Self.note(keysOfCoAP: reader)
        reader.finish()
        guard let transport, let bind else { return nil }

        self.init(transport: transport, bind: bind, line: reader.line)
        self.anonymous =
            switch anonymous {
            case .bool(true): .allowed
            case .word: .guest
            case .bool(false), nil: .refused
            }
        if let onDenied { self.onDenied = onDenied }
        self.psk = psk ?? false
        self.password = password ?? false
        self.certificate = certificate
        self.key = key
        self.keyPassphraseFile = keyPassphraseFile
        self.clientCA = clientCA
        self.clientCRL = clientCRL
        if let clientName { self.clientName = clientName }
        if let tlsMin { self.tlsMin = tlsMin }
        if let path { self.path = path }
        self.origins = origins
        self.readCoAP(reader)
        self.checkTogether(reader)
    }

    private static func readBind(_ reader: ConfigurationReader, example: String) -> NetworkAddress? {
        guard reader.has("bind") else { return reader.refuse("bind", "missing; write \"\(example)\"") }
        guard let text = reader.string("bind") else { return nil }
        do {
            return try NetworkAddress(text)
        } catch {
            return reader.refuse("bind", error.description)
        }
    }

    /// What no key alone can say.
    private func checkTogether(_ reader: ConfigurationReader) {
        guard !self.isCoAP else { return }
        if !self.isWebSocket {
            for key in ["path", "origins"].filter(reader.has) {
                reader.error(
                    key,
                    "a listener with protocol \"\(self.transport.rawValue)\" has no WebSocket; write \"ws\" or \"wss\""
                )
            }
        }
        if !self.isTLS {
            let tlsKeys = [
                "psk", "certificate", "key", "key_passphrase_file", "client_ca", "client_crl", "client_name", "tls_min",
            ].filter(reader.has)
            for key in tlsKeys {
                let own = self.transport.rawValue
                reader.error(key, "a listener with protocol \"\(own)\" has no TLS; write protocol = \"\(own)s\"")
            }
            let isProvable = self.password || reader.hasFailed("password")
            if tlsKeys.isEmpty, !isProvable, self.anonymous == .refused, !reader.hasFailed("anonymous") {
                reader.error(
                    "anonymous",
                    "nobody can use this listener: without TLS a connection proves nothing, and anonymous = false "
                        + "refuses what proves nothing; write anonymous = true or \"guest\", or password = true"
                )
            }
            return
        }
        let hasCertificate = reader.has("certificate")
        if hasCertificate != reader.has("key") {
            let (missing, present) = hasCertificate ? ("key", "certificate") : ("certificate", "key")
            reader.error(missing, "missing; \(present) needs it")
        } else if !hasCertificate, !self.psk, !reader.hasFailed("psk") {
            let own = self.transport.rawValue
            reader.error("a listener with protocol \"\(own)\" needs psk = true, or a certificate and its key")
        }
        if reader.has("key_passphrase_file"), !reader.has("key") {
            reader.error("key_passphrase_file", "is about the private key, which needs a key")
        }
        if reader.has("client_ca"), !hasCertificate {
            reader.error("client_ca", "client certificates need a certificate and key of the gateway's own")
        }
        for key in ["client_crl", "client_name"] where reader.has(key) && !reader.has("client_ca") {
            reader.error(key, "is about client certificates, which need a client_ca")
        }
        let isProvable =
            self.psk || self.password || reader.has("client_ca") || reader.hasFailed("psk")
            || reader.hasFailed("password")
        if hasCertificate, !isProvable, self.anonymous == .refused, !reader.hasFailed("anonymous") {
            reader.error(
                "anonymous",
                "nobody can use this listener: no connection can prove a device to it; "
                    + "write psk = true or password = true, name a client_ca, or write anonymous = true"
            )
        }
    }
}
