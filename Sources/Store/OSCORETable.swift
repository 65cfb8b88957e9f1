import Foundation
import NIOCore
import Sealing

/// The statements of table `oscore`. Begins and ends no transaction of its own.
final class OSCORETable {
    /// In table `meta`: sequence numbers below it may have been used under contexts that have no row.
    static let unknownReserved = "oscore_reserved"

    private let setStatement: PreparedStatement
    private let allStatement: PreparedStatement
    private let beginStatement: PreparedStatement
    private let unknownStatement: PreparedStatement
    private let setUnknownStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        self.setStatement = try PreparedStatement(
            """
            INSERT INTO oscore (context, next, seen, reserved, exact) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (context) DO UPDATE SET next = ?2, seen = ?3, reserved = ?4, exact = ?5
            """,
            on: connection
        )
        self.allStatement = try PreparedStatement(
            "SELECT context, next, seen, reserved, exact FROM oscore ORDER BY context",
            on: connection
        )
        self.beginStatement = try PreparedStatement(
            "UPDATE oscore SET exact = 0, reserved = min(reserved + \(OSCORESequence.step), \(OSCORESequence.max))",
            on: connection
        )
        self.unknownStatement = try PreparedStatement(
            "SELECT value FROM meta WHERE name = '\(Self.unknownReserved)'",
            on: connection
        )
        self.setUnknownStatement = try PreparedStatement(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('\(Self.unknownReserved)', ?1)",
            on: connection
        )
    }

    func apply(_ record: OSCORERecord) throws(SQLiteFailure) {
        self.setStatement.bind(copying: ByteBuffer(bytes: record.fingerprint.bytes), at: 1)
        self.setStatement.bind(Int64(bitPattern: record.window.next), at: 2)
        self.setStatement.bind(Int64(bitPattern: record.window.seen), at: 3)
        self.setStatement.bind(Int64(bitPattern: record.reserved), at: 4)
        self.setStatement.bind(record.isExact ? 1 : 0, at: 5)
        try self.setStatement.run()
    }

    func all() throws(SQLiteFailure) -> [OSCORERecord] {
        defer { self.allStatement.reset() }
        var records: [OSCORERecord] = []
        while try self.allStatement.step() {
            let numbers = 0...Int64(OSCORESequence.max) + 1
            let (next, reserved) = (self.allStatement.integer(1), self.allStatement.integer(3))
            guard numbers.contains(next), numbers.contains(reserved),
                let fingerprint = OSCOREFingerprint(Array(self.allStatement.bytes(0)))
            else { continue }
            records.append(
                OSCORERecord(
                    fingerprint: fingerprint,
                    window: OSCOREReplayWindow(
                        next: UInt64(next),
                        seen: UInt64(bitPattern: self.allStatement.integer(2))
                    ),
                    reserved: UInt64(reserved),
                    isExact: self.allStatement.integer(4) == 1
                )
            )
        }
        return records
    }

    /// What the last run left, and from now on no window is exact and more numbers are reserved.
    ///
    /// - Parameter unknown: What may have been used under contexts without a row, if that is not written down.
    func begin(unknown: UInt64) throws(SQLiteFailure) -> OSCOREStart {
        var start = OSCOREStart(records: try self.all(), unknownReserved: unknown)
        if try self.unknownStatement.step() {
            start.unknownReserved = UInt64(clamping: self.unknownStatement.integer(0))
        }
        self.unknownStatement.reset()
        start.unknownReserved = min(start.unknownReserved, OSCORESequence.max)
        try self.beginStatement.run()
        self.setUnknownStatement.bind(
            Int64(min(start.unknownReserved + OSCORESequence.step, OSCORESequence.max)),
            at: 1
        )
        try self.setUnknownStatement.run()
        return start
    }
}

extension Store {
    /// What the last run knew of OSCORE contexts. When this returns it is on disk that their windows are not exact any more,
    /// and that ``OSCORESequence/step`` more sequence numbers may have been used under each. To be called once, before any
    /// request is accepted. Only for the gateway.
    ///
    /// Of a database that is new although its master key is not, nothing can be known about what was used under the same
    /// keys: then numbers begin at a random place.
    package func beginOSCORE() throws(StoreError) -> OSCOREStart {
        let operation = "reading OSCORE contexts"
        guard let worker = self.worker else { throw self.closedError(while: operation) }
        let isKeyThere = FileManager.default.fileExists(atPath: self.directory.masterKey)
        // Half of the numbers stay for use.
        let unknown = isKeyThere ? UInt64.random(in: 0..<OSCORESequence.max / 2) : 0
        return try worker.withWriter(operation: operation) { writer throws(SQLiteFailure) in
            try writer.beginOSCORE(unknown: unknown)
        }.get()
    }
}
