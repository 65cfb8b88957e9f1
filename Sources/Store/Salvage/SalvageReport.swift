/// What was saved of a damaged database.
package struct SalvageReport: Sendable, Equatable {
    /// Rows by what they are.
    package var rows: [String: Int] = [:]
    /// Rows that were seen and can't be read.
    package var lostRows = 0
    /// Pages whose rows, if they had any, are lost.
    package var damagedPages = 0
    /// Pages looked at.
    package var pages = 0
    /// It is not known which pages were in use: what had been acknowledged and deleted may have been taken for what waits.
    package var mayHaveDeletedRows = false
    /// Why not all of the file was read; nil: it was.
    package var cutShort: String?

    /// For the log: "5 devices, 200 waiting messages".
    package var saved: String {
        let parts = self.rows.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }
}
