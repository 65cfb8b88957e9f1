import CoAPCodec
import CoAPEndpoint
import Devices
import Logging
import NIOCore
import Sealing
import Store

/// The OSCORE contexts of all devices, for all CoAP listeners: opens requests, seals what goes back, and says what the
/// store has to remember (RFC 8613 §7.5, Appendix B.1).
///
/// Bound to the gateway's loop. Whoever owns it takes rows with ``takeChanges()`` into each commit and tells what became of
/// them with ``settled(_:isWritten:)``. A context's keys are derived when its device is first heard.
final class OSCOREDesk: CoAPProtection {
    /// Contexts of one `kid` that are tried for a request.
    static let maxCandidates = 4
    /// Echo challenges of one context in a second: each uses up a sequence number, and a recorded request may be sent
    /// again and again.
    static let maxChallengesPerSecond: UInt8 = 16

    /// A device that may be heard.
    private struct Entry {
        /// Of its requests, packed.
        let kid: UInt64
        let device: DeviceID
        let epoch: UInt32
        let imported: ImportedOSCORE?
        /// Its keys, once it was heard.
        var live: LiveOSCOREContext?

        func hasKeys(of device: Device) -> Bool { self.epoch == device.epoch && self.imported == device.oscore }
    }

    /// Told of each request that was not opened. For the operator only.
    var refused: (_ detail: String, _ peer: CoAPPeer) -> Void = { _, _ in }
    /// Told when ``takeChanges()`` has something new. If it is urgent, sequence numbers may run out.
    var changed: (_ isUrgent: Bool) -> Void = { _ in }

    private let keys: DeviceKeys
    private let logger: Logger
    private let echo = EchoSource()
    /// By `kid`, then by device.
    private var entries: [Entry] = []
    private var live: [UInt64: LiveOSCOREContext] = [:]
    private var numbers: [OSCOREFingerprint: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    /// Of contexts that are not live.
    private var parked: [OSCOREFingerprint: OSCOREState] = [:]
    /// Where the sequence numbers of contexts begin that the store does not know.
    private let unknownReserved: UInt64
    private var dirty: [LiveOSCOREContext] = []
    private let isEnabled: Bool
    private var isClosed: Bool

    /// - Parameters:
    ///   - keys: Of derived contexts.
    ///   - start: From the store; nil: nothing is opened, and nothing derived.
    init(keys: DeviceKeys, start: OSCOREStart?, logger: Logger) {
        self.keys = keys
        self.logger = logger
        self.isEnabled = start != nil
        self.isClosed = start == nil
        let start = start ?? OSCOREStart()
        self.unknownReserved = start.unknownReserved
        self.parked.reserveCapacity(start.records.count)
        for record in start.records {
            self.parked[record.fingerprint] = OSCOREState(
                window: record.window,
                isExact: record.isExact,
                sequence: Self.sequence(from: record.reserved)
            )
        }
    }

    /// The store has reserved a step already.
    private static func sequence(from reserved: UInt64) -> OSCORESequence {
        var sequence = OSCORESequence(stored: reserved)
        sequence.didReserve(reserved + OSCORESequence.step)
        return sequence
    }

    /// Contexts whose keys are in memory.
    var contextCount: Int { self.live.count }

    /// The device behind a context; `nil`: it is gone, or has other keys now.
    func device(of context: UInt64) -> DeviceID? { self.live[context]?.device }

    // MARK: Devices

    /// Takes the devices as they are now. Contexts of those that are gone, revoked or have other keys go.
    func replace(_ devices: [Device]) {
        guard self.isEnabled else { return }
        var places: [DeviceID: Int] = [:]
        places.reserveCapacity(self.entries.count)
        for (index, entry) in self.entries.enumerated() { places[entry.device] = index }
        var entries: [Entry] = []
        entries.reserveCapacity(devices.count)
        for device in devices where !device.isRevoked {
            if let place = places[device.id], self.entries[place].hasKeys(of: device) {
                entries.append(self.entries[place])
                self.entries[place].live = nil
            } else if let kid = device.oscore?.senderID ?? self.keys.oscoreID(of: device.id, epoch: device.epoch),
                let packed = Self.packed(kid)
            {
                entries.append(
                    Entry(kid: packed, device: device.id, epoch: device.epoch, imported: device.oscore, live: nil)
                )
            }
        }
        for entry in self.entries { if let context = entry.live { self.park(context) } }
        entries.sort { ($0.kid, $0.device) < ($1.kid, $1.device) }
        self.entries = entries
        self.warnOfCrowds()
    }

    private func park(_ context: LiveOSCOREContext) {
        self.live[context.number] = nil
        self.numbers[context.fingerprint] = nil
        self.parked[context.fingerprint] = context.receiver.state
    }

    /// More devices than are tried may share a `kid` only if each has an ID context of its own.
    private func warnOfCrowds() {
        var start = 0
        while start < self.entries.count {
            let kid = self.entries[start].kid
            let end = self.entries[start...].firstIndex { $0.kid != kid } ?? self.entries.count
            var counts: [[UInt8]?: Int] = [:]
            if end - start > Self.maxCandidates {
                for entry in self.entries[start..<end] { counts[entry.imported?.idContext, default: 0] += 1 }
            }
            if let most = counts.values.max(), most > Self.maxCandidates {
                self.logger.warning(
                    "more devices share an OSCORE sender ID than are tried for one request",
                    metadata: ["device": "\(self.entries[start].device)", "devices": "\(most)"]
                )
            }
            start = end
        }
    }

    /// An ID of at most seven bytes as a number; no two are the same.
    private static func packed(_ id: [UInt8]) -> UInt64? {
        guard id.count <= 7 else { return nil }
        return id.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } | UInt64(id.count) << 56
    }

    /// The context of an entry, made if it was not there; `nil`: there is none, or another device has the same.
    private func live(at index: Int) -> LiveOSCOREContext? {
        if let context = self.entries[index].live { return context }
        let entry = self.entries[index]
        let derived = entry.imported == nil ? self.keys.oscoreContext(of: entry.device, epoch: entry.epoch) : nil
        guard let context = derived ?? (try? entry.imported?.context()) else { return nil }
        let fingerprint = context.fingerprint
        guard self.numbers[fingerprint] == nil else {
            self.logger.warning(
                "two devices have the same OSCORE context: one of them is not heard",
                metadata: ["device": "\(entry.device)"]
            )
            return nil
        }
        let state = self.parked.removeValue(forKey: fingerprint) ?? self.stateOfUnknown
        self.lastNumber += 1
        let live = LiveOSCOREContext(
            number: self.lastNumber,
            device: entry.device,
            fingerprint: fingerprint,
            receiver: OSCOREReceiver(context, state: state)
        )
        self.entries[index].live = live
        self.live[live.number] = live
        self.numbers[fingerprint] = live.number
        return live
    }

    private var stateOfUnknown: OSCOREState {
        OSCOREState(
            window: OSCOREReplayWindow(),
            isExact: false,
            sequence: Self.sequence(from: self.unknownReserved)
        )
    }

    // MARK: Requests

    func open(_ request: CoAPMessage, from peer: CoAPPeer, now: NIODeadline) -> CoAPOpenedRequest {
        guard !self.isClosed else { return .refused(CoAPResponse(.serviceUnavailable)) }
        guard let value = request.options.first(.oscore), let option = OSCOREOption(decoding: value),
            let kid = option.kid, !option.partialIV.isEmpty
        else { return self.refuse(.malformed, of: nil, peer) }
        var tried = 0
        var isReplay = false
        var device: DeviceID?
        if let packed = Self.packed(kid) {
            var index = self.firstIndex(packed)
            while tried < Self.maxCandidates, index < self.entries.count, self.entries[index].kid == packed {
                defer { index += 1 }
                if let asked = option.kidContext, asked != self.entries[index].imported?.idContext { continue }
                guard let context = self.live(at: index) else { continue }
                tried += 1
                device = context.device
                switch context.receiver.open(request, option) {
                case .opened(let inner, let opened):
                    return .request(inner, context.protected(opened))
                case .unknownFreshness(let inner, let opened):
                    return self.ask(context, inner, opened, from: peer, now: now)
                case .refused(.replayed): isReplay = true  // Another one's context may still open it.
                case .refused(.notProven): break
                case .refused(.malformed): return self.refuse(.malformed, of: device, peer)
                }
            }
        }
        guard tried > 0 else {
            self.refused("no device has this OSCORE sender ID and ID context", peer)
            return .refused(Self.error(.unauthorized, "Security context not found"))
        }
        return self.refuse(isReplay ? .replayed : .notProven, of: tried == 1 ? device : nil, peer)
    }

    /// The first entry of this `kid`, or where it would be.
    private func firstIndex(_ kid: UInt64) -> Int {
        var low = 0
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].kid < kid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A request that may be a recorded one: let in if it brings an Echo value of this run, else asked for again with one.
    private func ask(
        _ context: LiveOSCOREContext,
        _ inner: CoAPMessage,
        _ request: OSCOREReceiver.Request,
        from peer: CoAPPeer,
        now: NIODeadline
    ) -> CoAPOpenedRequest {
        // The value is sealed, so it proves its receiver whatever address he has by now.
        if let echo = inner.options.first(.echo),
            self.echo.age(of: echo, for: Self.anywhere, context: context.number, now: now) != nil
        {
            context.receiver.accept(request)
            return .request(inner, context.protected(request))
        }
        guard context.mayChallenge(now: now) else {
            self.refused("device \(context.device): too many requests that may be replays", peer)
            return .refused(CoAPResponse(.tooManyRequests, maxAge: 1))
        }
        var response = CoAPResponse(.unauthorized)
        response.options.append(.echo, self.echo.value(for: Self.anywhere, context: context.number, now: now))
        return .challenged(response, context.protected(request, needsOwnPartialIV: true))
    }

    private static let anywhere = CoAPPeer(addressHigh: 0, addressLow: 0, port: 0)

    private func refuse(
        _ refusal: OSCOREReceiver.Refusal,
        of device: DeviceID?,
        _ peer: CoAPPeer
    ) -> CoAPOpenedRequest {
        self.refused(device.map { "device \($0): \(refusal.detail)" } ?? refusal.detail, peer)
        return .refused(Self.error(refusal.code, refusal.diagnostic))
    }

    /// Not protected, so no cache may answer with it later (RFC 8613 §8.2).
    private static func error(_ code: CoAPCode, _ diagnostic: String) -> CoAPResponse {
        CoAPResponse(code, maxAge: 0, payload: ByteBuffer(string: diagnostic))
    }

    // MARK: Responses

    func seal(_ response: CoAPMessage, to request: CoAPProtectedRequest, withOwnPartialIV: Bool) -> CoAPMessage? {
        guard let context = self.live[request.context], !self.isClosed || !withOwnPartialIV else { return nil }
        let opened = OSCOREReceiver.Request(sequence: request.sequence, isFetch: request.isFetch)
        let sealed = context.receiver.seal(response, to: opened, withOwnPartialIV: withOwnPartialIV)
        if withOwnPartialIV, !context.isReserving, context.receiver.state.sequence.wantsReservation != nil {
            context.isReserving = true
            self.mark(context, isUrgent: true)
        }
        return sealed
    }

    // MARK: What the store remembers

    /// A request under this context changes something: its replay window goes into the commit that is being filled, once
    /// for each, as it is when that leaves.
    func noteAccepted(_ context: UInt64) {
        if let context = self.live[context] { self.mark(context, isUrgent: false) }
    }

    private func mark(_ context: LiveOSCOREContext, isUrgent: Bool) {
        guard !self.isClosed else { return }
        if !context.isDirty {
            context.isDirty = true
            self.dirty.append(context)
        } else if !isUrgent {
            return
        }
        self.changed(isUrgent)
    }

    /// The rows that have changed, as they are now.
    func takeChanges() -> [OSCORERecord] {
        guard !self.dirty.isEmpty else { return [] }
        let dirty = self.dirty
        self.dirty.removeAll(keepingCapacity: dirty.count <= 1024)
        return dirty.map { context in
            context.isDirty = false
            let state = context.receiver.state
            if state.sequence.wantsReservation != nil { context.isReserving = true }
            return OSCORERecord(
                fingerprint: context.fingerprint,
                window: state.window,
                reserved: state.sequence.wantsReservation ?? state.sequence.reserved
            )
        }
    }

    /// What became of rows that ``takeChanges()`` gave. What could not be written is given again, as it is then.
    func settled(_ records: [OSCORERecord], isWritten: Bool) {
        for record in records where !record.isExact {
            guard let context = self.numbers[record.fingerprint].flatMap({ self.live[$0] }) else {
                if isWritten { self.parked[record.fingerprint]?.sequence.didReserve(record.reserved) }
                continue
            }
            context.isReserving = false
            if isWritten {
                context.receiver.state.sequence.didReserve(record.reserved)
            } else {
                self.mark(context, isUrgent: false)
            }
        }
    }

    /// For an orderly end: all rows, with windows that can be believed at the next start and without numbers that are not
    /// used. Nothing is opened or sealed under an own number from here on.
    func writeDown() -> [OSCORERecord] {
        guard !self.isClosed else { return [] }
        self.isClosed = true
        self.dirty = []
        let states = self.parked.map { ($0, $1) } + self.live.values.map { ($0.fingerprint, $0.receiver.state) }
        return states.compactMap { fingerprint, state in
            guard let window = state.exactWindow else { return nil }
            return OSCORERecord(
                fingerprint: fingerprint,
                window: window,
                reserved: state.sequence.next,
                isExact: true
            )
        }
    }
}

/// A context whose keys are in memory.
private final class LiveOSCOREContext {
    /// Never given twice in a run.
    let number: UInt64
    let device: DeviceID
    let fingerprint: OSCOREFingerprint
    let receiver: OSCOREReceiver
    /// Its row goes into the next commit.
    var isDirty = false
    /// A reservation of sequence numbers is on its way to the disk.
    var isReserving = false
    private var challenges: UInt8 = 0
    /// In seconds of the monotonic clock.
    private var challengesSince: UInt32 = 0

    init(number: UInt64, device: DeviceID, fingerprint: OSCOREFingerprint, receiver: OSCOREReceiver) {
        self.number = number
        self.device = device
        self.fingerprint = fingerprint
        self.receiver = receiver
    }

    func protected(_ request: OSCOREReceiver.Request, needsOwnPartialIV: Bool = false) -> CoAPProtectedRequest {
        CoAPProtectedRequest(
            context: self.number,
            sequence: request.sequence,
            isFetch: request.isFetch,
            needsOwnPartialIV: needsOwnPartialIV
        )
    }

    func mayChallenge(now: NIODeadline) -> Bool {
        let second = UInt32(truncatingIfNeeded: now.uptimeNanoseconds / 1_000_000_000)
        if self.challengesSince != second {
            self.challengesSince = second
            self.challenges = 0
        }
        guard self.challenges < OSCOREDesk.maxChallengesPerSecond else { return false }
        self.challenges += 1
        return true
    }
}

extension OSCOREReceiver.Refusal {
    /// For the operator.
    fileprivate var detail: String {
        switch self {
        case .malformed: "an OSCORE option that can't be used"
        case .replayed: "an OSCORE request that came before"
        case .notProven: "an OSCORE request that its keys don't open"
        }
    }
}
