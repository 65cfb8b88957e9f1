import DequeModule
import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing
import Transport
import Uplink

/// The connections to the broker, one after the other.
extension AttachedBroker: UplinkChannelDelegate {
    func uplinkConnected(_ channel: UplinkChannel) {
        self.channel = channel
        channel.write { self.machine.transportConnected(now: .now(), into: &$0) }
        self.armTimer()
    }

    func uplink(_ channel: UplinkChannel, received frame: MQTTFrame) {
        let now = NIODeadline.now()
        self.perform(channel.write { self.machine.received(frame, now: now, into: &$0) })
    }

    func uplink(_ channel: UplinkChannel, skipped firstByte: UInt8, packetID: UInt16, size: Int) {
        let now = NIODeadline.now()
        let action = channel.write {
            self.machine.skipped(firstByte: firstByte, packetID: packetID, now: now, into: &$0)
        }
        if action == .none { self.logDropped(["size": "\(size)"]) }
        self.perform(action)
    }

    func uplinkReadCompleted(_ channel: UplinkChannel) {
        if channel.isSkipping { self.machine.skipping(now: .now()) }
        self.payOwed()
        self.pump()
        self.readOn()
    }

    func uplinkBecameWritable(_ channel: UplinkChannel) {
        self.pump()
    }

    func uplinkDisconnected(reason: String) {
        self.channel = nil
        self.perform(self.machine.transportClosed(reason: reason, now: .now()))
    }

    /// At once: what is in flight, and what is owed, comes again on the next connection.
    func uplinkCanChangeOver(to address: String) {
        guard self.isConnected, let channel = self.channel else { return }
        self.core.logger.notice(
            "attached broker: changing over",
            metadata: ["broker": "\(self.name)", "address": "\(address)"]
        )
        let action = channel.write { self.machine.changeOver(now: .now(), into: &$0) }
        self.endConnection()
        channel.close()
        self.channel = nil
        self.perform(action)
    }

    /// The certificate of the connection is about to expire, and there is another one.
    func renewConnection() {
        self.connector.renew()
    }

    /// For the next connection.
    func replaceCredentials(_ userName: MQTTString?, _ password: Password?) {
        self.machine.replaceCredentials(userName: userName, password: password)
    }

    func perform(_ action: UplinkAction) {
        switch action {
        case .none: break
        case .completed(let packetID): self.machine.forget(packetID: packetID)
        case .acknowledged(let sequence), .refused(let sequence, _, _): self.outbox.acknowledged(sequence)
        case .connect: self.connector.connect(delegate: self)
        case .connected(let session): self.connected(session)
        case .message(let publish, let receipt): self.received(publish, receipt)
        // Nothing is sent at QoS 2, and what comes at QoS 2 unasked is known for as long as this process lives.
        case .pubrec(let sequence, let packetID):
            self.outbox.acknowledged(sequence)
            self.channel?.write { self.machine.release(packetID: packetID, into: &$0) }
        case .released(let packetID): self.channel?.write { self.machine.complete(packetID: packetID, into: &$0) }
        case .dropped(let error): self.logDropped(["reason": "\(error)"])
        case .subscribed(let refused):
            for refusal in refused {
                self.core.logger.warning(
                    "the attached broker refused a subscription: nothing comes from there",
                    metadata: [
                        "broker": "\(self.name)", "filter": "\(Printable.text(refusal.filter.buffer))",
                        "reason": "\(refusal.code.uplinkWords)",
                    ]
                )
            }
            if refused.count < self.configuration.subscribe.count { self.logAttached() }
        case .close(let failure, let retryAt):
            self.endConnection()
            self.channel?.close()
            self.channel = nil
            self.log(failure, retryAt: retryAt)
        }
        self.armTimer()
    }

    private func connected(_ session: UplinkSession) {
        for sequence in session.sentAtMostOnce + session.unsendable.map(\.sequence) {
            self.outbox.acknowledged(sequence)
        }
        self.connector.connectionWasAccepted()
        self.lastFailure = nil
        let connection = AttachedConnection(to: self)
        self.current = (Client(core: self.core, attached: connection, self.configuration.rules), connection)
        self.hadSession = session.isPresent
        for channel in self.core.channels.values { self.publish(channel.receiver.validSessionIDs, of: channel) }
        self.pump()
        self.core.pumpCommands()
    }

    /// From now on what is published there is heard.
    private func logAttached() {
        self.core.logger.notice(
            "attached",
            metadata: [
                "broker": "\(self.name)", "address": "\(self.address)",
                "tls": "\(self.channel?.peer.map { "TLS \($0.version.rawValue) \($0.cipher)" } ?? "none")",
                "session-present": "\(self.hadSession)",
            ]
        )
    }

    func endConnection() {
        // At QoS 2 the machine would wait for the first copy to be stored, and not tell of the next.
        for receipt in self.current?.connection.end() ?? [] { _ = self.machine.abandon(receipt) }
        for (receipt, _) in self.owed { _ = self.machine.abandon(receipt) }
        self.current = nil
        self.owed.removeAll()
        self.outbox.forgetSessionIDs()
    }

    private func logDropped(_ details: @autoclosure () -> Logger.Metadata) {
        self.core.warnings.note(.tooLargeFromAttached, self.name, details: details())
    }

    private func log(_ failure: UplinkFailure, retryAt: NIODeadline) {
        let words = "\(failure)"
        let wait = Double((retryAt - .now()).nanoseconds) / 1e9
        let level: Logger.Level = words == self.lastFailure ? .debug : .warning
        self.lastFailure = words
        self.core.logger.log(
            level: level,
            "attached broker lost: nodes behind it are not heard",
            metadata: [
                "broker": "\(self.name)", "reason": "\(words)", "next-attempt-in": "\((wait * 10).rounded() / 10) s",
            ]
        )
    }
}
