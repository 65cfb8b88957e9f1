package import NIOCore

/// The gateway's side of v1 for one session topic: the session IDs in use, and the devices that may use them.
///
/// Owned by one event loop, does no I/O. A session ID is used up in the call that accepts a message under it, so that of
/// two copies in flight one wins; the next is issued in the same call. Nothing here outlives the process: a restart
/// issues new session IDs, and every recorded message is dead.
///
/// A message is tried with the claimed device's key set first, then with the others, ``maxKeySets`` at most, and
/// the node id inside names the device. A receiver without members refuses everything after the work that a wrong
/// seal costs: it is what to call for a device that does not exist, so that its absence can't be measured.
package final class V1Receiver {
    /// What the profile says.
    package struct Configuration: Equatable, Sendable {
        /// The windows that a receiver takes: each unused session ID multiplies the work that a forged message costs.
        package static let windowRange = 1...16

        /// How many unused session IDs are valid at any time.
        package var window: Int
        /// How long a session ID stays valid unused; `nil`: until it is used.
        package var lifetime: Duration?
        /// Whether a refused message makes all session IDs invalid, as the published scheme has it. Lets anybody who
        /// can send garbage lock a node out.
        package var rotateOnFailure: Bool

        package init(window: Int = 1, lifetime: Duration? = nil, rotateOnFailure: Bool = false) {
            precondition(Self.windowRange.contains(window), "a window of \(window) is outside 1 to 16")
            self.window = window
            self.lifetime = lifetime
            self.rotateOnFailure = rotateOnFailure
        }
    }

    /// Most key sets that one message is tried with.
    package static let maxKeySets = 16

    /// As given.
    package let configuration: Configuration
    private let workspace: V1Workspace
    private var ledger: V1SessionLedger
    private var devices: [V1Device] = []
    /// Never empty: without members it holds random keys that nobody knows.
    private var keySets: [V1KeySet] = []
    private var keySetOfDevice: [String: Int] = [:]
    private var records: [V1Digest: Record] = [:]

    /// One of the messages that a device sent lately.
    private struct Record {
        let device: V1Device
        let sessionID: SessionID
        let iv: V1IV
        /// Taken back by ``V1Receiver/forget(_:)``.
        var isForgotten = false
    }

    /// - Parameters:
    ///   - members: See ``setMembers(_:)``.
    ///   - workspace: Scratch memory, to be shared by all receivers of one event loop.
    package init(configuration: Configuration, members: [V1Member], workspace: V1Workspace = V1Workspace()) {
        self.configuration = configuration
        self.workspace = workspace
        self.ledger = V1SessionLedger(
            window: configuration.window,
            lifetime: configuration.lifetime.map { TimeAmount($0) }
        )
        self.setMembers(members)
    }

    /// Issues the first session IDs, to be published in order. Must come before ``receive(_:claimed:onlyFrom:now:)``.
    package func start(now: NIODeadline) -> [SessionID] {
        self.ledger.fill(from: self.workspace, now: now)
    }

    /// The unused session IDs, oldest first: what the session topic's retained message comes from.
    package var validSessionIDs: [SessionID] { self.ledger.valid }

    /// When ``tick(now:)`` next has something to do; `nil` without a lifetime.
    package var nextExpiry: NIODeadline? { self.ledger.nextExpiry }

    /// Replaces session IDs that have reached their lifetime, and returns the new ones, to be published in order.
    package func tick(now: NIODeadline) -> [SessionID] {
        self.ledger.expire(now: now) ? self.ledger.fill(from: self.workspace, now: now) : []
    }

    /// Judges one message.
    ///
    /// - Parameters:
    ///   - claimed: The device that the topic or the client id names. Only decides which keys are tried first.
    ///   - onlyFrom: The device that the transport has proven, unless it may carry others' messages: a message of
    ///     another device is then refused, and its session ID stays unused.
    package func receive(
        _ payload: ByteBuffer,
        claimed: String?,
        onlyFrom: String? = nil,
        now: NIODeadline
    ) -> V1Verdict {
        precondition(!self.ledger.valid.isEmpty, "receive before start")
        return self.workspace.withFields(of: payload) { fields in
            guard let fields else { return self.refuse(.malformed, issued: [], now: now) }
            let digest = self.workspace.digest(of: fields)
            if let record = self.records[digest] {
                return self.receiveAgain(fields, digest, record, onlyFrom: onlyFrom, now: now)
            }
            let issued = self.tick(now: now)
            let first = claimed.flatMap { self.keySetOfDevice[$0] }
            guard let (device, clear, match) = self.search(fields, first: first ?? 0) else {
                let reason = self.diagnose(fields, with: self.keySets[first ?? 0])
                let isNobody = self.devices.isEmpty || (claimed != nil && first == nil)
                return self.refuse(isNobody && reason == .badSeal ? .unknownDevice : reason, issued: issued, now: now)
            }
            guard Self.isAllowed(device, onlyFrom: onlyFrom) else {
                return self.refuse(.wrongDevice, issued: issued, now: now)
            }
            let iv = V1IV(clear.iv)
            guard !device.ivs.contains(iv) else { return self.refuse(.repeatedIV, issued: issued, now: now) }

            let sessionID = self.ledger.valid[match.sessionIndex]
            self.ledger.spend(at: match.sessionIndex)
            self.remember(digest, Record(device: device, sessionID: sessionID, iv: iv))
            return .opened(
                device: device.name,
                data: ByteBuffer(bytes: clear.data(match.dataBytes)),
                issued: issued + self.ledger.fill(from: self.workspace, now: now),
                acceptance: V1Acceptance(digest: digest)
            )
        }
    }

    /// Takes an acceptance back, because the message could not be kept: nothing was forwarded and nothing is
    /// acknowledged, so the node will send the same bytes again, and they must then count as new.
    ///
    /// Exactly these bytes become acceptable once more, under the session ID that they used up, until the device has
    /// had ``rememberedMessages`` others accepted. The session ID itself stays used up for all else: its successor is
    /// published already.
    package func forget(_ acceptance: V1Acceptance) {
        guard let record = self.records[acceptance.digest], !record.isForgotten else { return }
        self.records[acceptance.digest]?.isForgotten = true
        record.device.ivs.remove(record.iv)
    }

    /// How many accepted messages of each device are known again when they are sent again.
    package var rememberedMessages: Int { max(8, 2 * self.configuration.window) }
}

// MARK: - Members

extension V1Receiver {
    /// Replaces the devices that may send here. Session IDs stay as they are. A device that is gone, or has other keys or
    /// another node id, can send nothing from now on that it could send before.
    ///
    /// Of two members with the same name, or with the same keys and node id, which nothing could tell apart, the first
    /// counts.
    ///
    /// - Returns: The devices left out because of that, for the log.
    @discardableResult
    package func setMembers(_ members: [V1Member]) -> [String] {
        var former = Dictionary(uniqueKeysWithValues: self.devices.map { ($0.name, $0) })
        var ciphers = Dictionary(uniqueKeysWithValues: self.keySets.map { ($0.keys, $0.cipher) })
        var groups: [(keys: V1Keys, devices: [V1Device])] = []
        var groupOfKeys: [V1Keys: Int] = [:]
        var identities: Set<Identity> = []
        var leftOut: [String] = []
        self.devices = []
        self.keySetOfDevice = [:]
        for member in members {
            let identity = Identity(keys: member.keys, nodeID: member.nodeID)
            guard self.keySetOfDevice[member.device] == nil, identities.insert(identity).inserted else {
                leftOut.append(member.device)
                continue
            }
            let device: V1Device
            if let known = former[member.device], known.isSame(as: member) {
                former[member.device] = nil
                device = known
            } else {
                device = V1Device(member, remembersMessages: self.rememberedMessages)
            }
            let group = groupOfKeys[member.keys] ?? groups.count
            if group == groups.count {
                groups.append((member.keys, []))
                groupOfKeys[member.keys] = group
            }
            groups[group].devices.append(device)
            self.devices.append(device)
            self.keySetOfDevice[device.name] = group
        }
        for device in former.values {
            for digest in device.accepted.elements { self.records[digest] = nil }
        }
        if groups.isEmpty { groups.append((V1Keys.random(), [])) }
        self.keySets = groups.map { group in
            let cipher =
                ciphers.removeValue(forKey: group.keys) ?? V1Cipher(keys: group.keys, workspace: self.workspace)
            return V1KeySet(keys: group.keys, devices: group.devices, cipher: cipher)
        }
        return leftOut
    }

    /// The devices that may send here.
    package var deviceNames: [String] { self.devices.map(\.name) }

    /// Key sets beyond ``maxKeySets``: their devices are heard only where topic or client id names them. Zero is good.
    package var keySetsOverLimit: Int { max(self.keySets.count - Self.maxKeySets, 0) }

    private struct Identity: Hashable {
        let keys: V1Keys
        let nodeID: [UInt8]
    }
}

// MARK: - Steps of receive

extension V1Receiver {
    /// A message that was accepted before: acknowledged again, or, if it was forgotten, opened again.
    private func receiveAgain(
        _ fields: V1Fields,
        _ digest: V1Digest,
        _ record: Record,
        onlyFrom: String?,
        now: NIODeadline
    ) -> V1Verdict {
        guard Self.isAllowed(record.device, onlyFrom: onlyFrom) else {
            return self.refuse(.wrongDevice, issued: [], now: now)
        }
        guard record.isForgotten else { return .repeated(device: record.device.name) }
        guard let index = self.keySetOfDevice[record.device.name],
            let (device, clear, match) = Self.verify(
                fields,
                with: self.keySets[index],
                sessionIDs: [record.sessionID]
            ),
            device === record.device,
            !record.device.ivs.contains(record.iv)
        else { return self.refuse(.badSeal, issued: [], now: now) }
        self.records[digest]?.isForgotten = false
        _ = record.device.ivs.append(record.iv)
        return .opened(
            device: record.device.name,
            data: ByteBuffer(bytes: clear.data(match.dataBytes)),
            issued: self.tick(now: now),
            acceptance: V1Acceptance(digest: digest)
        )
    }

    /// A message that is proven: by whom, what it says, under which session ID.
    private typealias Proof = (device: V1Device, clear: V1Cipher.Clear, match: V1Cipher.Match)

    /// Tries the key set at `first`, then the others in order.
    private func search(_ fields: V1Fields, first: Int) -> Proof? {
        for turn in 0..<min(self.keySets.count, Self.maxKeySets) {
            let keySet = self.keySets[turn == 0 ? first : turn <= first ? turn - 1 : turn]
            if let proof = Self.verify(fields, with: keySet, sessionIDs: self.ledger.valid) { return proof }
        }
        return nil
    }

    /// Tries every way of cutting the message that one of the key set's devices could have meant.
    private static func verify(_ fields: V1Fields, with keySet: V1KeySet, sessionIDs: [SessionID]) -> Proof? {
        var hasTried = false
        for idBlocks in keySet.idBlocks where fields.fits(idBlocks: idBlocks) {
            hasTried = true
            if let proof = self.verify(fields, idBlocks: idBlocks, with: keySet, sessionIDs: sessionIDs) {
                return proof
            }
        }
        if !hasTried {
            // No way of cutting is right, so nothing can come of this; it only takes the time that a try takes.
            let idBlocks = fields.statedIDBlocks ?? 1
            _ = self.verify(fields, idBlocks: idBlocks, with: keySet, sessionIDs: sessionIDs)
        }
        return nil
    }

    /// The MACs are computed whether or not the node id inside is one of ours.
    private static func verify(
        _ fields: V1Fields,
        idBlocks: Int,
        with keySet: V1KeySet,
        sessionIDs: [SessionID]
    ) -> Proof? {
        let clear = keySet.cipher.decrypt(fields, idBlocks: idBlocks)
        let device = keySet.device(paddedNodeID: clear.paddedNodeID)
        let nodeID = device?.nodeID ?? keySet.anyNodeID(blocks: idBlocks)
        let match = keySet.cipher.match(fields, clear, nodeID: nodeID, sessionIDs: sessionIDs)
        guard let device, let match else { return nil }
        return (device, clear, match)
    }

    /// Tells the operator, and nobody else, why no key set and session ID in use opened a message: a session ID of the
    /// past, or a node id that is not on record. Tries one key set, to bound the work.
    private func diagnose(_ fields: V1Fields, with keySet: V1KeySet) -> V1Refusal {
        if Self.verify(fields, with: keySet, sessionIDs: self.ledger.spent) != nil { return .staleSession }
        let idBlocks = fields.statedIDBlocks ?? keySet.idBlocks.first { fields.fits(idBlocks: $0) } ?? 1
        let nodeID = keySet.cipher.decrypt(fields, idBlocks: idBlocks).paddedNodeID
        let isText = Self.isPaddedText(nodeID)
        return isText && keySet.device(paddedNodeID: nodeID) == nil ? .unknownNode : .badSeal
    }

    /// Whether decryption gave printable ASCII and then zeros, which wrong keys do not give by chance. Looks at all
    /// bytes every time.
    private static func isPaddedText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isText: UInt8 = bytes.isEmpty ? 0 : 1
        var hasEnded: UInt8 = 0
        for byte in bytes {
            hasEnded |= byte == 0 ? 1 : 0
            isText &= (0x20...0x7E).contains(byte) ? hasEnded ^ 1 : (byte == 0 ? 1 : 0)
        }
        return isText == 1
    }

    /// Whether a device's message may come over a connection proven to be `onlyFrom`'s; compared as bytes.
    private static func isAllowed(_ device: V1Device, onlyFrom: String?) -> Bool {
        guard let onlyFrom else { return true }
        return device.name.utf8.elementsEqual(onlyFrom.utf8)
    }

    private func remember(_ digest: V1Digest, _ record: Record) {
        if let oldest = record.device.accepted.append(digest) { self.records[oldest] = nil }
        _ = record.device.ivs.append(record.iv)
        self.records[digest] = record
    }

    private func refuse(_ reason: V1Refusal, issued: [SessionID], now: NIODeadline) -> V1Verdict {
        guard self.configuration.rotateOnFailure, !self.devices.isEmpty else {
            return .refused(reason, issued: issued)
        }
        self.ledger.spendAll()
        return .refused(reason, issued: self.ledger.fill(from: self.workspace, now: now))
    }
}
