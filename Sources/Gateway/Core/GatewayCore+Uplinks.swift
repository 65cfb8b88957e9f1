import MQTTCodec
import NIOCore
import Store
import Uplink

/// What the links ask of the core: disk, and a way for the messages that come down.
extension GatewayCore {
    /// What a link of the uplink in this place of ``uplinks`` needs.
    func hooks(ofLink index: Int) -> UplinkLink.Hooks {
        UplinkLink.Hooks(
            warnings: self.warnings,
            acknowledged: { [unowned self] lane, sequence in
                self.counters.acknowledgedOutside += 1
                self.commits.acknowledged(uplink: lane, sequence: sequence)
            },
            received: { [unowned self] link, publish, receipt, done in
                let isHeld = receipt?.isExactlyOnce == true
                self.receivedFromUplink(publish, by: link, index: index, isHeld: isHeld, done)
            },
            load: { [unowned self] link, lane, cursor in
                self.load(lane, cursor) { [weak link] _, page in link?.loaded(page, in: lane) }
            },
            fetch: { [unowned self] lane, sequence, done in self.fetch(sequence, of: lane, done) },
            drop: { [unowned self] drop in self.commits.append(drop) },
            write: { [unowned self] record, waiter in self.write(record, for: waiter) },
            bury: { [unowned self] letter, waiter in self.bury(letter, for: waiter) },
            note: { [unowned self] step, done in self.note(step, done) },
            isCongested: { [unowned self] in self.commits.isCongested },
            changed: { [unowned self] link in
                if let device = link.device, case .devices(let devices) = self.uplinks[index] {
                    devices.changed(device)
                }
                self.uplinkChanged(link)
            }
        )
    }

    private func load(
        _ lane: UplinkLane,
        _ cursor: SpoolCursor,
        maxMessages: Int = SpoolQueue.maxRecords / 2,
        _ done: @escaping (GatewayCore, Result<SpoolPage, StoreError>) -> Void
    ) {
        let own = NIOLoopBound((core: self, done: done), eventLoop: self.loop)
        self.store.loadSpool(
            uplink: lane.storeID,
            from: cursor,
            maxMessages: maxMessages,
            maxBytes: SpoolQueue.maxBytes / 2,
            on: self.loop
        ) { page in own.value.done(own.value.core, page) }
    }

    private func fetch(
        _ sequence: Int64,
        of lane: UplinkLane,
        _ done: @escaping (Result<SpoolRecord?, StoreError>) -> Void
    ) {
        self.load(lane, .after(sequence - 1), maxMessages: 1) { _, page in
            done(page.map { page in page.records.first.flatMap { $0.sequence == sequence ? $0 : nil } })
        }
    }

    private func write(_ record: SpoolRecord, for waiter: PendingAcknowledgement?) -> Int64 {
        self.counters.spooled += 1
        let sequence = self.commits.append(record)
        if let waiter { self.settle(waiter) }
        return sequence
    }

    private func bury(_ letter: DeadLetter, for waiter: PendingAcknowledgement?) {
        self.commits.append(letter)
        if let waiter { self.settle(waiter) }
    }

    /// The disk is the party that takes charge.
    private func settle(_ waiter: PendingAcknowledgement) {
        self.commits.whenSafe {
            waiter.settle()
        } orElse: {
            waiter.fail()
        }
    }

    private func note(_ step: UplinkLink.QoS2Step, _ done: @escaping (Bool) -> Void) {
        self.commits.append(step)
        self.commits.whenSafe {
            done(true)
        } orElse: {
            done(false)
        }
    }
}
