import Foundation

/// A directory of its own for one test, removed with everything in it when the value goes away.
package final class TemporaryDirectory: Sendable {
    /// Absolute path, mode 0700.
    package let path: String

    /// A new one under the system's temporary directory.
    package init() throws {
        var template = Array((NSTemporaryDirectory() + "/sealgate-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: self.path)
    }

    /// Path of something in it.
    package func file(_ name: String) -> String { self.path + "/" + name }

    /// Writes a file with mode 0600, and makes the directories above it.
    @discardableResult
    package func write(_ name: String, _ text: String) throws -> String {
        let path = self.file(name)
        let parent = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }
}
