import GRDB

/// The tables, and the settings of every connection to them.
enum Schema {
    static let pageBytes = 4_096

    /// The steps from an empty file to the tables of this release. A step that has been released is never changed.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 spool, retained, devices") { db in
            try db.execute(
                sql: """
                    CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
                    INSERT INTO meta (name, value) VALUES ('sequence_reserved', 0), ('device_generation', 0);

                    CREATE TABLE uplink (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

                    -- key: uplink << 48 | sequence. flags: QoS in bits 0 and 1, RETAIN in bit 2.
                    CREATE TABLE spool (
                        key INTEGER PRIMARY KEY,
                        flags INTEGER NOT NULL,
                        stored_at INTEGER NOT NULL,
                        messages_before INTEGER NOT NULL,
                        bytes_before INTEGER NOT NULL,
                        topic BLOB NOT NULL,
                        device TEXT,
                        payload BLOB NOT NULL
                    );

                    CREATE TABLE retained (
                        topic BLOB PRIMARY KEY,
                        payload BLOB NOT NULL,
                        qos INTEGER NOT NULL,
                        device TEXT,
                        stored_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;

                    -- v1_keys and psk are wrapped with a key derived from the master key.
                    CREATE TABLE device (
                        id TEXT PRIMARY KEY,
                        profile TEXT NOT NULL,
                        seal TEXT,
                        epoch INTEGER NOT NULL,
                        revoked INTEGER NOT NULL,
                        node_id TEXT,
                        keys_of TEXT,
                        v1_keys BLOB,
                        psk BLOB,
                        created INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    """
            )
        }
        migrator.registerMigration("2 sessions") { db in
            try db.execute(
                sql: """
                    ALTER TABLE retained ADD COLUMN properties BLOB;
                    ALTER TABLE retained ADD COLUMN expires_at INTEGER;

                    CREATE TABLE session (
                        number INTEGER PRIMARY KEY,
                        client_id BLOB NOT NULL,
                        owner TEXT NOT NULL,
                        expiry_interval INTEGER NOT NULL,
                        left_at INTEGER
                    ) STRICT;

                    -- options: as in SUBSCRIBE of MQTT 5.0, without Retain Handling.
                    CREATE TABLE subscription (
                        session INTEGER NOT NULL,
                        filter BLOB NOT NULL,
                        options INTEGER NOT NULL,
                        identifier INTEGER NOT NULL,
                        PRIMARY KEY (session, filter)
                    ) STRICT, WITHOUT ROWID;

                    CREATE TABLE message (
                        number INTEGER PRIMARY KEY,
                        topic BLOB NOT NULL,
                        payload BLOB NOT NULL,
                        qos INTEGER NOT NULL,
                        properties BLOB,
                        expires_at INTEGER,
                        publisher TEXT
                    ) STRICT;

                    -- The position first: what is new is in one place, however many sessions it is for. No indices: the
                    -- gateway counts in memory how many rows a message and a session have.
                    -- flags: QoS in bits 0 and 1, RETAIN in bit 2, PUBREC came in bit 3.
                    CREATE TABLE queue (
                        position INTEGER NOT NULL,
                        session INTEGER NOT NULL,
                        message INTEGER NOT NULL,
                        flags INTEGER NOT NULL,
                        packet_id INTEGER NOT NULL,
                        subscription_ids BLOB,
                        PRIMARY KEY (position, session)
                    ) STRICT, WITHOUT ROWID;

                    CREATE TABLE held (
                        session INTEGER NOT NULL,
                        packet_id INTEGER NOT NULL,
                        PRIMARY KEY (session, packet_id)
                    ) STRICT, WITHOUT ROWID;

                    -- flags: QoS in bits 0 and 1, RETAIN in bit 2.
                    CREATE TABLE will (
                        session INTEGER PRIMARY KEY,
                        topic BLOB NOT NULL,
                        payload BLOB NOT NULL,
                        flags INTEGER NOT NULL,
                        properties BLOB,
                        delay INTEGER NOT NULL
                    ) STRICT;
                    """
            )
        }
        migrator.registerMigration("3 passwords") { db in
            // A salted hash, wrapped as v1_keys and psk are.
            try db.execute(sql: "ALTER TABLE device ADD COLUMN password BLOB")
        }
        migrator.registerMigration("4 uplinks") { db in
            try db.execute(
                sql: """
                    -- flags from here on: bit 3 for a record that was taken without a clock.
                    ALTER TABLE spool ADD COLUMN properties BLOB;
                    ALTER TABLE spool ADD COLUMN expires_at INTEGER;

                    -- When records expire whose time is known: a table, and no index of the spool, so that those which never
                    -- expire cost nothing.
                    CREATE TABLE expiry (
                        expires_at INTEGER NOT NULL,
                        key INTEGER NOT NULL,
                        PRIMARY KEY (expires_at, key)
                    ) STRICT, WITHOUT ROWID;

                    -- A row for each lane. device: '' if the lane is everybody's. sparse_through: other than 0 if records have
                    -- gone from between others, so that the counters of the first and the last do not tell the size; the
                    -- counters of rows up to this sequence tell nothing at all.
                    CREATE TABLE uplink_4 (
                        id INTEGER PRIMARY KEY,
                        name TEXT NOT NULL,
                        lane INTEGER NOT NULL,
                        device TEXT NOT NULL,
                        sparse_through INTEGER NOT NULL,
                        UNIQUE (name, lane, device)
                    ) STRICT;
                    INSERT INTO uplink_4 (id, name, lane, device, sparse_through) SELECT id, name, 1, '', 0 FROM uplink;
                    DROP TABLE uplink;
                    ALTER TABLE uplink_4 RENAME TO uplink;

                    -- Packet identifiers of QoS 2. kind: 0 for those that wait for PUBCOMP, 1 for those that the outside
                    -- broker uses.
                    CREATE TABLE uplink_packet (
                        uplink INTEGER NOT NULL,
                        kind INTEGER NOT NULL,
                        packet_id INTEGER NOT NULL,
                        PRIMARY KEY (uplink, kind, packet_id)
                    ) STRICT, WITHOUT ROWID;

                    -- flags as in the spool.
                    CREATE TABLE dead (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        uplink INTEGER NOT NULL,
                        sequence INTEGER NOT NULL,
                        flags INTEGER NOT NULL,
                        stored_at INTEGER NOT NULL,
                        expires_at INTEGER,
                        died_at INTEGER NOT NULL,
                        reason INTEGER NOT NULL,
                        code INTEGER NOT NULL,
                        resend INTEGER NOT NULL,
                        detail TEXT NOT NULL,
                        device TEXT,
                        topic BLOB NOT NULL,
                        properties BLOB,
                        payload BLOB NOT NULL
                    ) STRICT;

                    INSERT INTO meta (name, value) VALUES ('time_floor', 0), ('dead_generation', 0);
                    """
            )
        }
        migrator.registerMigration("5 commands") { db in
            try db.execute(
                sql: """
                    -- Session IDs that devices published for their commands: ids not used yet, and digests of used ones.
                    CREATE TABLE command_session (
                        device TEXT PRIMARY KEY,
                        ids BLOB NOT NULL,
                        used BLOB NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    """
            )
        }
        migrator.registerMigration("6 coap") { db in
            try db.execute(
                sql: """
                    -- context: names its keys, whichever device has them; rows stay when a device goes. next, seen: the replay
                    -- window. exact: 1 after an orderly end.
                    CREATE TABLE oscore (
                        context BLOB PRIMARY KEY,
                        next INTEGER NOT NULL,
                        seen INTEGER NOT NULL,
                        reserved INTEGER NOT NULL,
                        exact INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;

                    -- Of the gateway itself; value is wrapped.
                    CREATE TABLE secret (
                        name TEXT PRIMARY KEY,
                        value BLOB NOT NULL,
                        made_at INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;

                    -- Wrapped as v1_keys and psk are.
                    ALTER TABLE device ADD COLUMN oscore BLOB;

                    -- The keys of this database have never been used for OSCORE.
                    INSERT INTO meta (name, value) SELECT 'oscore_reserved', 0
                    WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'master_key_check');
                    """
            )
        }
        return migrator
    }

    static func configuration(for access: StoreAccess, options: StoreOptions) -> Configuration {
        var configuration = Configuration()
        configuration.label = "sealgate-store"
        configuration.readonly = access == .readOnly
        configuration.foreignKeysEnabled = false
        // Should a rollback ever fail, the next transaction tries again; GRDB would end the process instead.
        configuration.allowsUnsafeTransactions = true
        configuration.busyMode = .timeout(options.busyTimeout / .seconds(1))
        configuration.prepareDatabase { db in
            // temp_store and the small cache are for the sake of resident memory. The system's SQLite may overwrite what
            // it deletes with zeros: pages that would not be written at all otherwise; devices turn that on for
            // themselves.
            try db.execute(
                sql: """
                    PRAGMA temp_store = MEMORY;
                    PRAGMA mmap_size = 0;
                    PRAGMA cache_size = -\(options.cacheKiB);
                    PRAGMA secure_delete = OFF;
                    """
            )
            guard access != .readOnly else { return }
            try db.execute(
                sql: """
                    PRAGMA page_size = \(Self.pageBytes);
                    PRAGMA auto_vacuum = NONE;
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA wal_autocheckpoint = \(options.checkpointPages);
                    PRAGMA journal_size_limit = \(4 * options.checkpointPages * Self.pageBytes);
                    """
            )
            if let maxPages = options.maxPages { try db.execute(sql: "PRAGMA max_page_count = \(maxPages)") }
        }
        return configuration
    }

    /// Brings the tables to this release. Two processes may do so at once.
    static func migrate(_ database: DatabaseQueue) throws {
        let migrator = self.migrator
        if try database.read(migrator.hasCompletedMigrations) { return }
        do {
            try migrator.migrate(database)
        } catch {
            // The other process may have been first.
            guard try database.read(migrator.hasCompletedMigrations) else { throw error }
        }
    }
}
