/// A file that gateway.conf names, and where it does.
package struct ConfigurationFile: Hashable, Sendable {
    /// What is expected in it.
    package enum Content: Hashable, Sendable {
        /// `hex:…`, `base64:…` or `utf8:…`, for the owner's eyes only.
        case secret
        /// PEM with a private key, for the owner's eyes only.
        case privateKey
        /// PEM with certificates.
        case certificates
        /// The same, or a directory of such files: `*.crt` and `*.pem`.
        case authorities
        /// PEM with certificate revocation lists.
        case revocations
    }

    /// Relative paths are relative to the directory of gateway.conf; this one is ready to be opened.
    package var path: String
    /// What is expected in it.
    package var content: Content
    /// The path of the key that names it, `uplink.cloud.psk.key_file`.
    package var key: String
    /// The line of gateway.conf, from 1.
    package var line: Int

    /// A file named by `key` on `line`.
    package init(path: String, content: Content, key: String = "", line: Int = 0) {
        self.path = path
        self.content = content
        self.key = key
        self.line = line
    }

    /// `path` as seen from `directory`; an empty `directory` is the working directory.
    package static func resolve(_ path: String, in directory: String) -> String {
        if path.hasPrefix("/") || directory.isEmpty { return path }
        return directory.hasSuffix("/") ? directory + path : directory + "/" + path
    }

    /// What comes before the last `/` of `path`, empty if there is none: ``resolve(_:in:)`` takes it.
    package static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
