import Broker
import DequeModule
import MQTTCodec
import NIOCore

/// Sends new subscriptions what is retained, in slices, so that one client's subscriptions hold up nobody else: one look
/// through the retained messages, or some of the messages found, for each turn of the loop. Bound to the gateway's loop.
///
/// A client that does not keep up is waited for, so that a subscription to more than its queue takes gets all the same.
final class RetainedFeed {
    /// One session's subscriptions that wait for theirs.
    private final class Line {
        let session: Session
        var subscriptions: Deque<(subscription: Subscription, identifier: UInt32)> = []
        /// Of the first of them, once it was looked for.
        var found: [KeptMessage] = []
        var next = 0

        init(session: Session) { self.session = session }
    }

    /// What the feed asks of the core.
    struct Hooks {
        /// What a subscription gets.
        var find: (Subscription) -> [KeptMessage]
        var send: (KeptMessage, Session, Subscription, _ identifier: UInt32) -> Void
        /// What a subscription gets beside retained messages.
        var finish: (Session, Subscription, _ identifier: UInt32) -> Void
    }

    /// Messages that are sent in one turn.
    private static let slice = 100
    /// Messages that were found and have yet to be sent, all sessions together; past it the rest is dropped.
    private static let maxFound = 500_000
    /// How long clients that do not keep up are left alone.
    private static let pause = TimeAmount.milliseconds(20)

    private let loop: any EventLoop
    private let hooks: Hooks
    private var lines: Deque<Line> = []
    private var bySession: [ObjectIdentifier: Line] = [:]
    private var foundCount = 0
    private var isScheduled = false
    /// Lines that were looked at since one of them got on.
    private var idleTurns = 0

    init(loop: any EventLoop, hooks: Hooks) {
        self.loop = loop
        self.hooks = hooks
    }

    /// Sends what the subscription gets, after what this session waits for already.
    func add(_ subscription: Subscription, identifier: UInt32, to session: Session) {
        let line = self.bySession[ObjectIdentifier(session)] ?? Line(session: session)
        // Naming a filter again and again is one wish, and a session has a limit of filters.
        if let index = line.subscriptions.lastIndex(where: { $0.subscription.filter == subscription.filter }), index > 0
        {
            line.subscriptions.remove(at: index)
        }
        line.subscriptions.append((subscription, identifier))
        if line.subscriptions.count == 1 {
            self.bySession[ObjectIdentifier(session)] = line
            self.lines.append(line)
        }
        self.idleTurns = 0
        if self.lines.count == 1, self.isSmall(subscription) { return self.step() }
        self.schedule()
    }

    /// Whether looking costs nothing worth a turn of its own: a topic without wildcards.
    private func isSmall(_ subscription: Subscription) -> Bool { !subscription.filter.hasWildcards }

    private func schedule() {
        guard !self.isScheduled, !self.lines.isEmpty else { return }
        self.isScheduled = true
        if self.idleTurns >= self.lines.count {
            self.idleTurns = 0
            self.loop.assumeIsolated().scheduleTask(in: Self.pause) { [weak self] in self?.turn() }
        } else {
            // Behind the events of the next turn, and not at once: a task of the loop would run before they do.
            self.loop.assumeIsolated().scheduleTask(in: .nanoseconds(1)) { [weak self] in self?.turn() }
        }
    }

    private func turn() {
        self.isScheduled = false
        self.step()
    }

    private func step() {
        guard let line = self.lines.popFirst() else { return }
        let didWork = self.serve(line)
        self.idleTurns = didWork ? 0 : self.idleTurns + 1
        if line.subscriptions.isEmpty {
            self.bySession[ObjectIdentifier(line.session)] = nil
        } else {
            self.lines.append(line)
        }
        self.schedule()
    }

    /// Whether the line got on.
    private func serve(_ line: Line) -> Bool {
        guard let (subscription, identifier) = line.subscriptions.first else { return true }
        guard !line.session.hasEnded, line.session.connection != nil || line.session.isStored else {
            self.foundCount -= line.found.count - line.next
            line.found = []
            line.subscriptions = []
            return true
        }
        if line.next == 0, line.found.isEmpty {
            line.found = self.hooks.find(subscription)
            if self.foundCount + line.found.count > Self.maxFound { line.found = [] }
            self.foundCount += line.found.count
        }
        let start = line.next
        while line.next < line.found.count, line.next - start < Self.slice, line.session.takesMore {
            self.hooks.send(line.found[line.next], line.session, subscription, identifier)
            line.next += 1
        }
        self.foundCount -= line.next - start
        guard line.next == line.found.count else { return line.next > start }
        line.found = []
        line.next = 0
        line.subscriptions.removeFirst()
        self.hooks.finish(line.session, subscription, identifier)
        return true
    }
}
