/// The keys of `ws` and `wss` listeners.
extension ListenerConfiguration {
    private static let maxPathBytes = 256
    private static let maxOrigins = 64

    /// `path`: what stands in the request line, without a query.
    static func readPath(_ reader: ConfigurationReader) -> String? {
        guard let path = reader.text("path", maxBytes: Self.maxPathBytes) else { return nil }
        guard path.utf8.first == UInt8(ascii: "/"),
            path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
        else { return reader.refuse("path", "expected a path such as \"/mqtt\": ASCII without spaces, ? and #") }
        return path
    }

    /// `origins`: what browsers send in Origin, byte for byte.
    static func readOrigins(_ reader: ConfigurationReader) -> [String]? {
        guard let origins = reader.strings("origins", atMost: Self.maxOrigins) else { return nil }
        for origin in origins where !Self.isOrigin(origin.text) {
            reader.document.error(
                origin.path,
                "expected an origin as browsers send it, such as \"https://home.example:8123\": "
                    + "in lower case, with nothing behind the port"
            )
        }
        return origins.map(\.text)
    }

    /// Scheme, `://` and host, with a port or without (RFC 6454 §6.2).
    private static func isOrigin(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon != text.startIndex,
            text[colon...].utf8.starts(with: "://".utf8), text.utf8.count <= 300
        else { return false }
        let host = text[colon...].utf8.dropFirst(3)
        return !host.isEmpty
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !(0x41...0x5A).contains($0) }
            && host.allSatisfy { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    }
}
