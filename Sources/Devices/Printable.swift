package import NIOCore

/// Bytes of a peer as text that is safe to print: in a log line, a terminal, an explanation.
package enum Printable {
    /// The readable bytes of `buffer`, characters that steer a terminal or turn the reading direction shown as escapes, and cut
    /// after `limit` characters.
    package static func text(_ buffer: ByteBuffer, limit: Int = 256) -> String {
        Self.text(String(buffer: buffer), limit: limit)
    }

    /// The same for text.
    package static func text(_ text: String, limit: Int = 256) -> String {
        var result = ""
        for (index, scalar) in text.unicodeScalars.enumerated() {
            guard index < limit else { return result + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
