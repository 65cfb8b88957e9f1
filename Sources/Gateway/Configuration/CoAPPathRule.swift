package import Devices

/// One entry of a listener's `paths`: a short path, and the topic that it stands for.
package struct CoAPPathRule: Sendable, Equatable {
    /// The segments of the path, 1 or more, each of 1 to 255 bytes; compared as bytes.
    package var path: [String]
    /// The topic, without wildcards. Its `%d` is the device that is proven, or the one that the request's query names.
    package var topic: TopicTemplate
    /// The line in gateway.conf.
    package var line: Int

    /// The path that stands for `topic`.
    package init(path: [String], topic: TopicTemplate, line: Int = 0) {
        self.path = path
        self.topic = topic
        self.line = line
    }

    /// The path as one writes it: `/t`.
    package var text: String { "/" + self.path.joined(separator: "/") }

    /// The first segments that are resources of the gateway's own, on every listener.
    package static let reservedSegments = ["sid", "time", ".well-known"]

    /// Why some text is no path; in words that follow it.
    struct PathError: Error, CustomStringConvertible {
        var description: String
    }

    /// The segments of a path as gateway.conf writes it: `/t`, `/my/temp`.
    ///
    /// What no topic may hold is refused in paths too: requests with such a path are refused before they are looked up.
    static func segments(_ text: String) throws(PathError) -> [String] {
        guard text.utf8.first == UInt8(ascii: "/") else { throw PathError(description: "does not begin with /") }
        let segments = text.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for segment in segments {
            guard !segment.isEmpty else { throw PathError(description: "has an empty segment") }
            guard segment.count <= 255 else {
                throw PathError(description: "has a segment of \(segment.count) bytes, over 255")
            }
            guard !segment.elementsEqual(".".utf8), !segment.elementsEqual("..".utf8) else {
                throw PathError(description: "has a segment . or ..")
            }
            for byte in segment where "+#?%".utf8.contains(byte) || byte < 0x20 || byte == 0x7F {
                let shown = byte < 0x20 || byte == 0x7F ? "a control character" : String(UnicodeScalar(byte))
                throw PathError(description: "holds \(shown): a path is plain text, with no query and no placeholder")
            }
        }
        return segments.map { String(decoding: $0, as: UTF8.self) }
    }
}
