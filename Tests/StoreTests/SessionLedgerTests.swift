import Testing

@testable import Store

@Suite("Session ledger")
struct SessionLedgerTests {
    private func ledger() -> SessionLedger {
        var ledger = SessionLedger()
        ledger.addSession(1)
        ledger.addSession(2)
        ledger.addMessage(10, bytes: 100)
        ledger.addRow(session: 1, message: 10)
        ledger.addRow(session: 2, message: 10)
        ledger.committed()
        return ledger
    }

    @Test("knows a message without rows, whether its last one went or it never had one")
    func unneeded() {
        var ledger = self.ledger()
        ledger.removeRow(session: 1, message: 10)
        #expect(ledger.unneeded.isEmpty)
        ledger.removeRow(session: 2, message: 10)
        ledger.addMessage(9, bytes: 1)
        #expect(ledger.unneeded == [9, 10])
        ledger.addRow(session: 1, message: 10)
        #expect(ledger.unneeded == [9])
        ledger.removeMessage(9)
        #expect(ledger.unneeded.isEmpty && !ledger.hasMessage(9) && ledger.bytes == 100)
    }

    @Test("goes back to the beginning of the transaction")
    func rollback() {
        var ledger = self.ledger()
        ledger.removeRow(session: 1, message: 10)
        ledger.removeRow(session: 2, message: 10)
        ledger.removeMessage(10)
        ledger.removeSession(1)
        ledger.addSession(3)
        ledger.addMessage(11, bytes: 5)
        ledger.addRow(session: 3, message: 11)
        ledger.rolledBack()
        #expect(ledger.rows(ofSession: 1) == 1 && ledger.rows(ofSession: 2) == 1)
        #expect(ledger.hasMessage(10) && !ledger.hasMessage(11) && !ledger.hasSession(3))
        #expect(ledger.bytes == 100 && ledger.unneeded.isEmpty)
        ledger.removeRow(session: 1, message: 10)
        ledger.removeRow(session: 2, message: 10)
        #expect(ledger.unneeded == [10])
    }

    @Test("counts no row for a session or a message that is not there, and none below zero")
    func strangers() {
        var ledger = self.ledger()
        ledger.addRow(session: 7, message: 77)
        ledger.removeRow(session: 7, message: 77)
        #expect(!ledger.hasSession(7) && !ledger.hasMessage(77))
        for _ in 0..<3 { ledger.removeRow(session: 1, message: 10) }
        #expect(ledger.rows(ofSession: 1) == 0)
    }
}
