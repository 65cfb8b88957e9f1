import Devices
import Foundation
import GRDB
import Sealing
import Synchronization

/// Brings master key and database together: makes the key on first use, and never a second one for a database that
/// depends on the first.
///
/// The database remembers which key it belongs to by a constant wrapped with it (`master_key_check`), so that a lost or
/// exchanged master.key is told from a wrong record, also where all secrets are derived and none is wrapped.
final class SecretKeeper: Sendable {
    private static let operation = "opening the secrets"
    private static let checkText = Array("sealgate master key".utf8)
    /// No device id: those have no space.
    private static let checkName = "master key"

    private let directory: StateDirectory
    private let hierarchy = Mutex<KeyHierarchy?>(nil)

    init(directory: StateDirectory) {
        self.directory = directory
    }

    /// The keys, if they were opened before.
    var opened: KeyHierarchy? { self.hierarchy.withLock(\.self) }

    /// The keys, read from master.key at the first call.
    ///
    /// - Parameter create: makes master.key if neither it nor anything that depends on one is there. Then `db` must be
    ///   in a transaction that writes.
    func open(_ db: Database, create: Bool) throws -> KeyHierarchy {
        if let opened { return opened }
        let check = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'master_key_check'")
        let isNeeded = try check != nil || DeviceTable.hasWrappedSecrets(db)
        let wasThere = FileManager.default.fileExists(atPath: self.directory.masterKey)
        let keys = KeyHierarchy(master: try self.load(create: create && !isNeeded, isNeeded: isNeeded))
        if let check {
            guard keys.unwrap([UInt8](check), device: Self.checkName) == Self.checkText else {
                throw self.error("\(self.directory.masterKey) is not the key of \(self.directory.database)")
            }
        } else if create {
            try db.execute(
                sql: "INSERT INTO meta (name, value) VALUES ('master_key_check', ?)",
                arguments: [Data(keys.wrap(Self.checkText, device: Self.checkName))]
            )
            if !wasThere {
                // No number was ever used under keys that nobody had before.
                let sql = "INSERT OR IGNORE INTO meta (name, value) VALUES (?, 0)"
                try db.execute(sql: sql, arguments: [OSCORETable.unknownReserved])
            }
        }
        self.hierarchy.withLock { $0 = keys }
        return keys
    }

    /// Opens the keys if the database belongs to any.
    ///
    /// - Throws: ``StoreError`` with `.masterKey` when they are missing or others.
    func verify(_ db: Database) throws {
        let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'master_key_check')"
        if try Bool.fetchOne(db, sql: sql) ?? false { _ = try self.open(db, create: false) }
    }

    private func load(create: Bool, isNeeded: Bool) throws -> MasterKey {
        let path = self.directory.masterKey
        do throws(MasterKeyError) {
            return try MasterKey.load(path)
        } catch  where error.problem == .missing {
            guard create else {
                let secrets = isNeeded ? "holds secrets that only it opens" : "has no secrets yet"
                throw self.error("\(path) is missing, and \(self.directory.database) \(secrets)")
            }
        } catch {
            throw self.error(error.description)
        }
        do throws(MasterKeyError) {
            return try MasterKey.create(path)
        } catch  where error.problem == .exists {
            // Another process was first; it has written it by the time that we have the write lock.
            return try self.load(create: false, isNeeded: true)
        } catch {
            throw self.error(error.description)
        }
    }

    private func error(_ detail: String) -> StoreError {
        StoreError(.masterKey, file: self.directory.masterKey, operation: Self.operation, detail: detail)
    }

    // MARK: - What is wrapped

    /// First byte of a wrapped secret, so that one kind is not taken for another.
    private enum Kind: UInt8 {
        case v1Keys = 1
        case psk = 2
        case password = 3
        case oscore = 4
    }

    static func encode(_ keys: V1Keys) -> [UInt8] {
        var bytes = [Kind.v1Keys.rawValue]
        for part in [keys.staticIV, keys.ivKey, keys.dataKey, keys.passphrase] {
            bytes.append(UInt8(truncatingIfNeeded: part.count >> 8))
            bytes.append(UInt8(truncatingIfNeeded: part.count))
            bytes += part
        }
        return bytes
    }

    static func encode(psk: [UInt8]) -> [UInt8] { [Kind.psk.rawValue] + psk }

    static func encode(_ password: PasswordHash) -> [UInt8] { [Kind.password.rawValue] + password.bytes }

    static func decodeV1Keys(_ bytes: [UInt8]) -> V1Keys? {
        var rest = bytes[...]
        guard rest.popFirst() == Kind.v1Keys.rawValue else { return nil }
        var parts: [[UInt8]] = []
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            guard count <= rest.count else { return nil }
            parts.append(Array(rest.prefix(count)))
            rest.removeFirst(count)
        }
        guard parts.count == 4, rest.isEmpty else { return nil }
        return try? V1Keys(staticIV: parts[0], ivKey: parts[1], dataKey: parts[2], passphrase: parts[3])
    }

    static func decodePSK(_ bytes: [UInt8]) -> [UInt8]? {
        bytes.first == Kind.psk.rawValue ? Array(bytes.dropFirst()) : nil
    }

    /// The kind, a version, the algorithm, then secret, salt, both IDs and, if there is one, the ID context, each behind its
    /// length.
    static func encode(_ oscore: ImportedOSCORE) -> [UInt8] {
        var bytes = [Kind.oscore.rawValue, Self.oscoreVersion, UInt8(oscore.algorithm.rawValue)]
        let parts = [oscore.secret, oscore.salt, oscore.senderID, oscore.recipientID, oscore.idContext]
        for part in parts.compactMap(\.self) {
            bytes.append(UInt8(part.count))
            bytes += part
        }
        return bytes
    }

    static func decodeOSCORE(_ bytes: [UInt8]) -> ImportedOSCORE? {
        guard bytes.count >= 3, bytes[0] == Kind.oscore.rawValue, bytes[1] == Self.oscoreVersion,
            let algorithm = OSCOREAlgorithm(rawValue: Int(bytes[2]))
        else { return nil }
        var rest = bytes[3...]
        var parts: [[UInt8]] = []
        while let count = rest.popFirst() {
            guard count <= rest.count else { return nil }
            parts.append(Array(rest.prefix(Int(count))))
            rest.removeFirst(Int(count))
        }
        guard 4...5 ~= parts.count else { return nil }
        return try? ImportedOSCORE(
            secret: parts[0],
            salt: parts[1],
            senderID: parts[2],
            recipientID: parts[3],
            idContext: parts.count == 5 ? parts[4] : nil,
            algorithm: algorithm
        )
    }

    private static let oscoreVersion: UInt8 = 1

    static func decodePassword(_ bytes: [UInt8]) -> PasswordHash? {
        bytes.first == Kind.password.rawValue ? PasswordHash(bytes: Array(bytes.dropFirst())) : nil
    }
}
