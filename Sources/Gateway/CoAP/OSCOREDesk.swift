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
final class OSCOREDesk {
    /// Contexts of one `kid` that are tried for a request.
    static let maxCandidates = 4
    /// Echo challenges of one context in a second to requests that are no newer than others: each uses up a sequence number, and a recorded request may be sent
    /// again and again.
    static let maxChallengesPerSecond: UInt8 = 16

    /// A device that may be heard.
    struct Entry {
        /// Of its requests.
        let kid: OSCOREID
        let device: DeviceID
        let epoch: UInt32
        let imported: ImportedOSCORE?
        /// Its keys, once it was heard.
        fileprivate(set) var live: LiveOSCOREContext?
        /// Its keys can't be used, and that was said.
        fileprivate(set) var isUnusable = false

        func hasKeys(of device: Device) -> Bool { self.epoch == device.epoch && self.imported == device.oscore }

        func has(idContext: ByteBuffer) -> Bool {
            self.imported?.idContext.map { $0.elementsEqual(idContext.readableBytesView) } ?? false
        }
    }

    /// Told of each request that was not opened. For the operator only.
    var refused: (_ refusal: Refusal, _ detail: String, _ peer: CoAPPeer) -> Void = { _, _, _ in }
    /// Told when ``takeChanges()`` has something new. If it is urgent, sequence numbers may run out.
    var changed: (_ isUrgent: Bool) -> Void = { _ in }

    private let keys: DeviceKeys
    private let logger: Logger
    let echo = EchoSource()
    private let workspace = OSCOREWorkspace()
    /// By `kid`, then by device.
    private(set) var entries: [Entry] = []
    private(set) var live: [UInt64: LiveOSCOREContext] = [:]
    /// Live contexts by the family of their keys.
    private(set) var numbers: [UInt64: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    /// What is known of contexts that are not live, by the family of their keys.
    var parked: [UInt64: (keys: UInt64, state: OSCOREState)] = [:]
    /// Where the sequence numbers of contexts begin that the store does not know.
    private let unknownReserved: UInt64
    /// Their rows go into the next commit.
    var dirty: [LiveOSCOREContext] = []
    private let isEnabled: Bool
    /// Nothing is opened, and nothing sealed under an own number.
    var isClosed: Bool

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
            let state = OSCOREState(
                window: record.window,
                isExact: record.isExact,
                sequence: Self.sequence(from: record.reserved)
            )
            self.parked[record.fingerprint.family] = (record.fingerprint.keys, state)
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
                entries[entries.count - 1].isUnusable = false
            } else if let kid = device.oscore?.senderID ?? self.keys.oscoreID(of: device.id, epoch: device.epoch),
                let id = OSCOREID(kid)
            {
                entries.append(
                    Entry(kid: id, device: device.id, epoch: device.epoch, imported: device.oscore, live: nil)
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
        self.numbers[context.fingerprint.family] = nil
        self.parked[context.fingerprint.family] = (context.fingerprint.keys, context.receiver.state)
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

    /// The context of an entry, made if it was not there; `nil`: it has none that may be used.
    func live(at index: Int) -> LiveOSCOREContext? {
        if let context = self.entries[index].live { return context }
        let entry = self.entries[index]
        guard !entry.isUnusable else { return nil }
        let derived = entry.imported == nil ? self.keys.oscoreContext(of: entry.device, epoch: entry.epoch) : nil
        guard let context = derived ?? (try? entry.imported?.context()) else { return nil }
        let fingerprint = context.fingerprint
        let known = self.parked[fingerprint.family]
        // Nonces would be used twice under one key.
        guard self.numbers[fingerprint.family] == nil else {
            return self.refuse(index, "another device has it, with the same or other IDs")
        }
        guard known?.keys ?? fingerprint.keys == fingerprint.keys else {
            return self.refuse(index, "it was used with other IDs before")
        }
        self.parked[fingerprint.family] = nil
        self.lastNumber += 1
        let live = LiveOSCOREContext(
            number: self.lastNumber,
            device: entry.device,
            fingerprint: fingerprint,
            receiver: OSCOREReceiver(context, state: known?.state ?? self.stateOfUnknown, workspace: self.workspace)
        )
        live.isUnwritten = known == nil
        self.entries[index].live = live
        self.live[live.number] = live
        self.numbers[fingerprint.family] = live.number
        return live
    }

    private func refuse(_ index: Int, _ reason: String) -> LiveOSCOREContext? {
        self.entries[index].isUnusable = true
        self.logger.warning(
            "a device is not heard by OSCORE: its secret needs to be its own",
            metadata: ["device": "\(self.entries[index].device)", "reason": "\(reason)"]
        )
        return nil
    }

    /// As it is now, wherever it is kept.
    func state(of fingerprint: OSCOREFingerprint) -> OSCOREState? {
        if let number = self.numbers[fingerprint.family] { return self.live[number]?.receiver.state }
        return self.parked[fingerprint.family]?.state
    }

    private var stateOfUnknown: OSCOREState {
        OSCOREState(
            window: OSCOREReplayWindow(),
            isExact: false,
            sequence: Self.sequence(from: self.unknownReserved)
        )
    }
}
