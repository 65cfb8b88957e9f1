import Broker
import NIOCore

/// What one commit has to do to the sessions on disk: the changes of all its batches, without what cancels out.
///
/// Knows nothing of what is on disk. Every list is in an order that depends on the changes only.
struct SessionPlan: Equatable {
    /// One row of the queue.
    struct Place: Hashable, Comparable {
        var order: Int64
        var session: Int64

        static func < (left: Place, right: Place) -> Bool {
            (left.order, left.session) < (right.order, right.session)
        }
    }

    /// What became of a message on its way; nil or false: as it was.
    struct Progress: Equatable {
        var packetID: UInt16?
        var isReceived = false
    }

    /// New values of a session that is there.
    struct Update: Equatable {
        var expiryInterval: UInt32
        var leftAt: Int64?
    }

    /// Nothing else is done to these.
    private(set) var ended: [Int64] = []
    private(set) var opened: [SessionRecord] = []
    private(set) var updated: [(session: Int64, to: Update)] = []
    /// nil: the subscription goes.
    private(set) var subscriptions: [(session: Int64, filter: ByteBuffer, to: SubscriptionRecord?)] = []
    private(set) var dequeued: [(place: Place, message: Int64)] = []
    private(set) var enqueued: [QueuedMessageRecord] = []
    private(set) var progressed: [(place: Place, to: Progress)] = []
    /// Whether the identifier is in use.
    private(set) var held: [(session: Int64, packetID: UInt16, isHeld: Bool)] = []
    /// nil: the will goes.
    private(set) var wills: [(session: Int64, to: WillRecord?)] = []

    /// No work.
    init() {}

    /// - Parameter changes: Of all batches, in order, with what is owed of earlier ones in front.
    init(_ changes: some Collection<SessionChange>) {
        guard !changes.isEmpty else { return }
        var builder = Builder()
        for case .end(let session) in changes { builder.end(session) }
        for change in changes { builder.add(change) }
        self = builder.plan()
    }

    var isEmpty: Bool {
        self.ended.isEmpty && self.opened.isEmpty && self.updated.isEmpty && self.subscriptions.isEmpty
            && self.dequeued.isEmpty && self.enqueued.isEmpty && self.progressed.isEmpty && self.held.isEmpty
            && self.wills.isEmpty
    }

    /// What is to be done again if the commit fails, the most dispensable first: nothing comes back that is gone for the
    /// gateway. Done twice it does no harm.
    var removals: [SessionChange] {
        var changes = self.dequeued.map {
            SessionChange.dequeue(session: $0.place.session, order: $0.place.order, message: $0.message)
        }
        for item in self.held where !item.isHeld {
            changes.append(.free(session: item.session, packetID: item.packetID))
        }
        for item in self.subscriptions where item.to == nil {
            changes.append(.unsubscribe(session: item.session, filter: item.filter))
        }
        changes += self.ended.map(SessionChange.end)
        return changes
    }

    static func == (left: SessionPlan, right: SessionPlan) -> Bool {
        left.ended == right.ended && left.opened == right.opened && left.enqueued == right.enqueued
            && left.updated.elementsEqual(right.updated, by: ==)
            && left.subscriptions.elementsEqual(right.subscriptions, by: ==)
            && left.dequeued.elementsEqual(right.dequeued, by: ==)
            && left.progressed.elementsEqual(right.progressed, by: ==)
            && left.held.elementsEqual(right.held, by: ==) && left.wills.elementsEqual(right.wills, by: ==)
    }
}

extension SessionPlan {
    /// The plan while changes are added to it, in tables by what each is about.
    private struct Builder {
        private struct FilterKey: Hashable {
            var session: Int64
            var filter: [UInt8]
        }

        private struct HeldKey: Hashable {
            var session: Int64
            var packetID: UInt16
        }

        private var ended: [Int64] = []
        private var isEnded: Set<Int64> = []
        private var opened: [SessionRecord] = []
        private var openedAt: [Int64: Int] = [:]
        private var updates: [Int64: Update] = [:]
        private var subscriptions: [FilterKey: SubscriptionRecord?] = [:]
        /// nil: dequeued again.
        private var enqueued: [QueuedMessageRecord?] = []
        private var enqueuedAt: [Place: Int] = [:]
        private var dequeued: [(place: Place, message: Int64)] = []
        private var progress: [Place: Progress] = [:]
        private var held: [HeldKey: Bool] = [:]
        private var wills: [Int64: WillRecord?] = [:]

        mutating func end(_ session: Int64) {
            if self.isEnded.insert(session).inserted { self.ended.append(session) }
        }

        mutating func add(_ change: SessionChange) {
            if !self.isEnded.isEmpty, self.isEnded.contains(change.session) { return }
            switch change {
            case .open(let record): self.open(record)
            case .update(let session, let expiryInterval, let leftAt):
                self.update(session, Update(expiryInterval: expiryInterval, leftAt: leftAt))
            case .end: break
            case .subscribe(let session, let record):
                let key = FilterKey(session: session, filter: Array(record.filter.readableBytesView))
                self.subscriptions.updateValue(record, forKey: key)
            case .unsubscribe(let session, let filter):
                let key = FilterKey(session: session, filter: Array(filter.readableBytesView))
                self.subscriptions.updateValue(nil, forKey: key)
            case .enqueue(let record): self.enqueue(record)
            case .sent(let session, let order, let packetID):
                let place = Place(order: order, session: session)
                if let index = self.enqueuedAt[place] {
                    self.enqueued[index]?.packetID = packetID
                } else {
                    self.progress[place, default: Progress()].packetID = packetID
                }
            case .received(let session, let order):
                let place = Place(order: order, session: session)
                if let index = self.enqueuedAt[place] {
                    self.enqueued[index]?.isReceived = true
                } else {
                    self.progress[place, default: Progress()].isReceived = true
                }
            case .dequeue(let session, let order, let message):
                self.dequeue(Place(order: order, session: session), message: message)
            case .hold(let session, let packetID):
                self.held[HeldKey(session: session, packetID: packetID)] = true
            case .free(let session, let packetID):
                self.held[HeldKey(session: session, packetID: packetID)] = false
            case .will(let session, let record):
                self.wills.updateValue(record, forKey: session)
            }
        }

        private mutating func open(_ record: SessionRecord) {
            if let index = self.openedAt[record.number] {
                self.opened[index] = record
            } else {
                self.openedAt[record.number] = self.opened.count
                self.opened.append(record)
            }
        }

        private mutating func update(_ session: Int64, _ update: Update) {
            guard let index = self.openedAt[session] else {
                self.updates[session] = update
                return
            }
            self.opened[index].expiryInterval = update.expiryInterval
            self.opened[index].leftAt = update.leftAt
        }

        private mutating func enqueue(_ record: QueuedMessageRecord) {
            let place = Place(order: record.order, session: record.session)
            if let index = self.enqueuedAt[place] {
                self.enqueued[index] = record
            } else {
                self.enqueuedAt[place] = self.enqueued.count
                self.enqueued.append(record)
            }
        }

        private mutating func dequeue(_ place: Place, message: Int64) {
            if let index = self.enqueuedAt.removeValue(forKey: place) {
                self.enqueued[index] = nil
            } else {
                self.progress[place] = nil
                self.dequeued.append((place, message))
            }
        }

        func plan() -> SessionPlan {
            var plan = SessionPlan()
            plan.ended = self.ended
            plan.opened = self.opened
            plan.updated = self.updates.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            plan.subscriptions =
                self.subscriptions
                .sorted { left, right in
                    guard left.key.session == right.key.session else { return left.key.session < right.key.session }
                    return left.key.filter.lexicographicallyPrecedes(right.key.filter)
                }
                .map { ($0.key.session, ByteBuffer(bytes: $0.key.filter), $0.value) }
            plan.dequeued = self.dequeued
            plan.enqueued = self.enqueued.compactMap(\.self)
            plan.progressed = self.progress.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            plan.held = self.held
                .sorted { ($0.key.session, $0.key.packetID) < ($1.key.session, $1.key.packetID) }
                .map { ($0.key.session, $0.key.packetID, $0.value) }
            plan.wills = self.wills.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            return plan
        }
    }
}

extension SessionChange {
    /// The session that it is about.
    var session: Int64 {
        switch self {
        case .open(let record): record.number
        case .enqueue(let record): record.session
        case .update(let session, _, _), .end(let session), .subscribe(let session, _), .unsubscribe(let session, _),
            .sent(let session, _, _), .received(let session, _), .dequeue(let session, _, _), .hold(let session, _),
            .free(let session, _), .will(let session, _):
            session
        }
    }

    /// The highest number of the common counter that it names; 0: none that is new.
    var newNumber: Int64 {
        switch self {
        case .open(let record): record.number
        case .enqueue(let record): record.order
        default: 0
        }
    }
}
