import GRDBSQLite

/// Counts the steps of the store's transactions for ``StoreOptions/fault``, and fails those that it wants failed.
final class FaultSwitch {
    /// A kind of step.
    enum Step: Int, CaseIterable {
        case begin, insert, delete, session, message, dead, packet, oscore, commit
    }

    private let fault: (@Sendable (StoreFaultPoint) -> Int32)?
    private var counts = [Int](repeating: 0, count: Step.allCases.count)

    init(_ options: StoreOptions) {
        self.fault = options.fault
    }

    /// To be called before each step.
    func pass(_ step: Step) throws(SQLiteFailure) {
        guard let fault = self.fault else { return }
        self.counts[step.rawValue] += 1
        let number = self.counts[step.rawValue]
        let point: StoreFaultPoint =
            switch step {
            case .begin: .begin(number)
            case .insert: .insert(number)
            case .delete: .delete(number)
            case .session: .session(number)
            case .message: .message(number)
            case .dead: .dead(number)
            case .packet: .packet(number)
            case .oscore: .oscore(number)
            case .commit: .commit(number)
            }
        let code = fault(point)
        if code != SQLITE_OK { throw SQLiteFailure(code: code, message: String(cString: sqlite3_errstr(code))) }
    }
}
