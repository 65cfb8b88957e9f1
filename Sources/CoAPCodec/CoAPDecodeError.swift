/// Why a datagram is no message, and what its sender is told. Holds numbers only, never the bytes.
package struct CoAPDecodeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    package enum Kind: Equatable, Sendable {
        /// The field ends beyond the datagram.
        case truncated
        /// Over the limit of the receiver, in bytes.
        case tooLarge(bytes: Int, limit: Int)
        /// Version 0, 2 or 3 (RFC 7252 §3).
        case unknownVersion(UInt8)
        /// Token Length 9 to 15 (RFC 7252 §3; RFC 8974 was not agreed on).
        case tokenTooLong(UInt8)
        /// Class 1, 6 or 7.
        case reservedCode(CoAPCode)
        /// An Empty message with anything behind its Message ID (RFC 7252 §4.1).
        case emptyWithContent
        /// A code that this type may not have: an empty NON, a request in an ACK, anything but empty in a RST.
        case misplacedCode(CoAPCode, CoAPMessageType)
        /// Option Delta or Option Length 15 that is no payload marker (RFC 7252 §3.1).
        case reservedNibble
        /// Deltas that add up to more than 65,535.
        case optionNumberTooLarge(Int)
        /// More options than are accepted.
        case tooManyOptions(limit: Int)
        /// A payload marker and nothing behind it (RFC 7252 §3).
        case missingPayload
    }

    /// What the sender is told.
    package enum Answer: Equatable, Sendable {
        /// Nothing.
        case ignore
        /// A RST with this Message ID.
        case reset(messageID: UInt16)
    }

    /// What could be read before the error.
    package struct Header: Equatable, Sendable {
        package let type: CoAPMessageType
        package let messageID: UInt16
    }

    /// What is wrong, to match on.
    package let kind: Kind
    /// Field being read, in the standard's words.
    package let field: String
    /// Bytes before the field.
    package let offset: Int
    /// `nil`: the datagram is too short to have one, or of another version.
    package let header: Header?

    package init(kind: Kind, field: String, offset: Int, header: Header?) {
        self.kind = kind
        self.field = field
        self.offset = offset
        self.header = header
    }

    /// A CON that can't be processed is reset; anything else is ignored: a NON may be, and an ACK or RST must be, or two
    /// sides could answer each other for ever (RFC 7252 §4.2, §4.3). What arrived by multicast is always ignored (§8.1).
    package var answer: Answer {
        guard let header = self.header, header.type == .confirmable else { return .ignore }
        return .reset(messageID: header.messageID)
    }

    /// For the operator.
    package var description: String { "\(self.field) at byte \(self.offset): \(self.kind)" }
}

extension CoAPDecodeError.Kind: CustomStringConvertible {
    /// In words that follow the name of the field.
    package var description: String {
        switch self {
        case .truncated: "ends beyond the message"
        case .tooLarge(let bytes, let limit): "makes a message of \(bytes) bytes, over the limit of \(limit)"
        case .unknownVersion(let version): "is \(version), which is not spoken here"
        case .tokenTooLong(let length): "is \(length), over 8"
        case .reservedCode(let code): "is \(code), of a reserved class"
        case .emptyWithContent: "is 0.00, but something follows the Message ID"
        case .misplacedCode(let code, let type): "is \(code), which a message of type \(type) may not have"
        case .reservedNibble: "is 15, which is reserved"
        case .optionNumberTooLarge(let number): "leads to option \(number), over 65535"
        case .tooManyOptions(let limit): "is one of more than \(limit)"
        case .missingPayload: "is followed by nothing"
        }
    }
}
