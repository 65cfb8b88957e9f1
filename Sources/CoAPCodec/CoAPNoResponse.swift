/// Which responses a client does not want (RFC 7967 §2.1). The acknowledgement of a CON is sent all the same.
package struct CoAPNoResponse: Equatable, Sendable {
    /// A bit for each class of responses, counted from 1; 0: all are wanted.
    package let value: UInt8

    package init(value: UInt8) { self.value = value }

    /// Whether the client does not want a response of this code.
    package func suppresses(_ code: CoAPCode) -> Bool {
        code.codeClass > 0 && self.value & (1 << (code.codeClass - 1)) != 0
    }
}
