import Synchronization

/// The context that a listener's next connections are made from. It can be replaced while the listener runs: connections
/// that are open keep theirs. Any thread.
package final class TLSContextSource: Sendable {
    private let context: Mutex<TLSContext>
    private let files: Mutex<[TLSFile.Stamp?]>

    package init(_ context: TLSContext) {
        self.files = Mutex(Self.stamps(context.configuration))
        self.context = Mutex(context)
    }

    /// Reads the files of the configuration. Blocks on the disk.
    package convenience init(_ configuration: TLSConfiguration) throws(TLSError) {
        // Before they are read: what changes meanwhile is found by the next look.
        let stamps = Self.stamps(configuration)
        self.init(try TLSContext(configuration))
        self.files.withLock { $0 = stamps }
    }

    /// The context as it is now.
    package var current: TLSContext { self.context.withLock(\.self) }

    /// Reads the files of the configuration anew if the revocation lists have changed since the last look. Blocks on the
    /// disk: not for the loop.
    ///
    /// - Returns: Whether there is a new context.
    /// - Throws: ``TLSError``, once for each change, if the files can't be used: the context stays as it was.
    package func refresh() throws(TLSError) -> Bool {
        let configuration = self.current.configuration
        let stamps = Self.stamps(configuration)
        let isChanged = self.files.withLock { files in
            defer { files = stamps }
            return files != stamps
        }
        guard isChanged else { return false }
        let context = try TLSContext(configuration)
        self.context.withLock { $0 = context }
        return true
    }

    private static func stamps(_ configuration: TLSConfiguration) -> [TLSFile.Stamp?] {
        guard case .file(let path) = configuration.revocations else { return [] }
        return [TLSFile.stamp(path: path)]
    }
}
