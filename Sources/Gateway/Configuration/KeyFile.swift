import Devices
import OpenSSL
import Sealing

/// Key files: the secrets of devices on their way in or out of the gateway, and what `seal` and `unseal` work with.
///
/// TOML, one `[[device]]` a device:
///
///     [[device]]
///     id         = "kitchen"
///     profile    = "sensor"
///     seal       = "v1"
///     node_id    = "11242238"
///     static_iv  = "abcdef2345678901"                          # text, or "hex:…"
///     iv_key     = "2345678901abcdef"
///     data_key   = "hex:30313233343536373839616263646566"
///     passphrase = "mypassphrase"
///
/// `keys_of = "OTHER"` in place of the four secrets says that the device shares those of another; `psk` is a pre-shared key
/// for TLS that the node has already, and `oscore_secret` with what belongs to it an OSCORE context. `password_hash = "hex:…"`, as an export writes it, is what a password is checked
/// against; the password itself can't be given here.
package enum KeyFile {
    /// Longest file in bytes, enough for 100,000 devices.
    package static let maxFileBytes = 64 * 1024 * 1024

    /// Most devices in one file.
    package static let maxDevices = 1_000_000

    private static let secretKeys = ["static_iv", "iv_key", "data_key", "passphrase"]

    /// Reads the file at `path`. Blocks.
    ///
    /// - Throws: ``ConfigurationError``: everything that is wrong in it, a mode wider than 0600 included.
    package static func read(path: String) throws(ConfigurationError) -> [KeyFileEntry] {
        let text = try ConfigurationDocument.readText(path, limit: Self.maxFileBytes, access: .ownerOnly)
        return try Self.parse(text, file: path)
    }

    /// Reads standard input up to its end. Blocks.
    ///
    /// - Throws: ``ConfigurationError`` as ``read(path:)``, but for the mode.
    package static func readStandardInput() throws(ConfigurationError) -> [KeyFileEntry] {
        let name = "standard input"
        let bytes: [UInt8]
        do {
            bytes = try FileReader.readStandardInput(limit: Self.maxFileBytes)
        } catch {
            throw ConfigurationError([ConfigurationFinding(file: name, line: 0, key: "", message: error.reason)])
        }
        return try Self.parse(try ConfigurationDocument.text(of: bytes, file: name), file: name)
    }

    /// Reads `text`.
    ///
    /// - Parameter file: the name for messages.
    /// - Throws: ``ConfigurationError`` with everything that is wrong in it. Never repeats a secret.
    package static func parse(_ text: String, file: String) throws(ConfigurationError) -> [KeyFileEntry] {
        let document = try ConfigurationDocument(text: text, file: file, maxBytes: Self.maxFileBytes)
        let root = ConfigurationReader(document)
        let tables = root.tables("device", atMost: Self.maxDevices)
        if tables.isEmpty, !root.hasFailed("device") {
            root.error("device", "missing; a key file has a [[device]] for each device")
        }
        var entries: [KeyFileEntry] = []
        var lines: [DeviceID: Int] = [:]
        for table in tables {
            guard let entry = Self.readEntry(table) else { continue }
            if let line = lines[entry.id] {
                table.error("id", "\(entry.id) is in this file already, on line \(line)")
            } else {
                lines[entry.id] = table.line("id")
                entries.append(entry)
            }
        }
        root.finish()
        try document.throwErrors()
        return entries
    }

    // MARK: One device

    private static func readEntry(_ reader: ConfigurationReader) -> KeyFileEntry? {
        if !reader.has("id") { reader.error("id", "missing") }
        let id = Self.name(reader, "id", "the id")
        let profile = Self.name(reader, "profile", "the name")?.text
        let seal: SealForm? = reader.choice("seal", reserved: [SealForm.v2.rawValue, SealForm.cose.rawValue])
        let nodeID = reader.text("node_id", maxBytes: V1Member.maxNodeIDBytes)
        let keysOf = Self.name(reader, "keys_of", "the id")
        let keys = Self.v1Keys(reader, isSealed: seal == .v1)
        let psk = Self.bytes(reader, "psk", allowed: Array(1...TLSPreSharedKey.maxKeyBytes))
        let oscore = Self.oscore(reader)
        let password = Self.passwordHash(reader)
        reader.finish()
        guard let id else { return nil }
        if keysOf == id { reader.error("keys_of", "names the device itself") }

        var entry = KeyFileEntry(id: id, profile: profile, seal: seal)
        entry.nodeID = nodeID
        entry.v1Keys = keys
        entry.keysOf = keysOf
        entry.psk = psk
        entry.oscore = oscore
        entry.password = password
        entry.line = reader.line
        return entry
    }

    /// A hash as an export writes it, at the price of all passwords: with another one, the time that a login takes would
    /// tell whether there is such a device.
    private static func passwordHash(_ reader: ConfigurationReader) -> PasswordHash? {
        let lengths = Array(1...PasswordHash.maxBytes)
        guard let bytes = Self.bytes(reader, "password_hash", allowed: lengths) else { return nil }
        guard let hash = PasswordHash(bytes: bytes), hash.parameters != nil else {
            return reader.refuse(
                "password_hash",
                "is no hash that this version can check; see: sealgate device password"
            )
        }
        guard hash.parameters == .standard else {
            let standard = Scrypt.Parameters.standard
            return reader.refuse(
                "password_hash",
                "has not the price of scrypt that all passwords have here (log N \(standard.logN), r \(standard.r), "
                    + "p \(standard.p)); set the password anew with: sealgate device password"
            )
        }
        return hash
    }

    /// A device id, or a profile's name, which has the same rule.
    private static func name(_ reader: ConfigurationReader, _ key: String, _ what: String) -> DeviceID? {
        guard let text = reader.string(key) else { return nil }
        do {
            return try DeviceID(text)
        } catch {
            return reader.refuse(key, "\(what) \(error)")
        }
    }

    /// All four secrets or none.
    private static func v1Keys(_ reader: ConfigurationReader, isSealed: Bool) -> V1Keys? {
        let present = Self.secretKeys.filter(reader.has)
        let staticIV = Self.bytes(reader, "static_iv", allowed: [16])
        let ivKey = Self.bytes(reader, "iv_key", allowed: [16, 24, 32])
        let dataKey = Self.bytes(reader, "data_key", allowed: [16, 24, 32])
        let passphrase = Self.bytes(reader, "passphrase", allowed: Array(1...1024))
        if reader.has("keys_of") {
            for key in present { reader.error(key, "has no place beside keys_of, which says whose secrets are used") }
            return nil
        }
        guard isSealed || !present.isEmpty else { return nil }
        for key in Self.secretKeys where !reader.has(key) {
            reader.error(key, "missing; seal v1 needs \(Self.secretKeys.joined(separator: ", "))")
        }
        guard let staticIV, let ivKey, let dataKey, let passphrase else { return nil }
        do {
            return try V1Keys(staticIV: staticIV, ivKey: ivKey, dataKey: dataKey, passphrase: passphrase)
        } catch {
            return reader.refuse(error.field, "\(error)")
        }
    }

    /// A secret: text, or `hex:` and digits. Messages tell its length at most.
    static func bytes(_ reader: ConfigurationReader, _ key: String, allowed: [Int]) -> [UInt8]? {
        guard let text = reader.string(key) else { return nil }
        let bytes: [UInt8]
        if text.hasPrefix("hex:") {
            guard let decoded = Hexadecimal.decode(text.dropFirst(4)) else {
                return reader.refuse(key, "has something else than pairs of hexadecimal digits behind \"hex:\"")
            }
            bytes = decoded
        } else {
            bytes = Array(text.utf8)
        }
        guard allowed.contains(bytes.count) else {
            let hint =
                allowed.contains { $0 * 2 == bytes.count } && !text.hasPrefix("hex:")
                && Hexadecimal.decode(text) != nil
            let cure = hint ? "; if it is hexadecimal, write \"hex:\" before it" : ""
            let count = bytes.count == 1 ? "1 byte" : "\(bytes.count) bytes"
            return reader.refuse(key, "has \(count), must have \(Self.describe(allowed))\(cure)")
        }
        return bytes
    }

    private static func describe(_ lengths: [Int]) -> String {
        guard let first = lengths.first, let last = lengths.last, first < last else {
            return lengths.map { String($0) }.joined()
        }
        if lengths.count > 3 { return "\(first) to \(last)" }
        return lengths.dropLast().map { String($0) }.joined(separator: ", ") + " or \(last)"
    }

    // MARK: Writing

    /// The text of a key file, which ``parse(_:file:)`` reads back to the same entries. It holds secrets: to be written to a
    /// file of mode 0600 only.
    package static func write(_ entries: [KeyFileEntry]) -> String {
        entries.map(Self.write).joined(separator: "\n")
    }

    private static func write(_ entry: KeyFileEntry) -> String {
        var lines = ["[[device]]", Self.assignment("id", Self.quoted(entry.id.text))]
        if let profile = entry.profile { lines.append(Self.assignment("profile", Self.quoted(profile))) }
        if let seal = entry.seal { lines.append(Self.assignment("seal", Self.quoted(seal.rawValue))) }
        if let nodeID = entry.nodeID { lines.append(Self.assignment("node_id", Self.quoted(nodeID))) }
        if let keysOf = entry.keysOf { lines.append(Self.assignment("keys_of", Self.quoted(keysOf.text))) }
        if let keys = entry.v1Keys {
            lines.append(Self.assignment("static_iv", Self.secret(keys.staticIV)))
            lines.append(Self.assignment("iv_key", Self.secret(keys.ivKey)))
            lines.append(Self.assignment("data_key", Self.secret(keys.dataKey)))
            lines.append(Self.assignment("passphrase", Self.secret(keys.passphrase)))
        }
        if let psk = entry.psk { lines.append(Self.assignment("psk", Self.secret(psk))) }
        if let oscore = entry.oscore { lines += Self.lines(of: oscore) }
        if let password = entry.password {
            lines.append(Self.assignment("password_hash", "\"hex:\(Hexadecimal.encode(password.bytes))\""))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    static func assignment(_ key: String, _ value: String) -> String {
        key + String(repeating: " ", count: max(0, 10 - key.utf8.count)) + " = " + value
    }

    /// Printable ASCII as text, everything else as `hex:`.
    static func secret(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        let isPlain = bytes.allSatisfy { (0x21...0x7E).contains($0) } && !text.hasPrefix("hex:")
        return isPlain ? Self.quoted(text) : "\"hex:\(Hexadecimal.encode(bytes))\""
    }

    /// A basic string of TOML.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\" + String(scalar)
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                let digits = String(scalar.value, radix: 16, uppercase: true)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
