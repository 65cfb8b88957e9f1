import GRDBSQLite
import MQTTCodec
import NIOCore
import TestSupport
import Testing

@testable import Store

@Suite("Session IDs of commands", .ownThread)
struct CommandSessionTests {
    private let state = TemporaryState()

    private func record(_ device: String, ids: String = "", used: String = "") -> CommandSessionRecord {
        CommandSessionRecord(device: device, ids: ByteBuffer(string: ids), used: ByteBuffer(string: used))
    }

    private func batch(_ records: CommandSessionRecord...) -> StoreBatch {
        var batch = StoreBatch()
        batch.commandSessions = records
        return batch
    }

    @Test("are there after the next opening, the last of a device, and none that has nothing left")
    func stored() async throws {
        let store = try self.state.open()
        try await self.state.commit(self.batch(self.record("a", ids: "1"), self.record("b", used: "x")), to: store)
        try await self.state.commit(
            self.batch(self.record("a", ids: "2", used: "1"), self.record("c", ids: "3"), self.record("b")),
            to: store
        )
        let expected = [self.record("a", ids: "2", used: "1"), self.record("c", ids: "3")]
        #expect(try store.commandSessions() == expected)
        store.close()
        let next = try self.state.open()
        #expect(try next.commandSessions() == expected)
        #expect(next.setAside == nil)
        next.close()
        let command = try self.state.open(.readOnly)
        #expect(throws: StoreError.self) { try command.commandSessions() }
    }

    @Test("of a commit that fails are not there, and nothing else of it is")
    func failed() async throws {
        var options = StoreOptions()
        options.fault = { point in if case .session = point { SQLITE_FULL } else { SQLITE_OK } }
        let store = try self.state.open(options: options)
        var batch = self.batch(self.record("a", used: "1"))
        batch.retained = [
            .set(
                .init(
                    topic: ByteBuffer(string: "t"),
                    payload: ByteBuffer(string: "p"),
                    qos: .atLeastOnce,
                    publisher: nil,
                    storedAt: 1_763_000_000_000
                )
            )
        ]
        let result = await self.state.submit(batch, to: store)
        #expect(throws: StoreError.self) { try result.get() }
        #expect(try store.commandSessions().isEmpty)
        #expect(try store.retained().isEmpty)
    }
}
