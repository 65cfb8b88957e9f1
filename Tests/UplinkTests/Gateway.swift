import MQTTCodec
import NIOCore
import Uplink

/// The owner of a client as it should be: a spool, and the QoS 2 state, on a disk that writes batches in order and now and
/// then; a crash loses what is not written.
final class Gateway {
    /// What is on disk.
    private struct Disk {
        var spool: [(sequence: Int64, text: String, qos: QoS)] = []
        var releases: [UInt16] = []
        var held: Set<UInt16> = []
        /// Messages of the broker that were taken.
        var taken: [String] = []
    }

    /// One change, what may be said once it is on disk, and what is to be done if the disk fails. What is owed is tried again
    /// by the disk itself.
    private struct Change {
        let apply: (inout Disk) -> Void
        var then: (Gateway) -> Void
        let failed: ((Gateway) -> Void)?

        var owed: Change { Change(apply: self.apply, then: { _ in }, failed: nil) }
    }

    private var configuration: UplinkClient.Configuration
    private var disk = Disk()
    private var unwritten: [Change] = []
    private(set) var client: UplinkClient
    /// What goes to the broker.
    private(set) var output = ByteBuffer()
    /// Records that were handed to the client, or wait for it.
    private var queue: [UplinkMessage] = []
    private var seed: UInt64
    var now: NIODeadline = .uptimeNanoseconds(1_000_000_000)
    /// Ends of connections that the client saw to itself.
    private(set) var failures: [UplinkFailure] = []
    private(set) var wantsConnection = false

    init(_ configuration: UplinkClient.Configuration, seed: UInt64) {
        self.configuration = configuration
        self.seed = seed
        self.client = UplinkClient(configuration: configuration, seed: seed)
        self.boot()
    }

    /// Messages of the broker that are safe.
    var taken: [String] { self.disk.taken }
    var isDrained: Bool {
        self.disk.spool.isEmpty && self.disk.releases.isEmpty && self.disk.held.isEmpty && self.unwritten.isEmpty
            && self.client.inFlightCount == 0
    }

    /// Power is back: everything comes from the disk.
    func boot() {
        self.unwritten = []
        self.output.clear()
        self.seed += 1
        self.client = UplinkClient(configuration: self.configuration, seed: self.seed)
        self.client.restore(releases: self.disk.releases, held: self.disk.held.sorted())
        self.queue = self.disk.spool.map { self.message($0, isRepeat: true) }
        self.wantsConnection = false
        self.perform(self.client.start(now: self.now))
    }

    /// Records are committed before they go out; what is not is not the client's affair.
    func spool(_ sequence: Int64, _ text: String, _ qos: QoS) {
        self.disk.spool.append((sequence, text, qos))
        self.queue.append(self.message((sequence, text, qos), isRepeat: false))
    }

    /// The disk has written everything, or the first so many changes.
    func commit(_ count: Int) {
        let written = self.unwritten.prefix(count)
        self.unwritten.removeFirst(written.count)
        for change in written { change.apply(&self.disk) }
        for change in written { change.then(self) }
    }

    /// The disk fails everything that waits for it. The connection has to be closed.
    func failCommit() {
        let failed = self.unwritten
        self.unwritten = failed.filter { $0.failed == nil }.map(\.owed)
        for change in failed { change.failed?(self) }
    }

    func pump() {
        while let first = self.queue.first, self.client.send(first, now: self.now, into: &self.output) == .sent {
            self.queue.removeFirst()
        }
    }

    func connected() {
        self.wantsConnection = false
        self.client.transportConnected(now: self.now, into: &self.output)
    }

    func disconnected() {
        self.output.clear()
        self.perform(self.client.transportClosed(reason: "cut", now: self.now))
    }

    func tick() {
        self.perform(self.client.tick(now: self.now, into: &self.output))
    }

    func receive(_ packet: MQTTPacket, _ version: MQTTVersion) throws {
        var bytes = ByteBuffer()
        packet.encode(into: &bytes, version: version)
        guard let frame = try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: 1 << 20) else { return }
        self.perform(self.client.received(frame, now: self.now, into: &self.output))
    }

    /// The next packet for the broker.
    func nextPacket(_ version: MQTTVersion) throws -> MQTTPacket? {
        guard let frame = try MQTTFrameDecoder.nextFrame(&self.output, maxPacketSize: 1 << 20) else { return nil }
        return try MQTTPacket(frame: frame, version: version, from: .client)
    }

    private func message(_ record: (sequence: Int64, text: String, qos: QoS), isRepeat: Bool) -> UplinkMessage {
        var message = UplinkMessage(record.sequence, "some/topic", record.text, qos: record.qos)
        message.isRepeat = isRepeat
        return message
    }

    private func write(
        _ apply: @escaping (inout Disk) -> Void,
        then: @escaping (Gateway) -> Void = { _ in },
        failed: ((Gateway) -> Void)? = nil
    ) {
        self.unwritten.append(Change(apply: apply, then: then, failed: failed))
    }

    private func perform(_ action: UplinkAction) {
        switch action {
        case .none, .dropped, .subscribed, .refused: break
        case .connect: self.wantsConnection = true
        case .connected(let session): self.began(session)
        case .acknowledged(let sequence):
            self.write { $0.spool.removeAll { $0.sequence == sequence } }
        case .pubrec(let sequence, let packetID):
            self.write {
                $0.spool.removeAll { $0.sequence == sequence }
                if !$0.releases.contains(packetID) { $0.releases.append(packetID) }
            } then: {
                $0.client.release(packetID: packetID, into: &$0.output)
            }
        case .completed(let packetID): self.clear(packetID)
        case .message(let publish, let receipt):
            guard let receipt else { return }
            let text = String(buffer: publish.payload)
            self.write {
                $0.taken.append(text)
                if receipt.isExactlyOnce { $0.held.insert(receipt.packetID) }
            } then: {
                $0.client.acknowledge(receipt, into: &$0.output)
            } failed: {
                _ = $0.client.abandon(receipt)
            }
        case .released(let packetID):
            self.write {
                $0.held.remove(packetID)
            } then: {
                $0.client.complete(packetID: packetID, into: &$0.output)
            }
        case .close(let failure, _):
            if case .transport = failure { return }
            self.failures.append(failure)
        }
    }

    private func began(_ session: UplinkSession) {
        for entry in session.unreleased { self.perform(.pubrec(sequence: entry.sequence, packetID: entry.packetID)) }
        for packetID in session.forgottenReleases { self.clear(packetID) }
        for packetID in session.forgottenHeld { self.write { $0.held.remove(packetID) } }
        self.pump()
    }

    private func clear(_ packetID: UInt16) {
        self.write {
            $0.releases.removeAll { $0 == packetID }
        } then: {
            $0.client.forget(packetID: packetID)
        } failed: {
            $0.clear(packetID)
        }
    }
}
