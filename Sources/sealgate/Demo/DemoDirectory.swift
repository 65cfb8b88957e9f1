import Foundation

/// The files of one demo: a directory of its own under the system's temporary one, for this user alone.
struct DemoDirectory: Sendable {
    let path: String

    /// Makes it.
    init() throws {
        let name = "sealgate-demo-\(UUID().uuidString)"
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(
            atPath: self.path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
    }

    /// The path of something in it.
    func file(_ name: String) -> String { self.path + "/" + name }

    /// Writes a file that its owner alone can read.
    func write(_ name: String, _ text: String) throws {
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        guard FileManager.default.createFile(atPath: self.file(name), contents: Data(text.utf8), attributes: attributes)
        else { throw DemoFailure("can't write \(self.file(name))") }
    }

    /// Removes it with everything in it.
    func remove() {
        try? FileManager.default.removeItem(atPath: self.path)
    }
}
