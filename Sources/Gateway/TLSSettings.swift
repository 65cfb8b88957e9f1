import OpenSSL

extension ListenerConfiguration {
    /// What it speaks, shows and believes.
    ///
    /// Reads the file of the key's passphrase: blocks.
    ///
    /// - Parameters:
    ///   - keyLookup: Asked during handshakes, if it takes pre-shared keys.
    ///   - clock: By which certificates are judged; nil: this machine's.
    func tls(
        keyLookup: @escaping TLSConfiguration.KeyLookup,
        clock: WallClock? = nil
    ) throws(FileError) -> TLSConfiguration {
        var configuration = TLSConfiguration.server()
        configuration.judge(by: clock)
        if self.psk { configuration.keyLookup = keyLookup }
        if let certificate = self.certificate, let key = self.key {
            configuration.identity = .files(
                certificateChain: certificate.path,
                privateKey: key.path,
                passphrase: try self.keyPassphraseFile.map { file throws(FileError) in
                    try SecretFile.loadPassphrase(file)
                }
            )
        }
        if let authority = self.clientCA {
            configuration.trust = authority.trust
            // Who has a password needs no certificate.
            let isRequired = self.anonymous == .refused && !self.password
            configuration.clientCertificates = isRequired ? .required : .optional
        }
        if let lists = self.clientCRL { configuration.revocations = .file(lists.path) }
        configuration.clientName =
            switch self.clientName {
            case .commonName: .commonName
            case .alternativeName: .alternativeName(uriPrefix: "urn:sealgate:")
            }
        configuration.minimumVersion = TLSVersion(self.tlsMin)
        return configuration
    }
}

extension UplinkConfiguration {
    /// What it speaks, shows and believes. Reads the file of its pre-shared key, or of its key's passphrase: blocks.
    ///
    /// - Parameter clock: By which certificates are judged; nil: this machine's.
    func tls(clock: WallClock? = nil) throws(FileError) -> TLSConfiguration {
        var key: TLSPreSharedKey?
        if let psk = self.psk {
            key = TLSPreSharedKey(
                identity: Array(psk.identity.utf8),
                key: try SecretFile.loadPreSharedKey(psk.keyFile)
            )
        }
        let hasKey = key != nil || self.devices?.keyIdentity != nil
        let trust: TLSTrust =
            if let ca = self.ca { ca.trust } else if hasKey || !self.pins.isEmpty { .nothing } else { .system }
        var configuration = TLSConfiguration.client(preSharedKey: key, trust: trust)
        configuration.expectsOwnKeys = self.devices?.keyIdentity != nil
        // Those of devices are not the context's.
        if let certificate = self.certificate, let key = self.key, self.devices == nil {
            configuration.identity = .files(
                certificateChain: certificate.path,
                privateKey: key.path,
                passphrase: try self.keyPassphraseFile.map { file throws(FileError) in
                    try SecretFile.loadPassphrase(file)
                }
            )
        }
        configuration.pins = self.pins
        configuration.applicationProtocols = self.alpn
        configuration.judge(by: clock)
        configuration.minimumVersion = TLSVersion(self.tlsMin)
        configuration.maximumVersion = TLSVersion(self.tlsMax)
        return configuration
    }
}

extension UplinkConfiguration {
    /// Whether the broker's certificate has to be valid now: not with a pre-shared key, nor with pins alone.
    var judgesCertificates: Bool { self.isTLS && self.psk == nil && (self.ca != nil || self.pins.isEmpty) }
}

extension TLSConfiguration {
    /// Lets certificates be judged by this clock.
    fileprivate mutating func judge(by clock: WallClock?) {
        guard let clock else { return }
        self.verificationTime = { clock.certificateTime() / 1000 }
        self.isVerificationTimeBound = { clock.isCertificateTimeBound }
    }
}

extension GatewayConfiguration {
    /// What keeps the TLS of a listener or uplink from being set up, though each file for itself looks right: contents that
    /// can't be read, a key of another certificate. And, as a warning, revocation lists that let nobody in any more.
    ///
    /// Does what the start does, without a socket; changes nothing. Blocks.
    ///
    /// - Parameter problems: What ``checkFiles()`` found: whatever has such a file is left out.
    package func checkTLS(besides problems: [ConfigurationFinding]) -> [ConfigurationFinding] {
        let bad = Set(problems.map(\.key))
        var findings: [ConfigurationFinding] = []
        func isUsable(_ files: [ConfigurationFile]) -> Bool { !files.contains { bad.contains($0.key) } }
        for listener in self.listeners where listener.isTLS && isUsable(listener.files) {
            do {
                _ = try TLSContext(listener.tls(keyLookup: { _ in nil }))
                findings += try self.checkRevocations(of: listener)
            } catch let error as TLSError {
                findings.append(self.finding(error, among: listener.files, line: listener.line))
            } catch {
                findings.append(self.finding(listener.keyPassphraseFile, line: listener.line, "\(error)"))
            }
        }
        for uplink in self.uplinks + self.attached.map(\.broker) where uplink.isTLS && isUsable(uplink.files) {
            do {
                _ = try TLSContext(uplink.tls())
            } catch let error as TLSError {
                findings.append(self.finding(error, among: uplink.files, line: uplink.line))
            } catch {
                let file = uplink.psk?.keyFile ?? uplink.keyPassphraseFile
                findings.append(self.finding(file, line: uplink.line, "\(error)"))
            }
        }
        return findings.sorted { $0.line < $1.line }
    }

    private func checkRevocations(of listener: ListenerConfiguration) throws(TLSError) -> [ConfigurationFinding] {
        guard let file = listener.clientCRL else { return [] }
        return try X509RevocationList.outdated(path: file.path).map { list in
            var finding = self.finding(
                file,
                line: listener.line,
                "the revocation list of \(list.issuer) is out of date since \(list.since): "
                    + "no client with a certificate is let in; fetch a new one"
            )
            finding.severity = .warning
            return finding
        }
    }

    /// With the line of the file that the error names first; of two names there, the longer one.
    private func finding(_ error: TLSError, among files: [ConfigurationFile], line: Int) -> ConfigurationFinding {
        let named = files.compactMap { file in
            error.message.firstRange(of: file.path).map { (file: file, start: $0.lowerBound) }
        }
        let first = named.min { ($0.start, -$0.file.path.utf8.count) < ($1.start, -$1.file.path.utf8.count) }
        return self.finding(first?.file, line: line, "\(error)")
    }

    private func finding(_ file: ConfigurationFile?, line: Int, _ message: String) -> ConfigurationFinding {
        ConfigurationFinding(file: self.file, line: file?.line ?? line, key: file?.key ?? "", message: message)
    }
}

extension ConfigurationFile {
    /// The authorities in it.
    fileprivate var trust: TLSTrust {
        TLSFile.isDirectory(path: self.path) ? .directory(self.path) : .file(self.path)
    }
}

extension TLSVersion {
    fileprivate init(_ version: TLSProtocolVersion) {
        switch version {
        case .tls12: self = .tls12
        case .tls13: self = .tls13
        }
    }
}
