import Synchronization

/// The context that a listener's or an uplink's next connections are made from. It can be replaced while they run:
/// connections that are open keep theirs. Any thread.
package final class TLSContextSource: Sendable {
    /// What to speak, show and believe, with the secrets of files that TLS itself does not read. Blocks on the disk.
    package typealias Settings = @Sendable () throws -> TLSConfiguration

    private let settings: Settings
    /// Files that ``settings`` reads.
    private let secrets: [String]
    private let context: Mutex<TLSContext>
    private let files: Mutex<Files>

    /// What is known of the files that are watched.
    private struct Files {
        /// As they were when the context was made from them.
        var stamps: [TLSFile.Stamp?] = []
        /// Why they could not be used at the last look.
        var failure: String?
    }

    /// Reads the files of the configuration. Blocks on the disk.
    package convenience init(_ configuration: TLSConfiguration) throws(TLSError) {
        // Before they are read: what changes meanwhile is found by the next look.
        let stamps = Self.stamps(configuration, [])
        self.init(try TLSContext(configuration), stamps, secrets: []) { configuration }
    }

    /// Asks for the settings, and reads the files of the configuration. Blocks on the disk.
    ///
    /// - Parameter secrets: Paths of the files that `settings` reads.
    package convenience init(secrets: [String], _ settings: @escaping Settings) throws {
        let early = Self.stamps(nil, secrets)
        let configuration = try settings()
        let stamps = early + Self.stamps(configuration, [])
        self.init(try TLSContext(configuration), stamps, secrets: secrets, settings)
    }

    private init(
        _ context: TLSContext,
        _ stamps: [TLSFile.Stamp?],
        secrets: [String],
        _ settings: @escaping Settings
    ) {
        self.settings = settings
        self.secrets = secrets
        self.files = Mutex(Files(stamps: stamps))
        self.context = Mutex(context)
    }

    /// The context as it is now.
    package var current: TLSContext { self.context.withLock(\.self) }

    /// Reads the files of the configuration anew if one of them is not the one that the context was made from. Blocks on the
    /// disk: not for the loop.
    ///
    /// All or nothing: a new certificate without its new key is not taken. What can't be used now is tried again by the next
    /// call, whether or not it has changed until then: its rights may have been mended, or the disk.
    ///
    /// - Returns: Whether there is a new context.
    /// - Throws: ``TLSError``, or what the settings throw, if the files can't be used, but not for the same reason as the last
    ///   time: the context stays as it was.
    package func refresh() throws -> Bool {
        let stamps = Self.stamps(nil, self.secrets) + Self.stamps(self.current.configuration, [])
        guard self.files.withLock({ $0.stamps != stamps }) else { return false }
        let context: TLSContext
        do {
            context = try TLSContext(self.settings())
        } catch {
            // OpenSSL's own words may differ from look to look.
            let words = (error as? TLSError)?.message ?? "\(error)"
            let isNews = self.files.withLock { files in
                defer { files.failure = words }
                return files.failure != words
            }
            if isNews { throw error }
            return false
        }
        self.context.withLock { $0 = context }
        self.files.withLock { $0 = Files(stamps: stamps) }
        return true
    }

    private static func stamps(_ configuration: TLSConfiguration?, _ secrets: [String]) -> [TLSFile.Stamp?] {
        var paths = secrets
        if case .files(let chain, let key, _) = configuration?.identity { paths += [chain, key] }
        switch configuration?.trust {
        case .file(let path): paths.append(path)
        case .directory(let path):
            paths.append(path)
            paths += (try? TLSFile.certificates(inDirectory: path)) ?? []
        case .nothing, .system, .pem, nil: break
        }
        if case .file(let path) = configuration?.revocations { paths.append(path) }
        return paths.map { TLSFile.stamp(path: $0) }
    }
}
