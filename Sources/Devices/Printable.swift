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
            if Self.isPrintable(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return result
    }

    /// Whether ``text(_:limit:)`` would show all of `text` as it is, however long.
    package static func isPrintable(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { Self.isPrintable($0) }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
        default: true
        }
    }
}
