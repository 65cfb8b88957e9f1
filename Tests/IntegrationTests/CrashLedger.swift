import Synchronization
import TestSupport

/// Which numbers a publisher sent and was acknowledged, and which came to the outside broker. Safe from any thread.
final class CrashLedger: Sendable {
    /// Numbers go to the topics in turn: each topic has every so many'th.
    static let topics = 5

    /// What is known of one number.
    private struct Entry {
        var sent = 0
        var isAcknowledged = false
        var deliveries = 0
        /// Of its last delivery.
        var connection = 0
    }

    /// The numbers at the end.
    struct Outcome: Sendable, CustomStringConvertible {
        var published = 0
        var acknowledged = 0
        var delivered = 0
        /// Acknowledged, and not delivered.
        var lost: [Int] = []
        /// Deliveries beyond the first.
        var duplicates = 0
        /// Duplicates for which neither the publisher nor a connection that ended can be blamed.
        var unexplained = 0
        /// First deliveries of a topic that were not the next one.
        var disorder: [String] = []

        var description: String {
            let order = self.disorder.prefix(3).joined(separator: "; ")
            return "\(self.published) published, \(self.acknowledged) acknowledged, \(self.delivered) delivered, "
                + "\(self.lost.count) lost \(self.lost.prefix(5)), \(self.duplicates) duplicates of which "
                + "\(self.unexplained) unexplained, \(self.disorder.count) out of order \(order)"
        }
    }

    private struct State {
        var entries: [Entry] = []
        var next = Array(0..<topics)
        var disorder: [String] = []
        var unexplained = 0
        var missing = 0
    }

    private let state = Mutex(State())

    /// The topic level of a number.
    static func topic(of number: Int) -> String { "t\(number % self.topics)" }

    /// A number goes out to the gateway, again perhaps. They begin with 0 and leave none out.
    func sent(_ number: Int) {
        self.state.withLock { state in
            if number == state.entries.count { state.entries.append(Entry()) }
            state.entries[number].sent += 1
        }
    }

    /// The gateway has taken charge of it.
    func acknowledged(_ number: Int) {
        self.state.withLock { state in
            guard !state.entries[number].isAcknowledged else { return }
            state.entries[number].isAcknowledged = true
            if state.entries[number].deliveries == 0 { state.missing += 1 }
        }
    }

    /// The outside broker took it.
    func delivered(_ message: ScriptedBroker.Message) {
        guard message.isTaken, let number = Int(message.text) else { return }
        self.state.withLock { state in
            guard state.entries.indices.contains(number) else {
                state.disorder.append("\(number) was never sent")
                return
            }
            let topic = number % Self.topics
            if state.entries[number].deliveries == 0 {
                if state.next[topic] != number || !message.topic.hasSuffix(Self.topic(of: number)) {
                    state.disorder.append("\(message.topic): \(number), not \(state.next[topic])")
                }
                state.next[topic] = number + Self.topics
                if state.entries[number].isAcknowledged { state.missing -= 1 }
            } else if state.entries[number].connection == message.connection, state.entries[number].sent == 1 {
                state.unexplained += 1
            }
            state.entries[number].deliveries += 1
            state.entries[number].connection = message.connection
        }
    }

    /// Everything that was acknowledged so far was delivered.
    var isSettled: Bool { self.state.withLock { $0.missing == 0 } }

    /// The numbers.
    var outcome: Outcome {
        self.state.withLock { state in
            var outcome = Outcome()
            outcome.published = state.entries.count
            outcome.acknowledged = state.entries.count { $0.isAcknowledged }
            outcome.delivered = state.entries.count { $0.deliveries > 0 }
            outcome.lost = state.entries.indices.filter { number in
                state.entries[number].isAcknowledged && state.entries[number].deliveries == 0
            }
            outcome.duplicates = state.entries.reduce(0) { $0 + max(0, $1.deliveries - 1) }
            outcome.unexplained = state.unexplained
            outcome.disorder = state.disorder
            return outcome
        }
    }
}
