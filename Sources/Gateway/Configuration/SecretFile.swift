import OpenSSL

/// Files that hold one secret: the only way a secret gets into the configuration.
///
/// Loading is separate from reading gateway.conf, so that a check needs no rights to the secrets and a secret lives only
/// as long as its user. All of it blocks: for start, reload and commands.
package enum SecretFile {
    /// Longest secret file in bytes.
    package static let maxFileBytes = 64 * 1024
    /// Longest file with certificates or a private key in bytes.
    package static let maxPEMBytes = 1024 * 1024

    /// The bytes of the secret in `file`: its one line is `hex:…`, `base64:…` or `utf8:…`.
    ///
    /// - Throws: ``FileError`` if the file can't be read, others than its owner may, or it holds anything else.
    package static func loadSecret(_ file: ConfigurationFile) throws(FileError) -> [UInt8] {
        try Self.loadSecret(path: file.path)
    }

    /// The pre-shared key in `file`.
    ///
    /// - Throws: ``FileError`` as ``loadSecret(_:)``, and if the key is longer than TLS takes.
    package static func loadPreSharedKey(_ file: ConfigurationFile) throws(FileError) -> [UInt8] {
        let key = try Self.loadSecret(file)
        guard key.count <= TLSPreSharedKey.maxKeyBytes else {
            let problem = "holds a key of \(key.count) bytes; TLS takes \(TLSPreSharedKey.maxKeyBytes) at most"
            throw FileError(path: file.path, kind: .content(problem))
        }
        return key
    }

    /// The passphrase in `file`.
    ///
    /// - Throws: ``FileError`` as ``loadSecret(_:)``, and if the passphrase is longer than OpenSSL takes.
    package static func loadPassphrase(_ file: ConfigurationFile) throws(FileError) -> [UInt8] {
        let passphrase = try Self.loadSecret(file)
        guard passphrase.count <= TLSIdentity.maxPassphraseBytes else {
            let problem =
                "holds a passphrase of \(passphrase.count) bytes; \(TLSIdentity.maxPassphraseBytes) are taken at most"
            throw FileError(path: file.path, kind: .content(problem))
        }
        return passphrase
    }

    /// The bytes of the secret in the file at `path`.
    ///
    /// - Throws: ``FileError`` as ``loadSecret(_:)``.
    package static func loadSecret(path: String) throws(FileError) -> [UInt8] {
        let bytes = try FileReader.read(path, limit: Self.maxFileBytes, access: .ownerOnly)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileError(path: path, kind: .content("is not well-formed UTF-8"))
        }
        do {
            return try Self.decode(text)
        } catch {
            throw FileError(path: path, kind: .content(error.description))
        }
    }

    /// The bytes that `hex:…`, `base64:…` or `utf8:…` stands for. Blanks and line ends around it do not count.
    static func decode(_ text: String) throws(ConfigurationValueError) -> [UInt8] {
        let line = Self.trimmed(text)
        guard !line.isEmpty else { throw ConfigurationValueError("is empty") }
        guard !line.contains(where: \.isNewline) else { throw ConfigurationValueError("has more than one line") }
        let secret: [UInt8]
        if line.hasPrefix("hex:") {
            guard let bytes = Hexadecimal.decode(line.dropFirst(4)) else {
                throw ConfigurationValueError("has something else than pairs of hexadecimal digits behind \"hex:\"")
            }
            secret = bytes
        } else if line.hasPrefix("base64:") {
            guard let bytes = Base64.decode(line.dropFirst(7)) else {
                throw ConfigurationValueError("has no base64 behind \"base64:\"")
            }
            secret = bytes
        } else if line.hasPrefix("utf8:") {
            secret = Array(line.dropFirst(5).utf8)
        } else {
            throw ConfigurationValueError("must start with \"hex:\", \"base64:\" or \"utf8:\"")
        }
        guard !secret.isEmpty else { throw ConfigurationValueError("holds an empty secret") }
        return secret
    }

    /// Whether `text` is a secret itself, put where the name of its file belongs.
    static func isSecretItself(_ text: String) -> Bool {
        ["hex:", "base64:", "utf8:"].contains { text.hasPrefix($0) }
    }

    /// What keeps `file` from being used, or `nil`. Opens it and reads it; creates and changes nothing.
    package static func check(_ file: ConfigurationFile) -> FileError? {
        do {
            switch file.content {
            case .secret: _ = try Self.loadSecret(file)
            case .privateKey: try Self.checkPEM(file, access: .ownerOnly, what: "PRIVATE KEY-----")
            case .certificates: try Self.checkPEM(file, access: .anyone, what: "CERTIFICATE-----")
            case .authorities: try Self.checkAuthorities(file)
            case .revocations: try Self.checkPEM(file, access: .anyone, what: "X509 CRL-----")
            }
            return nil
        } catch {
            return error
        }
    }

    /// As ``check(_:)`` for a pre-shared key.
    static func checkPreSharedKey(_ file: ConfigurationFile) -> FileError? {
        do {
            _ = try Self.loadPreSharedKey(file)
            return nil
        } catch {
            return error
        }
    }

    private static func checkAuthorities(_ file: ConfigurationFile) throws(FileError) {
        guard TLSFile.isDirectory(path: file.path) else {
            return try Self.checkPEM(file, access: .anyone, what: "CERTIFICATE-----")
        }
        let paths: [String]
        do throws(TLSError) {
            paths = try TLSFile.certificates(inDirectory: file.path)
        } catch {
            throw FileError(path: file.path, kind: .content("can't be used: \(error.message)"))
        }
        for path in paths {
            try Self.checkPEM(
                ConfigurationFile(path: path, content: .certificates),
                access: .anyone,
                what: "CERTIFICATE-----"
            )
        }
    }

    private static func checkPEM(
        _ file: ConfigurationFile,
        access: FileReader.Access,
        what: String
    ) throws(FileError) {
        let bytes = try FileReader.read(file.path, limit: Self.maxPEMBytes, access: access)
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.contains("-----BEGIN "), text.contains(what) else {
            let name =
                switch file.content {
                case .privateKey: "private key"
                case .revocations: "revocation list"
                case .certificates, .authorities, .secret: "certificate"
                }
            throw FileError(path: file.path, kind: .content("holds no \(name) in PEM form"))
        }
    }

    private static func trimmed(_ text: String) -> Substring {
        var line = Substring(text)
        while let first = line.first, first.isWhitespace { line = line.dropFirst() }
        while let last = line.last, last.isWhitespace { line = line.dropLast() }
        return line
    }
}
