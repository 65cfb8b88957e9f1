import Synchronization

/// The context that a listener's next connections are made from. It can be replaced while the listener runs: connections
/// that are open keep theirs. Any thread.
package final class TLSContextSource: Sendable {
    private let context: Mutex<TLSContext>
    private let files: Mutex<Files>

    /// What is known of the files that are watched.
    private struct Files {
        /// As they were when the context was made from them.
        var stamps: [TLSFile.Stamp?]
        /// Why they could not be used at the last look.
        var failure: TLSError?
    }

    package init(_ context: TLSContext) {
        self.files = Mutex(Files(stamps: Self.stamps(context.configuration)))
        self.context = Mutex(context)
    }

    /// Reads the files of the configuration. Blocks on the disk.
    package convenience init(_ configuration: TLSConfiguration) throws(TLSError) {
        // Before they are read: what changes meanwhile is found by the next look.
        let stamps = Self.stamps(configuration)
        self.init(try TLSContext(configuration))
        self.files.withLock { $0.stamps = stamps }
    }

    /// The context as it is now.
    package var current: TLSContext { self.context.withLock(\.self) }

    /// Reads the files of the configuration anew if the revocation lists are not those of the context. Blocks on the disk:
    /// not for the loop.
    ///
    /// What can't be used now is tried again by the next call, whether or not it has changed until then: its rights may
    /// have been mended, or the disk.
    ///
    /// - Returns: Whether there is a new context.
    /// - Throws: ``TLSError`` if the files can't be used, but not for the same reason as the last time: the context stays
    ///   as it was.
    package func refresh() throws(TLSError) -> Bool {
        let configuration = self.current.configuration
        let stamps = Self.stamps(configuration)
        guard self.files.withLock({ $0.stamps != stamps }) else { return false }
        let context: TLSContext
        do throws(TLSError) {
            context = try TLSContext(configuration)
        } catch {
            let isNews = self.files.withLock { files in
                defer { files.failure = error }
                return files.failure?.kind != error.kind || files.failure?.message != error.message
            }
            if isNews { throw error }
            return false
        }
        self.context.withLock { $0 = context }
        self.files.withLock { $0 = Files(stamps: stamps) }
        return true
    }

    private static func stamps(_ configuration: TLSConfiguration) -> [TLSFile.Stamp?] {
        guard case .file(let path) = configuration.revocations else { return [] }
        return [TLSFile.stamp(path: path)]
    }
}
