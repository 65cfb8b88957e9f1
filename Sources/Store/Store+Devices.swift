package import Devices
import Foundation
import GRDB
import Logging
package import NIOCore
package import Sealing
import Synchronization

/// What this process knows of the devices on disk.
struct DeviceKnowledge {
    /// SQLite's number for commits of other connections, as last seen.
    var dataVersion: Int64
    /// The devices' own number, as last read or written here.
    var generation: Int64
    /// The dead letters' own number, as last read.
    var deadGeneration: Int64
    /// Reported already, and not again as long as it stays the same.
    var lastError: StoreError?
    /// What was wrong with single devices, as it was logged.
    var problems: [String: String] = [:]
    /// The devices as last read, if some lack a master key that may appear yet without any change of the database.
    var waiting: [Device]?
}

extension Store {
    private var table: DeviceTable { DeviceTable(secrets: self.secrets, directory: self.directory) }

    // MARK: - Commands: any thread, synchronous

    /// All devices in the order of their ids, secrets unwrapped.
    ///
    /// For the gateway a device whose record or secrets can't be read is one that is revoked, with an error in the log:
    /// it keeps nobody else from being served, nor from being revoked.
    ///
    /// - Throws: ``StoreError``; to others than the gateway also for a single device: `.masterKey` when master.key is
    ///   missing or does not fit and a secret has to be opened, `.schemaTooNew` for a record of a newer release.
    package func devices() throws(StoreError) -> [Device] {
        let table = self.table
        let isGateway = self.access == .gateway
        let (reading, generation) = try self.read(operation: "reading devices") { db in
            let reading = isGateway ? try table.reading(db) : DeviceReading(devices: try table.all(db))
            return (reading, try DeviceTable.generation(db))
        }
        self.knowledge.withLock { $0.generation = generation }
        self.take(reading)
        return reading.devices
    }

    /// All devices in the order of their ids, without opening any secret: works without master.key.
    package func deviceRecords() throws(StoreError) -> [DeviceRecord] {
        let table = self.table
        return try self.read(operation: "reading devices") { db in try table.records(db) }
    }

    /// Logs what is wrong with single devices, each once, and remembers whether to look again.
    private func take(_ reading: DeviceReading) {
        let isWaiting = !reading.problems.isEmpty && self.secrets.opened == nil
        let news = self.knowledge.withLock { knowledge in
            defer { knowledge.problems = reading.problems }
            knowledge.waiting = isWaiting ? reading.devices : nil
            return reading.problems.filter { knowledge.problems[$0.key] != $0.value }
        }
        for (name, problem) in news.sorted(by: { $0.key < $1.key }).prefix(Self.maxLoggedProblems) {
            self.logger.error(
                "a device can't be used, and is taken for revoked",
                metadata: ["device": "\(name)", "reason": "\(problem)"]
            )
        }
        if news.count > Self.maxLoggedProblems {
            let count = news.count - Self.maxLoggedProblems
            self.logger.error("more devices can't be used", metadata: ["count": "\(count)"])
        }
    }

    /// Bad devices that are named one by one after one look.
    private static var maxLoggedProblems: Int { 20 }

    /// One device; nil if there is none of that id.
    package func device(_ id: DeviceID) throws(StoreError) -> Device? {
        let table = self.table
        return try self.read(operation: "reading a device") { db in try table.device(id, db) }
    }

    /// Adds a device. Makes master.key if it has the store's first secret.
    ///
    /// - Throws: ``StoreError``, `.deviceExists`, or `.noSuchDevice` when ``Device/keysOf`` names none that has keys.
    package func insert(_ device: Device) throws(StoreError) {
        try self.insert([device])
    }

    /// Adds all of them or, after an error, none. They may use each other's keys, in any order.
    package func insert(_ devices: [Device]) throws(StoreError) {
        try self.change(operation: "adding devices") { db, table in
            for device in devices { try table.insert(device, db) }
            try table.checkKeys(db)
        }
    }

    /// Adds those whose ids are new and gives the others their profile, form, node id and keys or, after an error, changes
    /// nothing. They may use each other's keys, in any order. Whether a device that is there is revoked, its epoch and
    /// when it was added stay as they are, and so does its password unless there is another one for it.
    ///
    /// - Throws: ``StoreError``, `.noSuchDevice` when a device, one of these or not, would be left without the keys of
    ///   another that it uses.
    package func put(_ devices: [Device]) throws(StoreError) {
        try self.change(operation: "storing devices") { db, table in
            for device in devices { try table.put(device, db) }
            try table.checkKeys(db)
        }
    }

    /// Replaces all of a device but its id.
    ///
    /// - Throws: ``StoreError``, `.noSuchDevice` when it is not there, or when it or another would be left without the
    ///   keys that it uses.
    package func update(_ device: Device) throws(StoreError) {
        try self.change(operation: "changing a device") { db, table in
            try table.update(device, db)
            try table.checkKeys(db)
        }
    }

    /// Revokes a device or restores it.
    ///
    /// - Throws: ``StoreError``, `.noSuchDevice`.
    package func setRevoked(_ isRevoked: Bool, of id: DeviceID) throws(StoreError) {
        try self.change(operation: "revoking a device") { db, table in try table.setRevoked(isRevoked, id, db) }
    }

    /// Gives a device a password, another one, or none. Makes master.key if it is the store's first secret.
    ///
    /// - Throws: ``StoreError``, `.noSuchDevice`.
    package func setPassword(_ password: PasswordHash?, of id: DeviceID) throws(StoreError) {
        try self.change(operation: "setting a password") { db, table in try table.setPassword(password, id, db) }
    }

    /// Removes a device; its record is overwritten in the database file.
    ///
    /// - Throws: ``StoreError``, `.noSuchDevice`, or `.keysInUse` while another uses its keys.
    package func remove(_ id: DeviceID) throws(StoreError) {
        try self.change(operation: "removing a device") { db, table in try table.remove(id, db) }
    }

    /// The keys that hang from master.key, which is made if nothing depends on one yet.
    ///
    /// - Throws: ``StoreError``, `.masterKey` when it is missing or not the one that belongs to this database.
    package func keyHierarchy() throws(StoreError) -> KeyHierarchy {
        if let opened = self.secrets.opened { return opened }
        let secrets = self.secrets
        if self.access == .readOnly {
            return try self.read(operation: "opening the secrets") { db in try secrets.open(db, create: false) }
        }
        return try self.access(operation: "opening the secrets") { db in
            var keys: KeyHierarchy?
            try db.inTransaction(.immediate) {
                keys = try secrets.open(db, create: true)
                return .commit
            }
            guard let keys else { throw CancellationError() }
            return keys
        }
    }

    // MARK: - The gateway: changes of other processes

    /// Looks once whether another process has changed devices, on the store's thread: all of them if so, nil if not.
    /// Changes made through this store are not reported.
    package func pollDeviceChanges(
        on loop: any EventLoop,
        completion: @escaping @Sendable (Result<[Device]?, StoreError>) -> Void
    ) {
        self.enqueue(operation: "reading devices", on: loop, completion: completion) { [weak self] worker in
            guard let self else { return .success(nil) }
            return Result { () throws(StoreError) in try self.look().devices }
        }
    }

    /// Looks every `interval` for device changes of other processes, on the store's thread, and calls `changed` on
    /// `loop` with all devices when there are any, or with the error that kept it from knowing (once while it lasts).
    ///
    /// The one timer of an idle store: the loop is not woken when nothing has changed. Ends with ``close()``.
    ///
    /// - Parameters:
    ///   - meanwhile: Called on the store's thread at each look, for small files that are watched for the same reason;
    ///     commits wait for it.
    ///   - deadLettersChanged: Called on `loop` when another process has marked dead letters for sending again, or has
    ///     dropped some.
    package func watchDevices(
        every interval: TimeAmount,
        on loop: any EventLoop,
        meanwhile: @escaping @Sendable () -> Void = {},
        deadLettersChanged: @escaping @Sendable () -> Void = {},
        changed: @escaping @Sendable (Result<[Device], StoreError>) -> Void
    ) {
        let body: @Sendable () -> Void = { [weak self] in
            guard let self else { return }
            meanwhile()
            do throws(StoreError) {
                let news = try self.look()
                if news.hasDeadLetters { loop.execute(deadLettersChanged) }
                if let devices = news.devices { loop.execute { changed(.success(devices)) } }
            } catch {
                let isNews = self.knowledge.withLock { knowledge in
                    defer { knowledge.lastError = error }
                    return knowledge.lastError != error
                }
                if isNews { loop.execute { changed(.failure(error)) } }
            }
        }
        self.setWatch(StoreWorker.Watch(interval: interval, body: body))
    }

    /// What other processes have changed since the last look.
    private func look() throws(StoreError) -> (devices: [Device]?, hasDeadLetters: Bool) {
        let version = try self.access(operation: "reading devices") { db in try Self.dataVersion(db) }
        let known = self.knowledge.withLock(\.self)
        guard version != known.dataVersion || known.waiting != nil else { return (nil, false) }
        let table = self.table
        let (reading, generation, deadGeneration) = try self.read(operation: "reading devices") { db in
            let generation = try DeviceTable.generation(db)
            let isNeeded = generation != known.generation || known.waiting != nil
            return (isNeeded ? try table.reading(db) : nil, generation, try Self.deadGeneration(db))
        }
        // Only now: after an error the next look finds the same change again.
        self.knowledge.withLock { knowledge in
            knowledge.dataVersion = version
            knowledge.generation = generation
            knowledge.deadGeneration = deadGeneration
            knowledge.lastError = nil
        }
        let hasDeadLetters = deadGeneration != known.deadGeneration
        guard let reading else { return (nil, hasDeadLetters) }
        self.take(reading)
        let isKnown = generation == known.generation && reading.devices == known.waiting
        return (isKnown ? nil : reading.devices, hasDeadLetters)
    }

    static func dataVersion(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "PRAGMA data_version") ?? 0
    }

    // MARK: - Transactions

    func read<Value>(operation: String, _ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try self.database.read(body)
        } catch {
            throw StoreError(error, file: self.directory.database, operation: operation)
        }
    }

    private func change(operation: String, _ body: (Database, DeviceTable) throws -> Void) throws(StoreError) {
        let table = self.table
        let (before, after) = try self.access(operation: operation) { db in
            // What was a secret is overwritten in the file; the spool does without.
            try db.execute(sql: "PRAGMA secure_delete = ON")
            defer { try? db.execute(sql: "PRAGMA secure_delete = OFF") }
            var generations: (Int64, Int64) = (0, 0)
            try db.inTransaction(.immediate) {
                generations.0 = try DeviceTable.generation(db)
                try body(db, table)
                try DeviceTable.countGeneration(db)
                generations.1 = try DeviceTable.generation(db)
                return .commit
            }
            return generations
        }
        // Another process's change that nobody here has seen yet must still be found by the next look.
        self.knowledge.withLock { knowledge in
            if knowledge.generation == before { knowledge.generation = after }
        }
    }
}
