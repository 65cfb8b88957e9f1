internal import OpenSSL

/// The gateway's one secret: 32 bytes. No description shows them.
package struct MasterKey: Sendable {
    /// Length in bytes.
    package static let count = 32

    let bytes: [UInt8]

    /// `nil` unless there are 32 bytes.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.count else { return nil }
        self.bytes = bytes
    }

    /// A new one.
    package static func random() -> MasterKey {
        MasterKey(unchecked: SecureRandom.bytes(count: Self.count))
    }

    init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }
}

extension MasterKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the key.
    package var description: String { "MasterKey(redacted)" }
    /// Shows nothing of the key.
    package var debugDescription: String { self.description }
    /// Shows nothing of the key.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Why a master key file can't be used. Names the file and the cure, and nothing of what the file holds.
package struct MasterKeyError: Error, Equatable, CustomStringConvertible {
    /// What is wrong with the file.
    package enum Problem: Equatable, Sendable {
        /// A system call failed, with this `errno`.
        case system(call: String, code: Int32)
        /// It is there already, and is never overwritten.
        case exists
        /// It is not there.
        case missing
        /// It is a directory, a link or a device.
        case notAFile
        /// Others than its owner may use it: these permission bits.
        case mode(UInt32)
        /// It belongs to this user id, and neither to us nor to root.
        case owner(UInt32)
        /// It does not hold 64 hex digits and a line break.
        case content
    }

    /// The file's path as given.
    package var path: String
    /// What is wrong with it.
    package var problem: Problem

    package init(path: String, problem: Problem) {
        self.path = path
        self.problem = problem
    }
}
