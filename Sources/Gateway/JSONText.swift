import Foundation
import NIOCore

/// Values as JSON, and times as ISO 8601, for people and programs. Not for the message path.
enum JSONText {
    /// One object, keys in order, no line end.
    static func encode(_ value: some Encodable) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return ByteBuffer(bytes: try encoder.encode(value))
        } catch {
            preconditionFailure("\(type(of: value)) is no JSON: \(error)")
        }
    }

    /// `2026-11-26T10:00:00Z`.
    ///
    /// - Parameter milliseconds: Since 1970.
    static func time(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: (Double(milliseconds) / 1000).rounded(.down)).formatted(.iso8601)
    }
}
