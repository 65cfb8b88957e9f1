import Devices
import Foundation
import GRDB
import Sealing

/// Table `device`: one row for each device, secrets wrapped. The statements of commands, not of the message path.
struct DeviceTable {
    let secrets: SecretKeeper
    let directory: StateDirectory

    /// A number that every transaction which changes devices counts up.
    static func generation(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'device_generation'") ?? 0
    }

    static func hasWrappedSecrets(_ db: Database) throws -> Bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE v1_keys IS NOT NULL OR psk IS NOT NULL)"
        return try Bool.fetchOne(db, sql: sql) ?? false
    }

    static func countGeneration(_ db: Database) throws {
        try db.execute(sql: "UPDATE meta SET value = value + 1 WHERE name = 'device_generation'")
    }

    // MARK: - Reading

    func all(_ db: Database) throws -> [Device] {
        var devices: [Device] = []
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM device ORDER BY id")
        while let row = try rows.next() { devices.append(try self.device(row, db)) }
        return devices
    }

    func device(_ id: DeviceID, _ db: Database) throws -> Device? {
        let row = try Row.fetchOne(db, sql: "SELECT * FROM device WHERE id = ?", arguments: [id.text])
        return try row.map { try self.device($0, db) }
    }

    private func device(_ row: Row, _ db: Database) throws -> Device {
        let name: String = row["id"]
        guard let id = try? DeviceID(name), let epoch = UInt32(exactly: row["epoch"] as Int64) else {
            throw self.unreadable(name)
        }
        var device = Device(
            id: id,
            profile: row["profile"],
            epoch: epoch,
            isRevoked: row["revoked"],
            nodeID: row["node_id"],
            created: row["created"]
        )
        if let seal = row["seal"] as String? {
            // Not nil for an unknown word: that would mean the profile's form.
            guard let seal = SealForm(rawValue: seal) else { throw self.unreadable(name) }
            device.seal = seal
        }
        if let keysOf = row["keys_of"] as String? {
            guard let keysOf = try? DeviceID(keysOf) else { throw self.unreadable(name) }
            device.keysOf = keysOf
        }
        if let wrapped = row["v1_keys"] as Data? {
            let bytes = try self.unwrap(wrapped, of: id, db)
            guard let keys = SecretKeeper.decodeV1Keys(bytes) else { throw self.unreadable(name) }
            device.v1Keys = keys
        }
        if let wrapped = row["psk"] as Data? {
            let bytes = try self.unwrap(wrapped, of: id, db)
            guard let psk = SecretKeeper.decodePSK(bytes) else { throw self.unreadable(name) }
            device.psk = psk
        }
        return device
    }

    private func unwrap(_ wrapped: Data, of id: DeviceID, _ db: Database) throws -> [UInt8] {
        let keys = try self.secrets.open(db, create: false)
        guard let bytes = keys.unwrap([UInt8](wrapped), device: id.text) else {
            let database = self.directory.database
            let detail = "\(self.directory.masterKey) does not open the secrets of device \(id) in \(database)"
            throw StoreError(.masterKey, file: self.directory.masterKey, operation: "reading devices", detail: detail)
        }
        return bytes
    }

    private func unreadable(_ name: String) -> StoreError {
        let detail = "the record of device \(name) holds something that this release does not know"
        return StoreError(.schemaTooNew, file: self.directory.database, operation: "reading devices", detail: detail)
    }

    // MARK: - Changing, inside a transaction

    /// Adds the device, or replaces all but the id of the one that is there.
    func put(_ device: Device, _ db: Database) throws {
        if try self.has(device.id, db) {
            try self.update(device, db)
        } else {
            try self.insert(device, db)
        }
    }

    private func has(_ id: DeviceID, _ db: Database) throws -> Bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE id = ?)"
        return try Bool.fetchOne(db, sql: sql, arguments: [id.text]) ?? false
    }

    func insert(_ device: Device, _ db: Database) throws {
        if try self.has(device.id, db) {
            let detail = "there is a device \(device.id) already"
            throw StoreError(.deviceExists, file: self.directory.database, operation: "adding a device", detail: detail)
        }
        try db.execute(
            sql: """
                INSERT INTO device
                (profile, seal, epoch, revoked, node_id, keys_of, v1_keys, psk, created, id)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: try self.arguments(device, db)
        )
    }

    func update(_ device: Device, _ db: Database) throws {
        try db.execute(
            sql: """
                UPDATE device SET profile = ?, seal = ?, epoch = ?, revoked = ?, node_id = ?, keys_of = ?,
                v1_keys = ?, psk = ?, created = ? WHERE id = ?
                """,
            arguments: try self.arguments(device, db)
        )
        try self.requireChange(of: device.id, db)
    }

    func setRevoked(_ isRevoked: Bool, _ id: DeviceID, _ db: Database) throws {
        try db.execute(sql: "UPDATE device SET revoked = ? WHERE id = ?", arguments: [isRevoked, id.text])
        try self.requireChange(of: id, db)
    }

    func remove(_ id: DeviceID, _ db: Database) throws {
        let sql = "SELECT id FROM device WHERE keys_of = ? ORDER BY id LIMIT 1"
        if let user = try String.fetchOne(db, sql: sql, arguments: [id.text]) {
            let detail = "device \(user) uses the keys of \(id)"
            throw StoreError(.keysInUse, file: self.directory.database, operation: "removing a device", detail: detail)
        }
        try db.execute(sql: "DELETE FROM device WHERE id = ?", arguments: [id.text])
        try self.requireChange(of: id, db)
    }

    /// After all changes of a transaction: whoever uses another's keys must find them.
    func checkKeys(_ db: Database) throws {
        let sql = """
            SELECT id, keys_of FROM device AS user WHERE keys_of IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM device AS owner WHERE owner.id = user.keys_of AND owner.v1_keys IS NOT NULL)
            ORDER BY id LIMIT 1
            """
        guard let row = try Row.fetchOne(db, sql: sql) else { return }
        let (user, owner): (String, String) = (row[0], row[1])
        let detail = "device \(user) is to use the keys of \(owner), which has none or is not there"
        throw StoreError(.noSuchDevice, file: self.directory.database, operation: "storing devices", detail: detail)
    }

    private func requireChange(of id: DeviceID, _ db: Database) throws {
        guard db.changesCount == 0 else { return }
        let detail = "there is no device \(id)"
        throw StoreError(.noSuchDevice, file: self.directory.database, operation: "changing a device", detail: detail)
    }

    private func arguments(_ device: Device, _ db: Database) throws -> StatementArguments {
        func wrap(_ secret: [UInt8]?) throws -> Data? {
            guard let secret else { return nil }
            return Data(try self.secrets.open(db, create: true).wrap(secret, device: device.id.text))
        }
        return [
            device.profile, device.seal?.rawValue, Int64(device.epoch), device.isRevoked, device.nodeID,
            device.keysOf?.text, try wrap(device.v1Keys.map(SecretKeeper.encode)),
            try wrap(device.psk.map(SecretKeeper.encode(psk:))), device.created, device.id.text,
        ]
    }
}
