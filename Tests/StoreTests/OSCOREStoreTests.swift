import Devices
import Foundation
import GRDBSQLite
import NIOCore
import Sealing
import TestSupport
import Testing

@testable import Store

@Suite("OSCORE in the store", .ownThread)
struct OSCOREStoreTests {
    private let state = TemporaryState()

    private func record(
        _ number: UInt8,
        next: UInt64 = 0,
        seen: UInt64 = 0,
        reserved: UInt64 = 256,
        isExact: Bool = false
    ) throws -> OSCORERecord {
        OSCORERecord(
            fingerprint: try #require(OSCOREFingerprint([UInt8](repeating: number, count: 16))),
            window: OSCOREReplayWindow(next: next, seen: seen),
            reserved: reserved,
            isExact: isExact
        )
    }

    private func batch(_ records: [OSCORERecord]) -> StoreBatch {
        var batch = StoreBatch()
        batch.oscore = records
        return batch
    }

    @Test("what a run left is there at the next start, and from then on not exact and with numbers reserved")
    func stored() async throws {
        let store = try self.state.open()
        #expect(try store.beginOSCORE() == OSCOREStart(records: [], unknownReserved: 0))
        let records = try [
            self.record(1, next: 5, seen: 0b10111, reserved: 512, isExact: true),
            self.record(0xFE, next: 1 << 40, seen: .max, reserved: OSCORESequence.max - 1),
        ]
        try await self.state.commit(self.batch([try self.record(1, next: 1)]), to: store)
        try await self.state.commit(self.batch(records), to: store)
        store.close()

        let second = try self.state.open()
        #expect(try second.beginOSCORE() == OSCOREStart(records: records, unknownReserved: 256))
        // A crash here: nothing but that start is written.
        let crashed = try self.state.copy()
        second.close()
        let third = try crashed.open()
        var expected = records
        expected[0].isExact = false
        expected[0].reserved += 256
        expected[1].reserved = OSCORESequence.max
        #expect(try third.beginOSCORE() == OSCOREStart(records: expected, unknownReserved: 512))
        third.close()
        let command = try self.state.open(.readOnly)
        #expect(throws: StoreError.self) { try command.beginOSCORE() }
    }

    @Test("of a commit that fails nothing is there, and a start that can't be written is none")
    func failed() async throws {
        var options = StoreOptions()
        options.fault = { point in if case .oscore(let number) = point, number > 1 { SQLITE_FULL } else { SQLITE_OK } }
        let store = try self.state.open(options: options)
        _ = try store.beginOSCORE()
        var batch = self.batch([try self.record(1)])
        batch.commandSessions = [
            CommandSessionRecord(device: "a", ids: ByteBuffer(string: "x"), used: ByteBuffer())
        ]
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try store.commandSessions().isEmpty)
        #expect(throws: StoreError.self) { try store.beginOSCORE() }
        store.close()
        let next = try self.state.open()
        #expect(try next.beginOSCORE() == OSCOREStart(records: [], unknownReserved: 256))
        next.close()
    }

    @Test("rows that no release wrote are left out")
    func odd() async throws {
        let store = try self.state.open()
        try await self.state.commit(self.batch([try self.record(3)]), to: store)
        store.close()
        try self.state.execute(
            """
            INSERT INTO oscore VALUES (x'00', 0, 0, 0, 0), (zeroblob(16), -1, 0, 0, 0), (x'\(String(repeating: "01", count: 16))',
            0, 0, 4398046511104, 0)
            """
        )
        let next = try self.state.open()
        #expect(try next.beginOSCORE().records == [try self.record(3)])
        next.close()
    }

    // MARK: What may have been used before

    private func unknownReserved(_ state: TemporaryState) throws -> UInt64 {
        let store = try state.open()
        defer { store.close() }
        return try store.beginOSCORE().unknownReserved
    }

    @Test("numbers begin at 0 only if the master key is known to be new, or the database to be as old as it")
    func unknown() async throws {
        // The key comes with the first device, before or after the first start.
        let store = try self.state.open(.command)
        try store.insert(Device(id: DeviceID("a"), profile: "p", psk: [1]))
        store.close()
        #expect(try self.unknownReserved(self.state) == 0)
        #expect(try self.unknownReserved(self.state) == 256)

        // The database is lost, its key is not.
        for name in try self.state.files() where name.hasPrefix("sealgate.db") {
            try FileManager.default.removeItem(atPath: self.state.path + "/" + name)
        }
        #expect(try self.unknownReserved(self.state) > 1 << 20)

        let other = TemporaryState()
        #expect(try self.unknownReserved(other) == 0)
        let added = try other.open(.command)
        try added.insert(Device(id: DeviceID("a"), profile: "p", psk: [1]))
        added.close()
        #expect(try self.unknownReserved(other) == 256)
    }

    @Test("a database of an older release keeps its devices, and its keys were never used for OSCORE")
    func migration() throws {
        let fresh = try self.state.open(.command)
        try fresh.insert(Device(id: DeviceID("a"), profile: "p", psk: [1, 2]))
        fresh.close()
        // As release 5 left it.
        try self.state.execute(
            """
            DROP TABLE oscore; DROP TABLE secret; ALTER TABLE device DROP COLUMN oscore;
            DELETE FROM meta WHERE name = 'oscore_reserved';
            DELETE FROM grdb_migrations WHERE identifier = '6 coap';
            """
        )
        let store = try self.state.open()
        #expect(store.setAside == nil)
        #expect(try store.devices() == [Device(id: DeviceID("a"), profile: "p", psk: [1, 2])])
        #expect(try store.beginOSCORE() == OSCOREStart(records: [], unknownReserved: 0))
        store.close()
    }

    @Test("what is saved of a damaged database is not believed to be the newest")
    func salvage() async throws {
        let store = try self.state.open()
        _ = try store.beginOSCORE()
        try store.insert(Device(id: DeviceID("a"), profile: "p", psk: [1, 2]))
        var records: [OSCORERecord] = []
        for number in UInt8(1)...200 {
            records.append(try self.record(number, next: 9, seen: 0x101, reserved: 512, isExact: true))
        }
        try await self.state.commit(self.batch(records), to: store)
        store.close()
        try self.state.overwrite(self.state.database, at: 28, with: [UInt8](repeating: 0xFF, count: 60))
        let next = try self.state.open()
        #expect(next.setAside != nil)
        let start = try next.beginOSCORE()
        #expect(start.unknownReserved > 1 << 20)
        #expect(start.records.map(\.fingerprint) == records.map(\.fingerprint))
        #expect(start.records.allSatisfy { $0.reserved == 512 + 1 << 24 && !$0.isExact && $0.window.next == 9 })
        next.close()
    }

    // MARK: Devices and secrets

    @Test("an imported context is wrapped, stays with its device, and goes with its record")
    func imported() throws {
        let context = try ImportedOSCORE(
            secret: Array("a secret that is easy to find".utf8),
            salt: [1],
            senderID: [],
            recipientID: [7, 7],
            idContext: [UInt8](repeating: 3, count: 255),
            algorithm: .a256GCM
        )
        let bare = try ImportedOSCORE(secret: [1], senderID: [1], recipientID: [2])
        let devices = try [
            Device(id: DeviceID("a"), profile: "p", oscore: context),
            Device(id: DeviceID("b"), profile: "p", oscore: bare),
            Device(id: DeviceID("c"), profile: "p"),
        ]
        let store = try self.state.open(.command)
        try store.insert(devices)
        #expect(try store.devices() == devices)
        #expect(try store.deviceRecords().map(\.hasOSCORE) == [true, true, false])
        var changed = devices[0]
        changed.oscore = bare
        try store.put([changed])
        #expect(try store.device(changed.id)?.oscore == bare)
        changed.oscore = nil
        try store.update(changed)
        #expect(try store.device(changed.id)?.oscore == nil)
        store.close()
        for name in try self.state.files() {
            let bytes = FileManager.default.contents(atPath: self.state.path + "/" + name) ?? Data()
            #expect(bytes.range(of: Data("easy to find".utf8)) == nil, "\(name)")
        }
    }

    @Test("a context of another device, of another form or cut short is not taken for one")
    func unreadable() throws {
        let bare = try ImportedOSCORE(secret: [1], senderID: [1], recipientID: [2])
        let good = SecretKeeper.encode(bare)
        #expect(SecretKeeper.decodeOSCORE(good) == bare)
        for count in 0..<good.count { #expect(SecretKeeper.decodeOSCORE(Array(good.prefix(count))) == nil) }
        for index in 0..<3 {
            var changed = good
            changed[index] = 99
            #expect(SecretKeeper.decodeOSCORE(changed) == nil)
        }
        #expect(SecretKeeper.decodeOSCORE(good + [9]) == nil)
    }

    @Test("a secret of the gateway outlives a restart, and not its age")
    func secrets() throws {
        let week = TimeAmount.hours(24 * 7)
        func secret(_ now: Int64, bytes: Int = 80) throws -> [UInt8] {
            let store = try self.state.open()
            defer { store.close() }
            return try store.secret(named: "dtls tickets", bytes: bytes, maxAge: week, now: now)
        }
        let start: Int64 = 1_800_000_000_000
        let first = try secret(start)
        #expect(first.count == 80)
        #expect(try secret(start + 7 * 86_400_000) == first)
        #expect(try secret(5) == first, "a clock that is not set yet")
        let second = try secret(start + 7 * 86_400_000 + 1)
        #expect(second != first)
        #expect(try secret(start + 7 * 86_400_000 + 2) == second)
        #expect(try secret(start + 7 * 86_400_000 + 2, bytes: 48).count == 48)
        for name in try self.state.files() {
            let bytes = FileManager.default.contents(atPath: self.state.path + "/" + name) ?? Data()
            #expect(bytes.range(of: Data(second)) == nil)
        }
    }
}
