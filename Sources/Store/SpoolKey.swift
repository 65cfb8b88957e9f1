/// The primary key of a spool record: the uplink in the upper bits, the sequence in the lower 48.
///
/// One integer, so that the table is a plain rowid table: each uplink has a stretch of its own, whose records are
/// appended at one end and deleted as a range at the other. (Measured against `PRIMARY KEY (uplink, sequence) WITHOUT
/// ROWID`: a third less processor time for a record's life; and against the sequence alone as the key: the same, but
/// an uplink that is up need not read past the records of one that is down.)
enum SpoolKey {
    static let sequenceBits: Int64 = 48
    /// Sequences that a record may have.
    static let sequences: ClosedRange<Int64> = 1...((1 << sequenceBits) - 1)
    /// Ids that an uplink may have.
    static let uplinks: ClosedRange<Int64> = 1...((1 << 15) - 1)

    static func make(uplink: Int64, sequence: Int64) -> Int64 {
        precondition(self.uplinks.contains(uplink) && self.sequences.contains(sequence), "spool key out of range")
        return uplink << self.sequenceBits | sequence
    }

    /// The keys of `sequences` of an uplink, those outside the permitted range left out.
    static func range(uplink: Int64, sequences: ClosedRange<Int64>) -> ClosedRange<Int64>? {
        guard sequences.overlaps(self.sequences) else { return nil }
        let inside = sequences.clamped(to: self.sequences)
        let first = self.make(uplink: uplink, sequence: inside.lowerBound)
        return first...self.make(uplink: uplink, sequence: inside.upperBound)
    }

    /// All keys of an uplink.
    static func all(uplink: Int64) -> ClosedRange<Int64> {
        let first = self.make(uplink: uplink, sequence: self.sequences.lowerBound)
        return first...self.make(uplink: uplink, sequence: self.sequences.upperBound)
    }

    static func sequence(of key: Int64) -> Int64 { key & self.sequences.upperBound }
}
