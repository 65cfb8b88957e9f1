import Devices
import Foundation
import Logging
import MQTTCodec
import NIOCore
import NIOPosix

@testable import Store

/// A state directory of its own for one test, removed at the end.
final class TemporaryState: Sendable {
    let path: String
    let loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()

    init() {
        self.path = FileManager.default.temporaryDirectory.path + "/sealgate-store-" + UUID().uuidString
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }

    var database: String { self.path + "/sealgate.db" }

    func open(
        _ access: StoreAccess = .gateway,
        options: StoreOptions = StoreOptions()
    ) throws(StoreError) -> Store {
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        return try Store.open(directory: self.path, access: access, options: options, logger: logger)
    }

    /// A copy of the files as they are now: what a power cut would leave, at best.
    func copy() throws -> TemporaryState {
        let copy = TemporaryState()
        try FileManager.default.copyItem(atPath: self.path, toPath: copy.path)
        return copy
    }

    func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: self.path).sorted()
    }

    func submit(_ batch: StoreBatch, to store: Store) async -> Result<CommittedBatch, StoreError> {
        await withCheckedContinuation { continuation in
            store.submit(batch, on: self.loop) { continuation.resume(returning: $0) }
        }
    }

    @discardableResult
    func commit(_ batch: StoreBatch, to store: Store) async throws -> CommittedBatch {
        try await self.submit(batch, to: store).get()
    }

    func load(
        _ store: Store,
        uplink: Int64,
        from cursor: SpoolCursor = .after(0),
        maxMessages: Int = 100_000,
        maxBytes: Int = 1 << 30
    ) async throws -> SpoolPage {
        try await withCheckedContinuation { continuation in
            store.loadSpool(
                uplink: uplink,
                from: cursor,
                maxMessages: maxMessages,
                maxBytes: maxBytes,
                on: self.loop
            ) { continuation.resume(returning: $0) }
        }.get()
    }
}

extension SpoolRecord {
    /// A record whose topic and payload tell its sequence.
    static func sample(
        _ sequence: Int64,
        uplink: Int64 = 1,
        device: String? = "kitchen",
        bytes: Int = 0,
        storedAt: Int64 = 1_700_000_000_000
    ) throws -> SpoolRecord {
        var payload = ByteBuffer(string: "message \(sequence)")
        payload.writeRepeatingByte(UInt8(ascii: "x"), count: bytes)
        return SpoolRecord(
            sequence: sequence,
            uplink: uplink,
            topic: ByteBuffer(string: "sites/attic/\(sequence)"),
            payload: payload,
            qos: .atLeastOnce,
            retain: false,
            device: try device.map { try .init($0) },
            storedAt: storedAt
        )
    }
}

extension StoreBatch {
    static func inserting(_ records: [SpoolRecord]) -> StoreBatch {
        var batch = StoreBatch()
        batch.inserts = records
        return batch
    }

    static func acknowledging(_ sequences: ClosedRange<Int64>, uplink: Int64 = 1) -> StoreBatch {
        var batch = StoreBatch()
        batch.acknowledged = [Acknowledgement(uplink: uplink, sequences: sequences)]
        return batch
    }

    static func dropping(_ extent: Drop.Extent, uplink: Int64 = 1) -> StoreBatch {
        var batch = StoreBatch()
        batch.drops = [Drop(uplink: uplink, extent: extent)]
        return batch
    }
}
