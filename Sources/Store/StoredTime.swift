/// Times of day in the database, in milliseconds since 1970.
package enum StoredTime {
    /// What can have been stored: up to 9999-12-31. Any other number is damage, and too large to be counted with.
    package static let range: ClosedRange<Int64> = 0...253_402_214_400_000

    /// Whether this can have been stored; none is fine.
    static func isPlausible(_ time: Int64?) -> Bool { time.map(self.range.contains) ?? true }
}
