package import NIOCore

/// In what a pack is written.
package enum SenMLForm: Sendable, Hashable, CaseIterable {
    /// `application/senml+json`
    case json
    /// `application/senml+cbor`
    case cbor

    /// `nil` for all formats but these two.
    package init?(_ format: CoAPContentFormat) {
        switch format {
        case .senMLJSON: self = .json
        case .senMLCBOR: self = .cbor
        default: return nil
        }
    }
}

/// Sensor Measurement Lists (RFC 8428): reads packs, and resolves their records.
package enum SenMLPack {
    /// The records of a pack, in its order, each resolved.
    ///
    /// Nothing of it is taken if anything is wrong with it. Fields that are not known are left out, unless their names end in
    /// `_`: those are refused, as all versions after 10 are.
    ///
    /// - Parameters:
    ///   - pack: Of 64 KiB at most.
    ///   - maxRecords: A pack of more is refused.
    ///   - now: In seconds since 1970, to which times that are relative to now are then added, so that none is left. `nil`:
    ///     they stay as they are, for a gateway whose clock is not set.
    package static func records(
        of pack: ByteBuffer,
        _ form: SenMLForm,
        maxRecords: Int = 64,
        now: SenMLNumber? = nil
    ) throws(SenMLError) -> [SenMLRecord] {
        guard pack.readableBytes <= SenMLLimits.packBytes else {
            throw SenMLError(.tooLong(limit: SenMLLimits.packBytes))
        }
        switch form {
        case .json: return try Self.resolve(SenMLJSONReader(pack), maxRecords, now)
        case .cbor: return try Self.resolve(SenMLCBORReader(pack), maxRecords, now)
        }
    }

    private static func resolve(
        _ reader: some SenMLReader,
        _ maxRecords: Int,
        _ now: SenMLNumber?
    ) throws(SenMLError) -> [SenMLRecord] {
        var reader = reader
        var resolver = SenMLResolver(now: now)
        var records: [SenMLRecord] = []
        while let fields = try reader.next() {
            guard records.count < maxRecords else {
                throw SenMLError(.tooManyRecords(limit: maxRecords), record: fields.record, offset: fields.offset)
            }
            records.append(try resolver.resolve(fields))
        }
        guard !records.isEmpty else { throw SenMLError(.noRecords) }
        return records
    }
}
