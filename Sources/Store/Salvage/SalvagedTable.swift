import Devices
import Sealing

/// How the rows of one table are told from those of others, and written into a new database: by the number and types of
/// their columns. Where the schema says which page belongs to which table may be what is damaged.
struct SalvagedTable {
    /// What a column may hold.
    enum Column {
        /// The row id is there instead.
        case rowid
        case integer
        case text
        case blob
        case integerOrNull
        case textOrNull
        case blobOrNull

        fileprivate func fits(_ value: RawRow.Value) -> Bool {
            switch (self, value) {
            case (.rowid, .null), (.integerOrNull, .null), (.textOrNull, .null), (.blobOrNull, .null): true
            case (.integer, .integer), (.integerOrNull, .integer): true
            case (.text, .text), (.textOrNull, .text): true
            case (.blob, .blob), (.blobOrNull, .blob): true
            default: false
            }
        }
    }

    /// For the report.
    let name: String
    let kind: DamagedFile.Kind
    let columns: [Column]
    /// Columns that rows of the oldest release have; the others were added, and are not there or NULL.
    let oldColumns: Int
    /// Takes the columns as parameters, in order.
    let sql: String
    /// Whether a release can have written the row, as far as that keeps a wrong row from being taken for one.
    let isPlausible: @Sendable (RawRow) -> Bool

    func fits(_ row: RawRow) -> Bool {
        let count = row.values.count
        guard self.oldColumns...self.columns.count ~= count, (row.rowid != nil) == (self.kind == .table),
            zip(self.columns, row.values).allSatisfy({ $0.fits($1) })
        else { return false }
        return self.isPlausible(row)
    }

    // MARK: - The tables

    /// What is saved first.
    static let devices = [
        // Two records of one device can only be an old one and a newer one: what was revoked stays so.
        SalvagedTable(
            name: "devices",
            kind: .index,
            columns: [
                .text, .text, .textOrNull, .integer, .integer, .textOrNull, .textOrNull, .blobOrNull, .blobOrNull,
                .integer,
                .blobOrNull, .blobOrNull,
            ],
            oldColumns: 10,
            sql: """
                INSERT INTO device
                (id, profile, seal, epoch, revoked, node_id, keys_of, v1_keys, psk, created, password, oscore)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                ON CONFLICT (id) DO UPDATE
                SET revoked = max(revoked, excluded.revoked), epoch = max(epoch, excluded.epoch)
                """,
            isPlausible: { row in row.text(0).map { (try? DeviceID($0)) != nil } ?? false }
        )
    ]

    /// Found in indices and tables without row ids.
    static let small: [SalvagedTable] = [
        // Of two records the one with more digests is the newer one: no ID must be used twice.
        SalvagedTable(
            name: "session IDs of commands",
            kind: .index,
            columns: [.text, .blob, .blob],
            oldColumns: 3,
            sql: """
                INSERT INTO command_session (device, ids, used) VALUES (?1, ?2, ?3)
                ON CONFLICT (device) DO UPDATE SET ids = ?2, used = ?3 WHERE length(used) < length(excluded.used)
                """,
            isPlausible: { row in row.text(0).map { (try? DeviceID($0)) != nil } ?? false }
        ),
        // What was saved may be older than what was lost: the numbers begin again far above those that it tells of, and no
        // window is exact.
        SalvagedTable(
            name: "OSCORE contexts",
            kind: .index,
            columns: [.blob, .integer, .integer, .integer, .integer],
            oldColumns: 5,
            sql: """
                INSERT INTO oscore (context, next, seen, reserved, exact)
                VALUES (?1, ?2, ?3, ?4 + \(Self.oscoreLeap), 0 * ?5)
                ON CONFLICT (context) DO UPDATE SET
                    next = max(next, excluded.next), reserved = max(reserved, excluded.reserved),
                    seen = iif(next < excluded.next, excluded.seen, seen)
                """,
            isPlausible: { row in
                let numbers = 0...Int64(OSCORESequence.max)
                return row.blobCount(0) == OSCOREFingerprint.count && numbers ~= row.integer(1)
                    && numbers ~= row.integer(3) && 0...1 ~= row.integer(4)
            }
        ),
        SalvagedTable(
            name: "retained messages",
            kind: .index,
            columns: [.blob, .blob, .integer, .textOrNull, .integer, .blobOrNull, .integerOrNull],
            oldColumns: 5,
            sql: """
                INSERT INTO retained (topic, payload, qos, device, stored_at, properties, expires_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (topic) DO UPDATE SET
                    payload = ?2, qos = ?3, device = ?4, stored_at = ?5, properties = ?6, expires_at = ?7
                WHERE stored_at < excluded.stored_at
                """,
            isPlausible: { row in 0...2 ~= row.integer(2) }
        ),
        SalvagedTable(
            name: "subscriptions",
            kind: .index,
            columns: [.integer, .blob, .integer, .integer],
            oldColumns: 4,
            sql: "INSERT OR IGNORE INTO subscription (session, filter, options, identifier) VALUES (?1, ?2, ?3, ?4)",
            isPlausible: { row in SpoolKey.sequences.contains(row.integer(0)) }
        ),
        SalvagedTable(
            name: "queued messages",
            kind: .index,
            columns: [.integer, .integer, .integer, .integer, .integer, .blobOrNull],
            oldColumns: 6,
            sql: """
                INSERT OR IGNORE INTO queue (position, session, message, flags, packet_id, subscription_ids)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                """,
            isPlausible: { row in (0...2).allSatisfy { SpoolKey.sequences.contains(row.integer($0)) } }
        ),
        SalvagedTable(
            name: "packet identifiers of sessions",
            kind: .index,
            columns: [.integer, .integer],
            oldColumns: 2,
            sql: "INSERT OR IGNORE INTO held (session, packet_id) VALUES (?1, ?2)",
            isPlausible: { row in SpoolKey.sequences.contains(row.integer(0)) && 1...65_535 ~= row.integer(1) }
        ),
        SalvagedTable(
            name: "packet identifiers of uplinks",
            kind: .index,
            columns: [.integer, .integer, .integer],
            oldColumns: 3,
            sql: "INSERT OR IGNORE INTO uplink_packet (uplink, kind, packet_id) VALUES (?1, ?2, ?3)",
            isPlausible: { row in
                SpoolKey.uplinks.contains(row.integer(0)) && 0...1 ~= row.integer(1) && 1...65_535 ~= row.integer(2)
            }
        ),
    ]

    /// Found in tables with row ids.
    static let large: [SalvagedTable] = [
        SalvagedTable(
            name: "sessions",
            kind: .table,
            columns: [.rowid, .blob, .text, .integer, .integerOrNull],
            oldColumns: 5,
            sql: """
                INSERT OR IGNORE INTO session (number, client_id, owner, expiry_interval, left_at)
                VALUES (?1, ?2, ?3, ?4, ?5)
                """,
            isPlausible: { row in row.hasSequence }
        ),
        SalvagedTable(
            name: "messages of sessions",
            kind: .table,
            columns: [.rowid, .blob, .blob, .integer, .blobOrNull, .integerOrNull, .textOrNull],
            oldColumns: 7,
            sql: """
                INSERT OR IGNORE INTO message (number, topic, payload, qos, properties, expires_at, publisher)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                """,
            isPlausible: { row in row.hasSequence && 0...2 ~= row.integer(3) }
        ),
        SalvagedTable(
            name: "wills",
            kind: .table,
            columns: [.rowid, .blob, .blob, .integer, .blobOrNull, .integer],
            oldColumns: 6,
            sql: """
                INSERT OR IGNORE INTO will (session, topic, payload, flags, properties, delay)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                """,
            isPlausible: { row in row.hasSequence }
        ),
        // The counters of the old rows mean nothing among new ones.
        SalvagedTable(
            name: Self.spool,
            kind: .table,
            columns: [
                .rowid, .integer, .integer, .integer, .integer, .blob, .textOrNull, .blob, .blobOrNull, .integerOrNull,
            ],
            oldColumns: 8,
            sql: """
                INSERT OR IGNORE INTO spool
                (key, flags, stored_at, messages_before, bytes_before, topic, device, payload, properties, expires_at)
                VALUES (?1, ?2, ?3, 0, 0, ?6, ?7, ?8, ?9, ?10)
                """,
            isPlausible: { row in
                let key = row.rowid ?? 0
                return SpoolKey.uplinks.contains(key >> SpoolKey.sequenceBits) && SpoolKey.sequence(of: key) > 0
                    && SpoolFlags(rawValue: row.integer(1)).isValid
            }
        ),
        SalvagedTable(
            name: "dead letters",
            kind: .table,
            columns: [
                .rowid, .integer, .integer, .integer, .integer, .integerOrNull, .integer, .integer, .integer, .integer,
                .text,
                .textOrNull, .blob, .blobOrNull, .blob,
            ],
            oldColumns: 15,
            sql: """
                INSERT OR IGNORE INTO dead (id, uplink, sequence, flags, stored_at, expires_at, died_at, reason, code, resend,
                detail, device, topic, properties, payload)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                """,
            isPlausible: { row in
                SpoolKey.uplinks.contains(row.integer(1)) && SpoolFlags(rawValue: row.integer(3)).isValid
            }
        ),
    ]

    static let spool = "waiting messages"
    /// More sequence numbers than any context uses up before its row is written again.
    private static let oscoreLeap = 1 << 24
}

extension RawRow {
    /// Column `index`; 0 if it is no integer.
    func integer(_ index: Int) -> Int64 {
        guard self.values.indices.contains(index), case .integer(let value) = self.values[index] else { return 0 }
        return value
    }

    /// Bytes of column `index`; nil if it is no blob.
    func blobCount(_ index: Int) -> Int? {
        guard self.values.indices.contains(index), case .blob(let range) = self.values[index] else { return nil }
        return range.count
    }

    /// Column `index`; nil if it is no text.
    func text(_ index: Int) -> String? {
        guard self.values.indices.contains(index), case .text(let range) = self.values[index] else { return nil }
        return String(validating: self.bytes[range], as: UTF8.self)
    }

    /// Whether the row id is one of the common counter's numbers.
    fileprivate var hasSequence: Bool { self.rowid.map(SpoolKey.sequences.contains) ?? false }
}
