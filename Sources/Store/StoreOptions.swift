/// For what a process opens the store.
package enum StoreAccess: Sendable, Equatable {
    /// The daemon: alone on its state directory, has the spool and the thread, sets a damaged database aside.
    case gateway
    /// A command that changes devices, beside a running gateway or without one. Creates the database if there is none.
    case command
    /// A command that only looks. Changes nothing and creates nothing.
    case readOnly
}

/// Settings of the store that are not for operators; the defaults are measured.
package struct StoreOptions: Sendable {
    /// How long to wait for another process's write lock.
    package var busyTimeout: Duration = .seconds(5)
    /// Pages of 4 KiB in the write-ahead log at which it is copied back. 500 to 4,000 cost the same processor time; this
    /// many keep the log at 4 MiB.
    package var checkpointPages = 1_000
    /// Page cache of the connection, in KiB; the working set of a spool is its two ends.
    package var cacheKiB = 1_024
    /// Bytes that a drained spool may leave unused in the file before it is shrunk.
    package var reclaimBytes = 32 << 20
    /// Most rows that one transaction takes from the queue before it commits.
    package var maxRowsPerCommit = 16_384
    /// Records acknowledged out of order that a crash may make the store count for a while. With more of them the next start
    /// reads the lane to count it.
    package var uncountedHoles = 1_024
    /// Most dead letters, of all uplinks together; then the oldest of the device that has most go.
    package var maxDeadLetters = 10_000
    /// Most bytes of their topics, payloads and properties.
    package var maxDeadBytes = 64 << 20
    /// How long the start may spend on saving what is left of spools and sessions in a damaged database. Service managers give
    /// a start a minute and a half.
    package var salvageTime: Duration = .seconds(60)
    /// Largest size of the database, in pages; nil: only the disk is the limit.
    package var maxPages: Int?
    /// Lets tests put a layer of their own between SQLite and the disk: its name; nil: the system's.
    package var fileSystem: String?
    /// Lets tests fail a step of a transaction: called before it, and a result code other than `SQLITE_OK` is taken for
    /// SQLite's answer. Called on the store's thread.
    package var fault: (@Sendable (StoreFaultPoint) -> Int32)?

    /// The defaults.
    package init() {}
}

/// A step of the store's transactions that ``StoreOptions/fault`` can fail; each carries its running number, from 1.
package enum StoreFaultPoint: Sendable, Equatable {
    /// About to begin a transaction.
    case begin(Int)
    /// About to insert a spool record.
    case insert(Int)
    /// About to delete a range of the spool.
    case delete(Int)
    /// About to change a row of a session, its subscriptions, queue or will.
    case session(Int)
    /// About to insert or delete a message that sessions wait for.
    case message(Int)
    /// About to insert or delete a dead letter.
    case dead(Int)
    /// About to insert or delete a packet identifier of an uplink.
    case packet(Int)
    /// The nth row of an OSCORE context.
    case oscore(Int)
    /// About to commit.
    case commit(Int)
}
