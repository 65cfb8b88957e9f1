import Broker
import Devices
import Gateway
import Logging
import NIOCore
import NIOPosix
import Sealing
import Store
import TestSupport
import Testing

/// Commands for a sealed node that an earlier run left in the store.
@Suite("Commands of the last run", .serialized, .timeLimit(.minutes(5)))
struct RestoredCommandTests {
    private static let session: Int64 = 1

    private func batch(of commands: [(text: String, retain: Bool)]) -> StoreBatch {
        var batch = StoreBatch()
        let record = SessionRecord(
            number: Self.session,
            clientID: ByteBuffer(),
            owner: .device("?commands"),
            expiryInterval: .max,
            leftAt: nil
        )
        batch.sessions = [.open(record)]
        for (index, command) in commands.enumerated() {
            let number = Int64(10 + index)
            batch.messages.append(
                StoredMessage(
                    number: number,
                    topic: ByteBuffer(string: "nodes/k/cmd/light"),
                    payload: ByteBuffer(string: command.text),
                    qos: 1,
                    properties: ByteBuffer(),
                    expiresAt: nil,
                    publisher: nil
                )
            )
            batch.sessions.append(
                .enqueue(
                    QueuedMessageRecord(
                        session: Self.session,
                        order: number + 100,
                        message: number,
                        qos: 1,
                        retain: command.retain
                    )
                )
            )
        }
        return batch
    }

    @Test("one whose place another has taken leaves the disk too")
    func displaced() async throws {
        let directory = try TemporaryDirectory()
        let configuration = try GatewayConfiguration.parse(
            """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = true
            [profile.sensor]
            seal = "v1"
            publish = ["nodes/%d/#"]
            subscribe = ["nodes/%d/cmd/#"]
            """,
            directory: directory.path
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let open: () throws -> Store = {
            try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
        }
        let store = try open()
        var device = Device(id: try DeviceID("k"), profile: "sensor")
        device.v1Keys = V1Keys.random()
        try store.insert(device)
        let batch = self.batch(of: [("old", true), ("plain", false), ("new", true)])
        _ = try await withCheckedContinuation { continuation in
            store.submit(batch, on: MultiThreadedEventLoopGroup.singleton.next()) {
                continuation.resume(returning: $0)
            }
        }.get()
        store.close()
        let gateway = Gateway(configuration: configuration, logger: logger)
        do {
            _ = try await gateway.start()
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
        let next = try open()
        defer { next.close() }
        let stored = try next.sessions()
        let commands = try #require(stored.sessions.first { $0.record.owner == .device("?commands") })
        let texts = commands.queue.compactMap { stored.messages[$0.message].map { String(buffer: $0.payload) } }
        #expect(texts == ["plain", "new"])
        #expect(stored.messages.count == 2)
    }
}
