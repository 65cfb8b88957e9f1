import Logging
import Synchronization

/// What was logged, as text.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(_ lines: LogLines) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted()
            self.lines.lines.withLock { $0.append((["\(event.message)"] + metadata).joined(separator: " ")) }
        }
    }

    var logger: Logger { Logger(label: "test") { _ in Handler(self) } }

    func take() -> [String] {
        self.lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }
}
