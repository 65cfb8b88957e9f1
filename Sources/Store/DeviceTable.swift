import Devices
import Foundation
import GRDB
import Sealing

/// Table `device`: one row for each device, secrets wrapped. The statements of commands, not of the message path.
struct DeviceTable {
    let secrets: SecretKeeper
    let directory: StateDirectory

    private static let unknownContent = "holds something that this release does not know"

    /// A number that every transaction which changes devices counts up.
    static func generation(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'device_generation'") ?? 0
    }

    static func hasWrappedSecrets(_ db: Database) throws -> Bool {
        let sql = """
            SELECT EXISTS
            (SELECT 1 FROM device WHERE v1_keys IS NOT NULL OR psk IS NOT NULL OR password IS NOT NULL
            OR oscore IS NOT NULL)
            """
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

    /// Without secrets: needs no master.key. Those whose names are no ids are left out; nothing can speak as them.
    func records(_ db: Database) throws -> [DeviceRecord] {
        try Row.fetchAll(db, sql: "SELECT * FROM device ORDER BY id").compactMap(self.record)
    }

    /// For the gateway: one record that can't be used is a revoked device, and takes nothing from the others.
    func reading(_ db: Database) throws -> DeviceReading {
        var reading = DeviceReading()
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM device ORDER BY id")
        while let row = try rows.next() {
            do {
                reading.devices.append(try self.device(row, db))
            } catch let error as StoreError {
                reading.problems[row["id"]] = error.detail
                guard var device = self.record(row)?.device else { continue }
                device.isRevoked = true
                reading.devices.append(device)
            }
        }
        return reading
    }

    private func device(_ row: Row, _ db: Database) throws -> Device {
        guard let record = self.record(row) else { throw self.unreadable(row["id"]) }
        guard record.problem == nil else { throw self.unreadable(row["id"]) }
        var device = record.device
        if let wrapped = row["v1_keys"] as Data? {
            let bytes = try self.unwrap(wrapped, of: device.id, db)
            guard let keys = SecretKeeper.decodeV1Keys(bytes) else { throw self.unreadable(device.id.text) }
            device.v1Keys = keys
        }
        if let wrapped = row["psk"] as Data? {
            let bytes = try self.unwrap(wrapped, of: device.id, db)
            guard let psk = SecretKeeper.decodePSK(bytes) else { throw self.unreadable(device.id.text) }
            device.psk = psk
        }
        if let wrapped = row["oscore"] as Data? {
            let bytes = try self.unwrap(wrapped, of: device.id, db)
            guard let oscore = SecretKeeper.decodeOSCORE(bytes) else { throw self.unreadable(device.id.text) }
            device.oscore = oscore
        }
        if let wrapped = row["password"] as Data? {
            let bytes = try self.unwrap(wrapped, of: device.id, db)
            guard let password = SecretKeeper.decodePassword(bytes) else { throw self.unreadable(device.id.text) }
            device.password = password
        }
        return device
    }

    private func record(_ row: Row) -> DeviceRecord? {
        guard let id = try? DeviceID(row["id"] as String) else { return nil }
        let seal: String? = row["seal"]
        let keysOf: String? = row["keys_of"]
        let epoch = UInt32(exactly: row["epoch"] as Int64)
        var record = DeviceRecord(
            Device(
                id: id,
                profile: row["profile"],
                seal: seal.flatMap(SealForm.init(rawValue:)),
                epoch: epoch ?? 1,
                isRevoked: row["revoked"],
                nodeID: row["node_id"],
                keysOf: keysOf.flatMap { try? DeviceID($0) },
                created: row["created"]
            )
        )
        record.hasV1Keys = row.hasValue("v1_keys")
        record.hasPSK = row.hasValue("psk")
        record.hasOSCORE = row.hasValue("oscore")
        record.hasPassword = row.hasValue("password")
        // A word that is not known must not pass for none, which means the profile's form.
        let isSealUnknown = seal != nil && record.device.seal == nil
        let isOwnerUnknown = keysOf != nil && record.device.keysOf == nil
        if isSealUnknown || isOwnerUnknown || epoch == nil { record.problem = Self.unknownContent }
        return record
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
        let detail = "the record of device \(name) \(Self.unknownContent)"
        return StoreError(.schemaTooNew, file: self.directory.database, operation: "reading devices", detail: detail)
    }

    // MARK: - Changing, inside a transaction

    /// Adds the device, or gives the one that is there another profile, form, node id and other keys. Whether that one is
    /// revoked, its epoch, its age and, if the new one has none, its password are its own: they may have changed since the
    /// caller read them.
    func put(_ device: Device, _ db: Database) throws {
        guard try self.has(device.id, db) else { return try self.insert(device, db) }
        let secrets = try self.wrapped(device, db)
        try db.execute(
            sql: """
                UPDATE device SET profile = ?, seal = ?, node_id = ?, keys_of = ?, v1_keys = ?, psk = ?, oscore = ?,
                password = COALESCE(?, password) WHERE id = ?
                """,
            arguments: [
                device.profile, device.seal?.rawValue, device.nodeID, device.keysOf?.text, secrets.v1Keys, secrets.psk,
                secrets.oscore, secrets.password, device.id.text,
            ]
        )
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
                (profile, seal, epoch, revoked, node_id, keys_of, v1_keys, psk, oscore, password, created, id)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: try self.arguments(device, db)
        )
    }

    func update(_ device: Device, _ db: Database) throws {
        try db.execute(
            sql: """
                UPDATE device SET profile = ?, seal = ?, epoch = ?, revoked = ?, node_id = ?, keys_of = ?,
                v1_keys = ?, psk = ?, oscore = ?, password = ?, created = ? WHERE id = ?
                """,
            arguments: try self.arguments(device, db)
        )
        try self.requireChange(of: device.id, db)
    }

    func setRevoked(_ isRevoked: Bool, _ id: DeviceID, _ db: Database) throws {
        try db.execute(sql: "UPDATE device SET revoked = ? WHERE id = ?", arguments: [isRevoked, id.text])
        try self.requireChange(of: id, db)
    }

    /// Gives the device a password, another one, or none.
    func setPassword(_ password: PasswordHash?, _ id: DeviceID, _ db: Database) throws {
        let wrapped = try password.map { try self.wrap(SecretKeeper.encode($0), of: id, db) }
        try db.execute(sql: "UPDATE device SET password = ? WHERE id = ?", arguments: [wrapped, id.text])
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
        let secrets = try self.wrapped(device, db)
        return [
            device.profile, device.seal?.rawValue, Int64(device.epoch), device.isRevoked, device.nodeID,
            device.keysOf?.text, secrets.v1Keys, secrets.psk, secrets.oscore, secrets.password, device.created,
            device.id.text,
        ]
    }

    private struct Wrapped {
        let v1Keys: Data?
        let psk: Data?
        let oscore: Data?
        let password: Data?
    }

    private func wrapped(_ device: Device, _ db: Database) throws -> Wrapped {
        func wrap(_ secret: [UInt8]?) throws -> Data? {
            try secret.map { try self.wrap($0, of: device.id, db) }
        }
        return Wrapped(
            v1Keys: try wrap(device.v1Keys.map { SecretKeeper.encode($0) }),
            psk: try wrap(device.psk.map(SecretKeeper.encode(psk:))),
            oscore: try wrap(device.oscore.map { SecretKeeper.encode($0) }),
            password: try wrap(device.password.map { SecretKeeper.encode($0) })
        )
    }

    private func wrap(_ secret: [UInt8], of id: DeviceID, _ db: Database) throws -> Data {
        Data(try self.secrets.open(db, create: true).wrap(secret, device: id.text))
    }
}

extension Row {
    /// Whether the column is not NULL.
    fileprivate func hasValue(_ column: String) -> Bool {
        (self[column] as DatabaseValue?).map { !$0.isNull } ?? false
    }
}
