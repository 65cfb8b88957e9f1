import Logging
import NIOCore
import Store

/// Warnings about messages, which a node or a broker can cause as fast as it sends: each kind has a line at once and then one a
/// minute, for each uplink or attached broker and reason. Bound to the gateway's loop.
final class WarningLog {
    enum Kind: String {
        case dead = "a message can't be delivered and is with the dead letters: see sealgate dead list"
        case deadDropped = "too many dead letters: the oldest of those who have most are gone"
        case tooLargeFromUplink = "a message of the outside broker is over the limit and was dropped"
        case tooLargeFromAttached = "a message of the attached broker is over the limit and was dropped"
        case spoolDropped = "spool full or too old: dropped"
    }

    /// The configuration bounds the names.
    private struct Key: Hashable {
        let kind: Kind
        let name: String
        let reason: DeadReason?
    }

    private let logger: Logger
    private var warnings: [Key: RepeatedWarning] = [:]

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameters:
    ///   - name: Of the uplink or attached broker in the configuration; empty: of none.
    ///   - reason: Why a letter is dead: another reason is news.
    ///   - messages: How many it is about.
    ///   - details: What the first line says besides.
    func note(
        _ kind: Kind,
        _ name: String,
        reason: DeadReason? = nil,
        messages: Int = 1,
        now: NIODeadline = .now(),
        details: @autoclosure () -> Logger.Metadata
    ) {
        let key = Key(kind: kind, name: name, reason: reason)
        guard self.warnings[key, default: RepeatedWarning()].note(messages, now: now) else { return }
        self.log(key, "\(kind.rawValue)", details())
    }

    /// Tells of repetitions when their minute is over.
    func tick(now: NIODeadline) {
        for key in self.warnings.keys {
            let messages = self.warnings[key]?.tick(now: now) ?? 0
            if messages > 0 { self.log(key, "again: \(key.kind.rawValue)", ["messages": "\(messages)"]) }
        }
    }

    private func log(_ key: Key, _ words: Logger.Message, _ details: Logger.Metadata) {
        var metadata = details
        if !key.name.isEmpty { metadata[key.kind == .tooLargeFromAttached ? "broker" : "uplink"] = "\(key.name)" }
        if let reason = key.reason { metadata["reason"] = "\(reason)" }
        self.logger.warning(words, metadata: metadata)
    }
}
