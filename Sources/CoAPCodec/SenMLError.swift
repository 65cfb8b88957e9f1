/// Why a SenML pack is not taken. The gateway answers 4.00, and tells the operator.
package struct SenMLError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// The pack, or a text in it, has more bytes than are read.
        case tooLong(limit: Int)
        /// It ends in the middle.
        case truncated
        /// It is no JSON, or no CBOR that SenML may be written in.
        case syntax
        /// Something follows the pack.
        case trailingBytes
        /// An extension is nested deeper than it is skipped.
        case tooDeep(limit: Int)
        case tooManyRecords(limit: Int)
        /// An empty pack.
        case noRecords
        /// A field twice in a record.
        case duplicate
        /// A value of another type than the field has.
        case wrongType
        /// A number that is none, is infinite, or has too many digits.
        case number
        /// Data that are no base64url (RFC 4648 §5).
        case data
        /// A field whose name ends in `_`, which must be understood and is not (RFC 8428 §4.4).
        case notUnderstood
        /// A version that is not known.
        case version
        /// No name, or one with other characters than a name has (RFC 8428 §4.5.1), or one that no topic can end in.
        case name
        /// Neither a value nor a sum, or several values.
        case valueCount
    }
    package var kind: Kind
    /// The label of the field that was read or resolved, as JSON has it; empty for the pack and for fields that are not known.
    package var field: String
    /// The record, from 1; 0 for the pack.
    package var record: Int
    /// Byte offset from the beginning of the pack.
    package var offset: Int

    package init(_ kind: Kind, field: String = "", record: Int = 0, offset: Int = 0) {
        self.kind = kind
        self.field = field
        self.record = record
        self.offset = offset
    }

    /// The same error, in this record.
    func placed(record: Int) -> SenMLError {
        var error = self
        error.record = record
        return error
    }

    /// The same error, in this field.
    func placed(field: SenMLLabel) -> SenMLError {
        var error = self
        error.field = field.rawValue
        return error
    }

    /// For the operator; holds nothing that the sender wrote.
    package var description: String {
        var place = self.record == 0 ? "SenML" : "SenML record \(self.record)"
        if !self.field.isEmpty { place += ", \(self.field)" }
        return "\(place), byte \(self.offset): \(self.kind.words)"
    }
}

extension SenMLError.Kind {
    fileprivate var words: String {
        switch self {
        case .tooLong(let limit): "longer than \(limit) bytes"
        case .truncated: "ends in the middle"
        case .syntax: "not well formed"
        case .trailingBytes: "something follows the pack"
        case .tooDeep(let limit): "nested deeper than \(limit) levels"
        case .tooManyRecords(let limit): "more than \(limit) records"
        case .noRecords: "no records"
        case .duplicate: "a field twice"
        case .wrongType: "a value of another type"
        case .number: "no number that can be held"
        case .data: "no base64url"
        case .notUnderstood: "a field that must be understood, and is not"
        case .version: "a version that is not known"
        case .name: "no name that can be a topic"
        case .valueCount: "not one value"
        }
    }
}
