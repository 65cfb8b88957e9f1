import Foundation
import GRDBSQLite
import MQTTCodec
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Store

/// What a store should have, or has.
private struct Content: Equatable {
    var spool: Set<Int64> = []
    var dead: Set<Int64> = []
    var releases: Set<UInt16> = []
    var held: Set<UInt16> = []
    var timeFloor: Int64 = 0

    /// All of a batch.
    mutating func apply(_ batch: StoreBatch) {
        self.spool.formUnion(batch.inserts.map(\.sequence))
        if let floor = batch.timeFloor { self.timeFloor = floor }
        for case .hold(_, let packetID) in batch.held { self.held.insert(packetID) }
        self.remove(batch)
    }

    /// What a batch that failed takes away all the same, in time.
    mutating func remove(_ batch: StoreBatch) {
        for item in batch.acknowledged { self.spool.subtract(item.sequences) }
        for letter in batch.dead {
            self.spool.remove(letter.record.sequence)
            self.dead.insert(letter.record.sequence)
        }
        for change in batch.releases {
            switch change {
            case .set(_, let packetID, let sequence, _):
                self.releases.insert(packetID)
                self.spool.remove(sequence)
            case .clear(_, let packetID): self.releases.remove(packetID)
            }
        }
        for case .free(_, let packetID) in batch.held { self.held.remove(packetID) }
    }

    init() {}

    init(of store: Store, _ state: TemporaryState) async throws {
        self.spool = Set(try await state.load(store, uplink: 1).records.map(\.sequence))
        self.dead = Set(try store.deadLetters(limit: 100).map(\.letter.record.sequence))
        let packets = try store.uplinkState(uplink: 1)
        self.releases = Set(packets.releases)
        self.held = Set(packets.held)
        self.timeFloor = try store.timeFloor()
    }
}

/// A state to begin with, and what is done to it.
private struct Workload {
    /// Of records 1 to 9 and a held identifier.
    let state = TemporaryState()
    let base: Content
    let batches: [StoreBatch]

    init() async throws {
        let store = try self.state.open()
        _ = try store.uplinkID(named: "cloud")
        var first = try StoreBatch.inserting((1...9).map { try .sample($0, bytes: 1_500) })
        first.held = [.hold(uplink: 1, packetID: 5)]
        try await self.state.commit(first, to: store)
        self.base = try await Content(of: store, self.state)
        store.close()

        var batches: [StoreBatch] = []
        func add(_ inserts: ClosedRange<Int64>, _ change: (inout StoreBatch) -> Void = { _ in }) throws {
            var batch = try StoreBatch.inserting(inserts.map { try .sample($0, bytes: 1_500) })
            change(&batch)
            batches.append(batch)
        }
        try add(3_000_000...3_000_004)
        try add(3_000_005...3_000_006) { $0.acknowledged = [.init(uplink: 1, sequences: 1...2)] }
        try add(3_000_007...3_000_007) { $0.dead = [.sample(3, bytes: 3_000)] }
        try add(3_000_008...3_000_008) {
            $0.releases = [.set(uplink: 1, packetID: 0x8004, sequence: 4)]
            $0.held = [.hold(uplink: 1, packetID: 6)]
            $0.timeFloor = 1_800_000_000_000
        }
        try add(3_000_009...3_000_012) {
            $0.acknowledged = [.init(uplink: 1, sequences: 3_000_000...3_000_001)]
            $0.releases = [.clear(uplink: 1, packetID: 0x8004)]
            $0.held = [.free(uplink: 1, packetID: 5)]
        }
        self.batches = batches
    }

    static var options: StoreOptions {
        var options = StoreOptions()
        options.checkpointPages = 8
        options.uncountedHoles = 0
        options.busyTimeout = .milliseconds(10)
        return options
    }
}

@Suite("Disk faults", .ownThread)
struct DiskFaultTests {
    typealias Fault = FaultyFiles.Fault

    static let kinds: [Fault] = [
        Fault(call: .open, number: 0, code: SQLITE_CANTOPEN),
        Fault(call: .read, number: 0, code: SQLITE_IOERR | 1 << 8),
        Fault(call: .write, number: 0, code: SQLITE_IOERR | 3 << 8),
        Fault(call: .write, number: 0, code: SQLITE_FULL, isShort: true),
        Fault(call: .write, number: 0, count: 9, code: SQLITE_FULL),
        Fault(call: .sync, number: 0, code: SQLITE_IOERR | 4 << 8),
        Fault(call: .sync, number: 0, count: 4, code: SQLITE_IOERR | 4 << 8),
        Fault(call: .truncate, number: 0, code: SQLITE_IOERR | 6 << 8),
        Fault(call: .delete, number: 0, code: SQLITE_IOERR | 10 << 8),
        Fault(call: .sharedMemory, number: 0, code: SQLITE_IOERR | 21 << 8),
    ]

    @Test("at the first start leave a directory that the next start can use", arguments: kinds)
    func firstStart(kind: Fault) async throws {
        var number = 0
        while true {
            number += 1
            let state = TemporaryState()
            let files = FaultyFiles()
            var options = Workload.options
            options.fileSystem = files.name
            var fault = kind
            fault.number = number
            files.fail(fault)
            let store = try? state.open(options: options)
            store?.close()
            let isHit = files.hits > 0
            files.fail(nil)
            let again = try state.open(options: options)
            #expect(again.setAside == nil, "\(kind.call) \(number)")
            try await state.commit(.inserting([.sample(again.lastSequence + 1)]), to: again)
            again.close()
            #expect(try state.files().filter { $0.contains("damaged") }.isEmpty, "\(kind.call) \(number)")
            guard isHit else { break }
        }
        #expect(number > 1)
    }

    @Test("lose nothing that was reported as stored, and are over when the fault is", arguments: kinds)
    func everyCall(kind: Fault) async throws {
        let workload = try await Workload()
        var number = 0
        var reopened: [Int] = []
        while true {
            number += 1
            var fault = kind
            fault.number = number
            let isHit = try await self.run(workload, fault, &reopened)
            guard isHit else { break }
        }
        // Files are deleted only when the database is closed.
        #expect(number > 1 || kind.call == .delete)
        #expect(reopened.isEmpty, "\(kind.call): opened again after \(reopened)")
    }

    /// Runs the workload with one fault. False: it was not met.
    private func run(_ workload: Workload, _ fault: Fault, _ reopened: inout [Int]) async throws -> Bool {
        let state = try workload.state.copy()
        let files = FaultyFiles()
        var options = Workload.options
        options.fileSystem = files.name
        let comment: Comment = "\(fault.call) \(fault.number) (\(fault.code))"
        var expected = workload.base
        var isFailed = false
        /// What may be there as well: acknowledged in vain, or written before the failure was seen.
        var possible: Set<Int64> = []
        files.fail(fault)
        guard var store = try? state.open(options: options) else {
            files.fail(nil)
            let again = try state.open(options: options)
            #expect(again.setAside == nil, comment)
            #expect(try await Content(of: again, state) == workload.base, comment)
            again.close()
            return true
        }
        #expect(store.setAside == nil, comment)
        for batch in workload.batches {
            switch await state.submit(batch, to: store) {
            case .success: expected.apply(batch)
            case .failure:
                isFailed = true
                possible.formUnion(expected.spool)
                possible.formUnion(batch.inserts.map(\.sequence))
                expected.remove(batch)
                // A crash now must not lose what was reported.
                try await self.checkCopy(of: state, has: expected, and: possible, comment)
            }
        }
        let isHit = files.hits > 0
        #expect(!isFailed || isHit, comment)
        files.fail(nil)
        var last = try StoreBatch.inserting([.sample(5_000_000)])
        last.timeFloor = 1_900_000_000_000
        if case .failure = await state.submit(last, to: store) {
            reopened.append(fault.number)
            store.close()
            store = try state.open(options: options)
            try await state.commit(last, to: store)
        }
        expected.apply(last)
        let content = try await Content(of: store, state)
        #expect(content == expected, comment)
        let totals = store.spoolTotals.count
        #expect(totals <= 1, comment)
        store.close()
        let again = try state.open()
        #expect(again.setAside == nil, comment)
        #expect(try await Content(of: again, state) == content, comment)
        #expect(again.spoolTotals.first?.messages == content.spool.count, comment)
        again.close()
        return isHit
    }

    private func checkCopy(
        of state: TemporaryState,
        has expected: Content,
        and possible: Set<Int64>,
        _ comment: Comment
    ) async throws {
        let copy = try state.copy()
        let store = try copy.open()
        let content = try await Content(of: store, copy)
        #expect(store.setAside == nil, comment)
        #expect(content.spool.union(content.dead).union([4]).isSuperset(of: expected.spool), comment)
        #expect(content.spool.isSubset(of: expected.spool.union(possible)), comment)
        store.close()
    }

    // MARK: - Power cuts

    /// What the disk would have had at one sync, and how many batches had been reported by then.
    private struct Moment: Sendable {
        var images: [String: FaultyFiles.Image]
        var reported: Int
    }

    @Test("by power cuts at any sync, with any part of what was not synced, leave what was reported", arguments: 1...6)
    func powerCuts(seed: UInt64) async throws {
        let workload = try await Workload()
        let state = try workload.state.copy()
        let files = FaultyFiles()
        var options = Workload.options
        options.fileSystem = files.name
        let reported = Atomic(0)
        let moments = Mutex<[Moment]>([])
        let box = Box(moments)
        files.beforeSyncs { images in
            let moment = Moment(images: images, reported: reported.load(ordering: .sequentiallyConsistent))
            box.moments.withLock { $0.append(moment) }
        }
        let store = try state.open(options: options)
        var contents = [workload.base]
        for batch in workload.batches {
            try await state.commit(batch, to: store)
            reported.add(1, ordering: .sequentiallyConsistent)
            var next = contents[contents.count - 1]
            next.apply(batch)
            contents.append(next)
            // And between two commits.
            let moment = Moment(images: files.images, reported: reported.load(ordering: .sequentiallyConsistent))
            box.moments.withLock { $0.append(moment) }
        }
        store.close()
        let all = box.moments.withLock { $0 }
        #expect(all.count > 15)
        for (index, moment) in all.enumerated() {
            var dice = Dice(state: seed &* 1_000 &+ UInt64(index))
            let share = Int.random(in: 0...4, using: &dice)
            let found = TemporaryState()
            try FileManager.default.createDirectory(
                atPath: found.path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            for (name, image) in moment.images where !name.isEmpty {
                let bytes = image.afterPowerCut { Int.random(in: 0...3, using: &dice) < share }
                let path = found.path + "/" + (name as NSString).lastPathComponent
                _ = FileManager.default.createFile(
                    atPath: path,
                    contents: Data(bytes),
                    attributes: [.posixPermissions: 0o600]
                )
            }
            let comment: Comment = "sync \(index), \(share) of 4 parts"
            let again = try found.open()
            #expect(again.setAside == nil, comment)
            let content = try await Content(of: again, found)
            let candidates = contents.dropFirst(moment.reported).prefix(2)
            #expect(candidates.contains(content), comment)
            #expect((again.spoolTotals.first?.messages ?? 0) == content.spool.count, comment)
            try await found.commit(.inserting([.sample(9_000_000)]), to: again)
            again.close()
        }
    }

    private final class Box: Sendable {
        let moments: Mutex<[Moment]>
        init(_ moments: consuming Mutex<[Moment]>) { self.moments = moments }
    }
}
