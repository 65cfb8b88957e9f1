import DequeModule
import Devices
import NIOCore

/// Decides which devices of an uplink with `connect_as = "device"` are connected: who comes next, and who has to make room.
///
/// Pure: events in, ``Action`` out, and the owner tells what it asks about a device. While there is room everybody who wants a
/// connection gets one, a few handshakes at a time. Past that, connections that nobody uses go first; when all are in use they
/// are passed on in turn, so that nobody waits for ever.
struct DevicePool {
    struct Limits: Equatable {
        /// Most connections at a time, those that are being set up or ended among them.
        var connections: Int
        /// Most that are being set up at a time.
        var handshakes = 16
        /// How long a connection may be used while others wait for one.
        var slice = TimeAmount.seconds(5)
        /// How long a device may listen for commands, and nothing else, while others wait to.
        var listening = TimeAmount.seconds(60)
        /// How long after its last use a connection is left alone, though others wait.
        var grace = TimeAmount.milliseconds(500)
        /// How long a connection without any use stays; nil: for good.
        var idleTimeout: TimeAmount?
    }

    /// What the owner knows of a connected device.
    struct Activity {
        /// Something waits to be sent, or to be acknowledged.
        var isBusy: Bool
        /// The device is here, and may be sent commands at any time.
        var isPresent: Bool
        /// When something was last sent or received.
        var lastUse: NIODeadline
    }

    enum Action: Equatable {
        /// A connection may be set up; ``opened(_:now:)`` or ``ended(_:)`` follows.
        case open(DeviceID)
        /// The connection is to be ended, when what is in flight is acknowledged; ``ended(_:)`` follows.
        case close(DeviceID)
    }

    /// What a connection is wanted for.
    enum Purpose {
        case sending
        case listening
    }

    private enum Place {
        case opening
        case open(since: NIODeadline)
        case leaving
    }

    /// How often it is looked whether somebody has to make room, while others wait.
    private static let waitingInterval = TimeAmount.milliseconds(100)
    /// How often it is looked for connections without use.
    private static let idleInterval = TimeAmount.seconds(5)

    let limits: Limits
    private var places: [DeviceID: Place] = [:]
    private var opening = 0
    private var leaving = 0
    /// Those that wait, and what for. The queues may name others, or one twice: this decides.
    private var queued: [DeviceID: Purpose] = [:]
    private var senders: Deque<DeviceID> = []
    private var listeners: Deque<DeviceID> = []
    private var waitingSenders = 0
    /// Before these times it is not looked again who has to go: that looks at all connections.
    private var nextIdleLook = NIODeadline.distantPast
    private var nextRoomLook = NIODeadline.distantPast

    init(_ limits: Limits) {
        self.limits = limits
    }

    /// Connections that are up.
    var openCount: Int { self.places.count - self.opening - self.leaving }
    /// Connections, and those that are being set up or ended.
    var placeCount: Int { self.places.count }
    /// Devices that wait for one.
    var waitingCount: Int { self.queued.count }

    /// Whether the device waits in vain for something to send, so far.
    func isListening(_ device: DeviceID) -> Bool { self.queued[device] == .listening }

    /// Whether the device is connected, or about to be, or leaves.
    func hasPlace(_ device: DeviceID) -> Bool { self.places[device] != nil }

    // MARK: Events

    /// The device wants a connection, if it has none.
    mutating func wants(_ device: DeviceID, for purpose: Purpose) {
        guard self.places[device] == nil else { return }
        switch (self.queued[device], purpose) {
        case (.sending, _), (.listening, .listening): return
        case (nil, .listening): self.listeners.append(device)
        case (nil, .sending), (.listening, .sending):
            self.senders.append(device)
            self.waitingSenders += 1
        }
        self.queued[device] = purpose
    }

    /// The device does not want one any more. One that it has stays until ``ended(_:)``.
    mutating func withdraw(_ device: DeviceID) {
        if self.queued.removeValue(forKey: device) == .sending { self.waitingSenders -= 1 }
    }

    /// The broker accepted the connection.
    mutating func opened(_ device: DeviceID, now: NIODeadline) {
        guard case .opening = self.places[device] else { return }
        self.opening -= 1
        self.places[device] = .open(since: now)
    }

    /// The connection is over, or did not come about.
    mutating func ended(_ device: DeviceID) {
        switch self.places.removeValue(forKey: device) {
        case .opening: self.opening -= 1
        case .leaving: self.leaving -= 1
        case .open, nil: break
        }
    }

    /// What to do now. After each event, and at ``nextLook(now:)``.
    mutating func next(now: NIODeadline, _ activity: (DeviceID) -> Activity) -> [Action] {
        var actions = self.closeIdle(now: now, activity)
        while self.opening < self.limits.handshakes, self.places.count < self.limits.connections,
            let device = self.takeFirst()
        {
            self.places[device] = .opening
            self.opening += 1
            actions.append(.open(device))
        }
        self.makeRoom(now: now, activity, into: &actions)
        return actions
    }

    /// When to ask ``next(now:_:)`` again though nothing happened; nil: there is no need.
    func nextLook(now: NIODeadline) -> NIODeadline? {
        if !self.queued.isEmpty, self.opening < self.limits.handshakes { return now + Self.waitingInterval }
        guard self.limits.idleTimeout != nil, !self.places.isEmpty else { return nil }
        return max(self.nextIdleLook, now)
    }

    // MARK: Who comes

    private mutating func takeFirst() -> DeviceID? {
        while let device = self.senders.popFirst() {
            guard self.queued[device] == .sending else { continue }
            self.withdraw(device)
            return device
        }
        while let device = self.listeners.popFirst() {
            guard self.queued[device] == .listening else { continue }
            self.withdraw(device)
            return device
        }
        return nil
    }

    // MARK: Who goes

    private mutating func closeIdle(now: NIODeadline, _ activity: (DeviceID) -> Activity) -> [Action] {
        guard let timeout = self.limits.idleTimeout, self.nextIdleLook <= now else { return [] }
        let half = TimeAmount.nanoseconds(timeout.nanoseconds / 2)
        self.nextIdleLook = now + min(Self.idleInterval, max(half, Self.waitingInterval))
        let idle = self.places.compactMap { device, place -> DeviceID? in
            guard case .open = place else { return nil }
            let activity = activity(device)
            return !activity.isBusy && !activity.isPresent && activity.lastUse + timeout <= now ? device : nil
        }
        return idle.map { self.leave($0) }
    }

    private mutating func leave(_ device: DeviceID) -> Action {
        self.places[device] = .leaving
        self.leaving += 1
        return .close(device)
    }

    /// Ends as many connections as others wait for, if they may be ended.
    private mutating func makeRoom(
        now: NIODeadline,
        _ activity: (DeviceID) -> Activity,
        into actions: inout [Action]
    ) {
        let free = max(0, self.limits.connections - self.places.count) + self.leaving
        let most = self.limits.handshakes
        let forSenders = min(self.waitingSenders, most) - free
        let forAll = min(self.queued.count, most) - free
        guard forAll > 0, self.nextRoomLook <= now else { return }
        var candidates: [(device: DeviceID, rank: Int, since: NIODeadline)] = []
        for case (let device, .open(let since)) in self.places {
            let activity = activity(device)
            if let rank = self.rank(activity, since: since, now: now) {
                candidates.append((device, rank, rank < 2 ? activity.lastUse : since))
            }
        }
        candidates.sort { ($0.rank, $0.since, $0.device) < ($1.rank, $1.since, $1.device) }
        var freed = 0
        for candidate in candidates {
            guard freed < forAll else { return }
            // Who only listens takes a place from nobody but those that have listened for long enough.
            guard freed < forSenders || self.yieldsToListeners(candidate.device, candidate.rank, now: now) else {
                continue
            }
            actions.append(self.leave(candidate.device))
            freed += 1
        }
        self.nextRoomLook = now + Self.waitingInterval
    }

    /// 0: nobody is there to use it; 1: it is only listened on; 2: it is in use and had its time; nil: it stays.
    private func rank(_ activity: Activity, since: NIODeadline, now: NIODeadline) -> Int? {
        if activity.isBusy { return since + self.limits.slice <= now ? 2 : nil }
        guard max(activity.lastUse, since) + self.limits.grace <= now else { return nil }
        return activity.isPresent ? 1 : 0
    }

    private func yieldsToListeners(_ device: DeviceID, _ rank: Int, now: NIODeadline) -> Bool {
        switch rank {
        case 0: return true
        case 1:
            guard case .open(let since) = self.places[device] else { return false }
            return since + self.limits.listening <= now
        default: return false
        }
    }
}
