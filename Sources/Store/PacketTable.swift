import GRDBSQLite

/// The statements of table `uplink_packet`: packet identifiers of QoS 2 that outside brokers and the gateway must not forget.
/// Begins and ends no transaction of its own.
final class PacketTable {
    /// In column `kind`.
    enum Kind: Int64 {
        /// Ours: PUBREL is on its way, PUBCOMP has not come.
        case release = 0
        /// Theirs: PUBREL has not come.
        case held = 1
    }

    private let setStatement: PreparedStatement
    private let clearStatement: PreparedStatement

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        self.setStatement = try PreparedStatement(
            "INSERT INTO uplink_packet (uplink, kind, packet_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            on: connection
        )
        self.clearStatement = try PreparedStatement(
            "DELETE FROM uplink_packet WHERE uplink = ?1 AND kind = ?2 AND packet_id = ?3",
            on: connection
        )
    }

    /// The spool record is somebody else's to delete.
    func apply(_ change: ReleaseChange) throws(SQLiteFailure) {
        switch change {
        case .set(let uplink, let packetID, _, _): try self.run(self.setStatement, uplink, .release, packetID)
        case .clear(let uplink, let packetID): try self.run(self.clearStatement, uplink, .release, packetID)
        }
    }

    func apply(_ change: HeldChange) throws(SQLiteFailure) {
        switch change {
        case .hold(let uplink, let packetID): try self.run(self.setStatement, uplink, .held, packetID)
        case .free(let uplink, let packetID): try self.run(self.clearStatement, uplink, .held, packetID)
        }
    }

    private func run(
        _ statement: borrowing PreparedStatement,
        _ uplink: Int64,
        _ kind: Kind,
        _ packetID: UInt16
    ) throws(SQLiteFailure) {
        statement.bind(uplink, at: 1)
        statement.bind(kind.rawValue, at: 2)
        statement.bind(Int64(packetID), at: 3)
        try statement.run()
    }
}
