package import NIOCore

/// A link to a resource, as `/.well-known/core` lists it (RFC 6690).
package struct CoRELink: Equatable, Sendable {
    /// A target attribute: `rt="sensor"`, `ct=40`, `obs`.
    package struct Attribute: Equatable, Sendable {
        package let name: String
        /// `nil`: the name says it all.
        package let value: String?

        package init(_ name: String, _ value: String? = nil) {
            self.name = name
            self.value = value
        }
    }

    /// Absolute path, beginning with a slash, as it stands in a URI: what a URI may not hold is percent-encoded.
    package let target: String
    package let attributes: [Attribute]

    /// - Parameter path: Segments with a slash before each, not encoded yet.
    package init(path: String, _ attributes: [Attribute] = []) {
        self.target = Self.encode(path)
        self.attributes = attributes
    }

    /// Appends the link, after a comma if something was written before.
    package func write(into buffer: inout ByteBuffer) {
        if buffer.readableBytes > 0 { buffer.writeString(",") }
        buffer.writeString("<\(self.target)>")
        for attribute in self.attributes {
            buffer.writeString(";\(attribute.name)")
            guard let value = attribute.value else { continue }
            // Numbers need no quotes (RFC 6690 §2: cardinal, and ptoken for ct).
            if !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
                buffer.writeString("=\(value)")
            } else {
                let escaped = value.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }
                buffer.writeString("=\"\(String(escaped))\"")
            }
        }
    }

    /// Percent-encodes all but slashes and the characters of a segment (RFC 3986 §3.3).
    private static func encode(_ path: String) -> String {
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/".utf8)
        let digits = Array("0123456789ABCDEF")
        var result = ""
        for byte in path.utf8 {
            if plain.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result.append("%")
                result.append(digits[Int(byte >> 4)])
                result.append(digits[Int(byte & 15)])
            }
        }
        return result
    }
}

/// What a client asks of `/.well-known/core` (RFC 6690 §4.1): `?rt=temperature`, `?href=/ps*`.
package struct CoRELinkFilter: Sendable {
    private struct Condition {
        let name: String
        /// `nil`: the attribute must be there.
        let value: String?
        /// Whether `value` is only the beginning.
        let isPrefix: Bool

        func accepts(_ text: String) -> Bool {
            guard let value = self.value else { return true }
            // As bytes: String's own == takes canonically equivalent texts for equal.
            return self.isPrefix ? text.utf8.starts(with: value.utf8) : text.utf8.elementsEqual(value.utf8)
        }
    }

    private let conditions: [Condition]

    /// Takes the Uri-Query options; a link must meet all of them.
    package init(_ options: CoAPOptions) {
        self.conditions = options.compactMap { option in
            guard option.number == .uriQuery else { return nil }
            let (name, value) = CoAPQuery.split(option.value)
            let text = value.map { String(buffer: $0) }
            let isPrefix = text?.utf8.last == UInt8(ascii: "*")
            return Condition(
                name: String(decoding: name, as: UTF8.self),
                value: isPrefix ? text.map { String($0.dropLast()) } : text,
                isPrefix: isPrefix
            )
        }
    }

    /// Whether there is nothing to filter by.
    package var isEmpty: Bool { self.conditions.isEmpty }

    /// Whether a link is listed. Values of `rt`, `if`, `rel`, `ct` and the like are lists with blanks between, of which one
    /// must match.
    package func matches(_ link: CoRELink) -> Bool {
        self.conditions.allSatisfy { condition in
            if condition.name == "href" { return condition.accepts(link.target) }
            return link.attributes.contains { attribute in
                guard attribute.name == condition.name else { return false }
                let value = attribute.value ?? ""
                return condition.accepts(value)
                    || value.split(separator: " ").contains { condition.accepts(String($0)) }
            }
        }
    }
}
