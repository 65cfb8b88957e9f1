extension StoreBatch {
    /// Records to take from a lane's spool without having been delivered.
    package struct Drop: Sendable, Equatable {
        /// Which records go.
        package enum Extent: Sendable, Equatable {
            /// The oldest, until that many are gone, and that many bytes (`when_full = "drop-oldest"`).
            case oldest(count: Int, bytes: Int = 0)
            /// Those stored before a time in milliseconds since 1970 (`max_age`), up to the first that is younger. Those
            /// taken without a clock are passed over.
            case storedBefore(Int64)
            /// Those that expired before a time in milliseconds since 1970. Costs next to nothing if there are none.
            case expired(before: Int64)
        }

        /// Most records that ``Extent/storedBefore(_:)`` and ``Extent/expired(before:)`` take at once; what is left goes with the
        /// next drop.
        package static let maxRecords = 16_384

        /// From ``Store/uplinkID(named:lane:device:)``.
        package var uplink: Int64
        /// Which records go.
        package var extent: Extent

        /// Both.
        package init(uplink: Int64, extent: Extent) {
            self.uplink = uplink
            self.extent = extent
        }
    }
}

extension StoreBatch.Drop.Extent {
    /// Whether a drop that was done has taken the record, or would have, had it been done in one go.
    ///
    /// - Parameter last: The highest sequence that it took; of all devices.
    package func takes(_ record: SpoolRecord, through last: Int64) -> Bool {
        switch self {
        case .oldest: record.sequence <= last
        case .storedBefore(let time): record.sequence <= last && record.knownTime < time
        case .expired(let time): record.isExpired(at: time)
        }
    }
}

extension SpoolRecord {
    /// When it was stored, or the end of time if that is not known, so that it never seems too old.
    var knownTime: Int64 { self.isClockless ? StoredTime.range.upperBound : SpoolFlags.plausible(self.storedAt) }

    /// Whether the message has lost its worth before `time`, as far as its own time is known.
    package func isExpired(at time: Int64) -> Bool {
        guard !self.isClockless, let expiresAt = self.expiresAt else { return false }
        return expiresAt < time
    }
}
