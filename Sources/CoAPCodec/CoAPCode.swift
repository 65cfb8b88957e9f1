/// Code of a message: the method of a request or the kind of a response (RFC 7252 §3, §12.1). Three bits of class, five of
/// detail, written `c.dd`.
package struct CoAPCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// As sent.
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `CoAPCode(4, 4)` is 4.04. For codes that stand in the source: traps if there is no such code.
    package init(_ codeClass: UInt8, _ detail: UInt8) {
        precondition(codeClass < 8 && detail < 32, "no code \(codeClass).\(detail)")
        self.rawValue = codeClass << 5 | detail
    }

    /// 0 to 7.
    package var codeClass: UInt8 { self.rawValue >> 5 }
    /// 0 to 31.
    package var detail: UInt8 { self.rawValue & 0x1F }

    /// 0.00.
    package var isEmpty: Bool { self.rawValue == 0 }
    /// 0.01 to 0.31, methods that nobody knows included.
    package var isRequest: Bool { self.codeClass == 0 && !self.isEmpty }
    /// 2.00 to 5.31: everything that is neither empty, nor a request, nor reserved (RFC 7252 §12.1).
    package var isResponse: Bool { (2...5).contains(self.codeClass) }
    /// Classes 1, 6 and 7: a format error (RFC 7252 §3).
    package var isReserved: Bool { !self.isEmpty && !self.isRequest && !self.isResponse }
    /// 2.xx.
    package var isSuccess: Bool { self.codeClass == 2 }

    /// As people write it: `2.05`.
    package var description: String { "\(self.codeClass).\(self.detail < 10 ? "0" : "")\(self.detail)" }
}

extension CoAPCode {
    /// An Empty message: ACK, RST or ping.
    package static let empty = CoAPCode(0, 0)

    // Methods (RFC 7252 §12.1.1, RFC 8132 §5).
    package static let get = CoAPCode(0, 1)
    package static let post = CoAPCode(0, 2)
    package static let put = CoAPCode(0, 3)
    package static let delete = CoAPCode(0, 4)
    package static let fetch = CoAPCode(0, 5)
    package static let patch = CoAPCode(0, 6)
    package static let iPatch = CoAPCode(0, 7)

    // Responses (RFC 7252 §12.1.2).
    package static let created = CoAPCode(2, 1)
    package static let deleted = CoAPCode(2, 2)
    package static let valid = CoAPCode(2, 3)
    package static let changed = CoAPCode(2, 4)
    package static let content = CoAPCode(2, 5)
    /// RFC 7959 §2.9.1.
    package static let `continue` = CoAPCode(2, 31)
    package static let badRequest = CoAPCode(4, 0)
    package static let unauthorized = CoAPCode(4, 1)
    package static let badOption = CoAPCode(4, 2)
    package static let forbidden = CoAPCode(4, 3)
    package static let notFound = CoAPCode(4, 4)
    package static let methodNotAllowed = CoAPCode(4, 5)
    package static let notAcceptable = CoAPCode(4, 6)
    /// RFC 7959 §2.9.2.
    package static let requestEntityIncomplete = CoAPCode(4, 8)
    /// RFC 8132 §3.4.
    package static let conflict = CoAPCode(4, 9)
    package static let preconditionFailed = CoAPCode(4, 12)
    /// RFC 7252 §5.9.2.9, RFC 7959 §2.9.3.
    package static let requestEntityTooLarge = CoAPCode(4, 13)
    package static let unsupportedContentFormat = CoAPCode(4, 15)
    /// RFC 8132 §3.4.
    package static let unprocessableEntity = CoAPCode(4, 22)
    /// RFC 8516: with Max-Age, the seconds to wait.
    package static let tooManyRequests = CoAPCode(4, 29)
    package static let internalServerError = CoAPCode(5, 0)
    package static let notImplemented = CoAPCode(5, 1)
    package static let badGateway = CoAPCode(5, 2)
    /// With Max-Age, the seconds to wait (RFC 7252 §5.9.3.4).
    package static let serviceUnavailable = CoAPCode(5, 3)
    package static let gatewayTimeout = CoAPCode(5, 4)
    package static let proxyingNotSupported = CoAPCode(5, 5)
}
