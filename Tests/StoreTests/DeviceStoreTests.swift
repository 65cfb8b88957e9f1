import Devices
import Foundation
import GRDB
import NIOCore
import Sealing
import TestSupport
import Testing

@testable import Store

@Suite("Devices in the store", .ownThread)
struct DeviceStoreTests {
    private let state = TemporaryState()

    private func sealed(_ id: String, passphrase: String = "a passphrase nobody knows") throws -> Device {
        let keys = try V1Keys(
            staticIV: Array("static iv 16 byt".utf8),
            ivKey: Array("iv key of 24 bytes......".utf8),
            dataKey: Array("data key of 32 bytes............".utf8),
            passphrase: Array(passphrase.utf8)
        )
        return Device(id: try DeviceID(id), profile: "sensor", seal: .v1, nodeID: "11242238", v1Keys: keys, created: 7)
    }

    private func plain(_ id: String) throws -> Device { Device(id: try DeviceID(id), profile: "plain") }

    private func password(_ salt: UInt8 = 1) throws -> PasswordHash {
        let digest = Array("thirty-two bytes of some digest.".utf8)
        let salt = [UInt8](repeating: salt, count: 16)
        return try #require(PasswordHash(logN: 14, r: 8, p: 1, salt: salt, digest: digest))
    }

    @Test("a password is set and taken away alone, is told of without its hash, and is wrapped on disk")
    func passwords() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        let device = try self.sealed("hass")
        try store.insert(device)
        #expect(try store.deviceRecords().map(\.hasPassword) == [false])
        for salt in 1...2 {
            let password = try self.password(UInt8(salt))
            try store.setPassword(password, of: device.id)
            #expect(try store.device(device.id)?.password == password)
        }
        var with = device
        with.password = try self.password(2)
        #expect(try store.devices() == [with])
        let record = try #require(try store.deviceRecords().first)
        #expect(record.hasPassword && record.device.password == nil && record.problem == nil)
        for file in try self.state.files() {
            let bytes = try #require(FileManager.default.contents(atPath: self.state.path + "/" + file))
            #expect(bytes.range(of: Data("thirty-two bytes".utf8)) == nil, "\(file)")
        }
        try store.setPassword(nil, of: device.id)
        #expect(try store.devices() == [device])
        let error = #expect(throws: StoreError.self) { try store.setPassword(nil, of: DeviceID("nobody")) }
        #expect(error?.kind == .noSuchDevice)
    }

    @Test("a password alone needs the master key, and its change is seen by the gateway")
    func passwordAlone() async throws {
        let gateway = try self.state.open()
        defer { gateway.close() }
        let command = try self.state.open(.command)
        defer { command.close() }
        let device = try self.plain("hass")
        try command.insert(device)
        #expect(try self.state.files().contains("master.key") == false)
        try command.setPassword(self.password(), of: device.id)
        #expect(try self.state.files().contains("master.key"))
        let seen = try await withCheckedThrowingContinuation { continuation in
            gateway.pollDeviceChanges(on: self.state.loop) { continuation.resume(with: $0) }
        }
        #expect(seen?.map(\.password) == [try self.password()])
    }

    @Test("passwords come to a database of the release before them, whose devices stay")
    func migration() throws {
        try FileManager.default.createDirectory(
            atPath: self.state.path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        do {
            let old = try DatabaseQueue(path: self.state.database)
            try Schema.migrator.migrate(old, upTo: "1 spool, retained, devices")
            try old.write { db in
                try db.execute(
                    sql: "INSERT INTO device (id, profile, epoch, revoked, created) VALUES ('hass', 'plain', 3, 0, 9)"
                )
            }
            try old.close()
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.state.database)
        }
        #expect(#expect(throws: StoreError.self) { try self.state.open(.readOnly) }?.kind == .notReady)
        let store = try self.state.open(.command)
        defer { store.close() }
        var device = try self.plain("hass")
        device.epoch = 3
        device.created = 9
        #expect(try store.devices() == [device])
        try store.setPassword(self.password(), of: device.id)
        #expect(try store.device(device.id)?.password == self.password())
    }

    @Test("keeps every field of a device")
    func roundTrip() throws {
        let store = try self.state.open(.command)
        var full = try self.sealed("kitchen")
        full.psk = Array("a shared key of the wire".utf8)
        full.password = try self.password()
        full.epoch = .max
        full.isRevoked = true
        var borrower = try self.plain("attic.2_b-C")
        borrower.keysOf = full.id
        borrower.seal = SealForm.none
        try store.insert([borrower, full])
        #expect(try store.devices() == [borrower, full])
        store.close()
        let again = try self.state.open(.readOnly)
        defer { again.close() }
        #expect(try again.devices() == [borrower, full])
        #expect(try again.device(full.id) == full)
        #expect(try again.device(DeviceID("nobody")) == nil)
    }

    @Test("changes, revokes, restores and removes")
    func changes() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        var device = try self.sealed("kitchen")
        try store.insert(device)
        device.profile = "other"
        device.seal = nil
        device.v1Keys = .random()
        try store.update(device)
        #expect(try store.device(device.id) == device)
        try store.setRevoked(true, of: device.id)
        #expect(try store.device(device.id)?.isRevoked == true)
        try store.setRevoked(false, of: device.id)
        #expect(try store.device(device.id) == device)
        try store.remove(device.id)
        #expect(try store.devices().isEmpty)
        for change in [
            { try store.update(device) }, { try store.remove(device.id) },
            { try store.setRevoked(true, of: device.id) },
        ] {
            #expect(#expect(throws: StoreError.self) { try change() }?.kind == .noSuchDevice)
        }
    }

    @Test("adds all of an import or nothing")
    func importing() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        try store.insert(self.plain("b"))
        let error = #expect(throws: StoreError.self) { try store.insert([self.plain("a"), self.plain("b")]) }
        #expect(error?.kind == .deviceExists)
        #expect(error?.detail.contains("b") == true)
        #expect(try store.devices().map(\.id.text) == ["b"])
    }

    @Test("keeps borrowed keys from vanishing")
    func borrowedKeys() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        var borrower = try self.plain("a")
        borrower.keysOf = try DeviceID("owner")
        #expect(#expect(throws: StoreError.self) { try store.insert(borrower) }?.kind == .noSuchDevice)
        #expect(try store.devices().isEmpty)
        try store.insert(self.sealed("owner"))
        try store.insert(borrower)
        #expect(#expect(throws: StoreError.self) { try store.remove(DeviceID("owner")) }?.kind == .keysInUse)
        var owner = try self.sealed("owner")
        owner.v1Keys = nil
        #expect(#expect(throws: StoreError.self) { try store.update(owner) }?.kind == .noSuchDevice)
        #expect(#expect(throws: StoreError.self) { try store.put([owner]) }?.kind == .noSuchDevice)
        #expect(try store.device(owner.id)?.v1Keys != nil)
        borrower.keysOf = nil
        try store.put([owner, borrower, self.plain("new")])
        #expect(try store.devices().map(\.keysOf) == [nil, nil, nil])
        try store.remove(DeviceID("owner"))
    }

    @Test("has no secret in any of its files")
    func wrapped() throws {
        let store = try self.state.open(.command)
        var device = try self.sealed("kitchen")
        device.psk = Array("a shared key of the wire".utf8)
        try store.insert(device)
        let open = try self.state.copy()
        store.close()
        let secrets = ["a passphrase nobody knows", "data key of 32", "iv key of 24", "static iv", "a shared key"]
        for state in [self.state, open] {
            for file in try state.files() {
                let bytes = try #require(FileManager.default.contents(atPath: state.path + "/" + file))
                for secret in secrets { #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(secret) in \(file)") }
            }
        }
        #expect(StateDirectory.status(of: self.state.path + "/master.key")?.mode == 0o600)
    }

    @Test("makes the master key with the first secret, not before")
    func firstUse() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        try store.insert(self.plain("a"))
        #expect(try !self.state.files().contains("master.key"))
        try store.insert(self.sealed("b"))
        #expect(try self.state.files().contains("master.key"))
    }

    @Test(
        "makes no second master key when the first is missing, and says which file belongs to which",
        arguments: [
            true, false,
        ]
    )
    func missingMasterKey(hasWrappedSecret: Bool) throws {
        let first = try self.state.open(.command)
        if hasWrappedSecret { try first.insert(self.sealed("a")) } else { _ = try first.keyHierarchy() }
        first.close()
        let path = self.state.path + "/master.key"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
        let store = try self.state.open(.command)
        for use in [
            { _ = try store.keyHierarchy() }, { try store.insert(self.sealed("b")) },
            { if hasWrappedSecret { _ = try store.devices() } else { _ = try store.keyHierarchy() } },
        ] {
            let error = #expect(throws: StoreError.self) { try use() }
            #expect(error?.kind == .masterKey)
            #expect(error?.description.contains(path) == true)
            #expect(error?.description.contains(self.state.database) == true)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        try FileManager.default.moveItem(atPath: path + ".moved", toPath: path)
        _ = try store.keyHierarchy()
        store.close()

        // Nor does another key pass for it.
        try FileManager.default.removeItem(atPath: path)
        _ = try MasterKey.create(path)
        let other = try self.state.open(.command)
        defer { other.close() }
        #expect(#expect(throws: StoreError.self) { try other.keyHierarchy() }?.kind == .masterKey)
    }

    @Test("gives two processes that make the first secret at once the same key")
    func sameKey() throws {
        let one = try self.state.open(.command)
        defer { one.close() }
        let two = try self.state.open()
        defer { two.close() }
        let keys = try one.keyHierarchy()
        let wrapped = keys.wrap([1, 2, 3], device: "a")
        #expect(try two.keyHierarchy().unwrap(wrapped, device: "a") == [1, 2, 3])
    }

    @Test("replacing a device leaves alone what others may have changed: revoked, epoch, age, a password unless given")
    func staleReplacement() throws {
        let store = try self.state.open(.command)
        defer { store.close() }
        var device = try self.sealed("kitchen")
        device.epoch = 3
        try store.insert(device)
        try store.setRevoked(true, of: device.id)
        var stale = device
        stale.profile = "other"
        stale.epoch = 1
        stale.created = 99
        stale.v1Keys = .random()
        let password = try self.password(1)
        try store.setPassword(password, of: device.id)
        try store.put([stale])
        stale.password = password
        stale.epoch = 3
        stale.created = device.created
        stale.isRevoked = true
        #expect(try store.device(device.id) == stale)
        stale.password = try self.password(2)
        try store.put([stale])
        #expect(try store.device(device.id) == stale)
    }

    // MARK: - Records and keys that can't be used

    /// Changes the database behind the store's back.
    private func execute(_ sql: String) throws {
        let database = try DatabaseQueue(path: self.state.database)
        try database.write { db in
            try db.execute(sql: sql)
            try DeviceTable.countGeneration(db)
        }
        try database.close()
    }

    @Test(
        "one record that can't be read is a revoked device, and keeps no change from the gateway",
        arguments: [
            "UPDATE device SET seal = 'v9' WHERE id = 'bad'", "UPDATE device SET v1_keys = x'00' WHERE id = 'bad'",
            "UPDATE device SET keys_of = '/' WHERE id = 'bad'", "UPDATE device SET epoch = -1 WHERE id = 'bad'",
        ]
    )
    func unreadableRecord(damage: String) async throws {
        let gateway = try self.state.open()
        let command = try self.state.open(.command)
        defer { command.close() }
        try command.insert([self.sealed("bad"), self.sealed("good")])
        #expect(try await self.poll(gateway)?.map(\.isRevoked) == [false, false])
        try self.execute(damage)
        try command.setRevoked(true, of: DeviceID("good"))
        #expect(try await self.poll(gateway)?.map(\.isRevoked) == [true, true])
        try command.setRevoked(false, of: DeviceID("good"))
        #expect(try await self.poll(gateway)?.map(\.isRevoked) == [true, false])
        #expect(try await self.poll(gateway) == nil)
        gateway.close()
        let again = try self.state.open()
        defer { again.close() }
        #expect(try again.devices().map(\.isRevoked) == [true, false])
        // A command that needs the secrets says so, one that does not goes on.
        #expect(throws: StoreError.self) { try command.devices() }
        #expect(try command.deviceRecords().map(\.device.isRevoked) == [false, false])
        try command.remove(DeviceID("bad"))
        #expect(try command.devices().map(\.id.text) == ["good"])
    }

    @Test("without the master key devices are listed, revoked and removed")
    func recordsWithoutKey() throws {
        let store = try self.state.open(.command)
        var device = try self.sealed("a")
        device.psk = [1, 2, 3]
        try store.insert([device, self.plain("b")])
        store.close()
        try FileManager.default.removeItem(atPath: self.state.path + "/master.key")
        let again = try self.state.open(.command)
        defer { again.close() }
        #expect(try again.deviceRecords() == [DeviceRecord(device), DeviceRecord(self.plain("b"))])
        #expect(try again.deviceRecords().map(\.hasPSK) == [true, false])
        try again.setRevoked(true, of: device.id)
        #expect(try again.deviceRecords()[0].device.isRevoked)
        try again.remove(device.id)
    }

    @Test("a master key that is missing or another one keeps the gateway from starting", arguments: [true, false])
    func gatewayMasterKey(isWrapped: Bool) throws {
        let first = try self.state.open()
        if isWrapped { try first.insert(self.sealed("a")) } else { _ = try first.keyHierarchy() }
        first.close()
        let path = self.state.path + "/master.key"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
        #expect(#expect(throws: StoreError.self) { try self.state.open() }?.kind == .masterKey)
        #expect(!FileManager.default.fileExists(atPath: path))
        _ = try MasterKey.create(path)
        let error = #expect(throws: StoreError.self) { try self.state.open() }
        #expect(error?.kind == .masterKey)
        #expect(error?.description.contains("is not the key of") == true)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: path + ".moved", toPath: path)
        try self.state.open().close()
    }

    @Test("a master key that can be read later is found without a change of the database")
    func lateMasterKey() async throws {
        let gateway = try self.state.open()
        defer { gateway.close() }
        let command = try self.state.open(.command)
        defer { command.close() }
        try command.insert(self.sealed("a"))
        let path = self.state.path + "/master.key"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".moved")
        #expect(try await self.poll(gateway)?.map(\.isRevoked) == [true])
        #expect(try await self.poll(gateway) == nil)
        try FileManager.default.moveItem(atPath: path + ".moved", toPath: path)
        #expect(try await self.poll(gateway)?.map(\.isRevoked) == [false])
        #expect(try await self.poll(gateway) == nil)
    }

    // MARK: - Changes of other processes

    private func poll(_ store: Store) async throws -> [Device]? {
        try await withCheckedContinuation { continuation in
            store.pollDeviceChanges(on: self.state.loop) { continuation.resume(returning: $0) }
        }.get()
    }

    @Test("sees what another process did to the devices, and not what it did itself")
    func polling() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let command = try self.state.open(.command)
        defer { command.close() }
        #expect(try await self.poll(store) == nil)
        try store.insert(self.sealed("mine"))
        try await self.state.commit(.inserting([.sample(1)]), to: store)
        #expect(try await self.poll(store) == nil)

        try command.insert(self.plain("theirs"))
        #expect(try await self.poll(store)?.map(\.id.text) == ["mine", "theirs"])
        #expect(try await self.poll(store) == nil)

        // A change of both, of which this process must not take its own for the other's.
        try command.setRevoked(true, of: DeviceID("mine"))
        try store.insert(self.plain("second"))
        #expect(try await self.poll(store)?.map(\.isRevoked) == [true, false, false])

        // A commit that has nothing to do with devices.
        _ = try command.uplinkID(named: "cloud")
        #expect(try await self.poll(store) == nil)
    }

    @Test("tells the loop of a change without being asked")
    func watching() async throws {
        let store = try self.state.open()
        defer { store.close() }
        let command = try self.state.open(.command)
        defer { command.close() }
        let changes = AsyncStream<[String]> { continuation in
            store.watchDevices(every: .milliseconds(1), on: self.state.loop) { result in
                continuation.yield((try? result.get().map(\.id.text)) ?? ["failed"])
            }
        }
        try command.insert(self.plain("a"))
        var iterator = changes.makeAsyncIterator()
        #expect(await iterator.next() == ["a"])
        try command.insert(self.plain("b"))
        #expect(await iterator.next() == ["a", "b"])
    }
}
