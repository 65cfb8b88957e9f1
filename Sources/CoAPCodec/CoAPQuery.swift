package import NIOCore

/// The parts of a query: one for each Uri-Query option, `name=value` or `name` (RFC 7252 §6.4).
package enum CoAPQuery {
    /// The value of the first part with this name; empty for a part without one.
    package static func value(_ name: String, in options: CoAPOptions) -> ByteBuffer? {
        for option in options where option.number == .uriQuery {
            let (found, value) = Self.split(option.value)
            if found.elementsEqual(name.utf8) { return value ?? ByteBuffer() }
        }
        return nil
    }

    /// Name and value.
    static func split(_ part: ByteBuffer) -> (name: ByteBufferView, value: ByteBuffer?) {
        let bytes = part.readableBytesView
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { return (bytes, nil) }
        return (bytes[..<equals], ByteBuffer(bytes: bytes[(equals + 1)...]))
    }
}
