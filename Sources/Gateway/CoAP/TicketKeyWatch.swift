import NIOCore
import Synchronization

/// Looks from time to time whether the keys of DTLS tickets are too old. Called on the store's thread.
final class TicketKeyWatch: Sendable {
    private static let interval = TimeAmount.hours(1)

    private let read: @Sendable () -> [UInt8]?
    private let state: Mutex<(keys: [UInt8], next: NIODeadline)>

    /// - Parameters:
    ///   - keys: In use.
    ///   - read: Those that are to be used, made anew if they are too old; nil: they can't be had now.
    init(keys: [UInt8], now: NIODeadline, read: @escaping @Sendable () -> [UInt8]?) {
        self.read = read
        self.state = Mutex((keys, now + Self.interval))
    }

    /// Keys to be used in place of those before; nil: it is too early to look, or they are good yet.
    func replacement(now: NIODeadline) -> [UInt8]? {
        self.state.withLock { state in
            guard now >= state.next else { return nil }
            state.next = now + Self.interval
            guard let keys = self.read(), keys != state.keys else { return nil }
            state.keys = keys
            return keys
        }
    }
}
