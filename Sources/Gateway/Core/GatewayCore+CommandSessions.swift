import Devices
import MQTTCodec
import NIOCore
import Sealing

/// The session IDs that nodes publish for their commands, on their way to the ``CommandDesk``.
extension GatewayCore {
    /// A node published a session ID for its commands: it is for the gateway, and goes no further.
    func admit(
        _ publish: Publish,
        sessionID payload: ByteBuffer,
        _ session: (device: DeviceID, commands: TopicName),
        to destination: Destination,
        from client: Client,
        undo: (() -> Void)?
    ) {
        guard session.device == destination.device else {
            let detail = "session IDs for commands of \(session.device) are published by \(session.device) alone"
            return client.refuse(publish, .policy, device: destination.name, detail: detail)
        }
        let answer = self.take(
            sessionID: payload,
            of: publish,
            for: session.commands,
            of: session.device,
            // What a seal proved can be undone.
            isProven: undo != nil || client.identity == .device(session.device),
            from: client
        )
        switch answer {
        case .refused(let problem):
            client.refuse(publish, .commandSession, device: destination.name, detail: problem)
        case .isOld:
            // As after a lost PUBACK; but a node that does not know better waits for ever.
            self.counters.count(.commandSession)
            self.refusals.note(
                .commandSession,
                device: destination.name,
                topic: publish.topic.buffer,
                from: client.address,
                detail: "a command was sealed under it before",
                now: .now()
            )
            if publish.qos != .atMostOnce { self.commits.acknowledge(publish.packetID, to: client, undo: undo) }
        case .taken:
            if publish.qos != .atMostOnce { self.commits.acknowledge(publish.packetID, to: client, undo: undo) }
        }
    }

    /// Takes a session ID that came along with another message, for the next command on a topic.
    func offer(
        sessionID payload: ByteBuffer,
        for commands: TopicName,
        of device: DeviceID,
        isProven: Bool,
        source: any CommandSource
    ) {
        defer { self.writeDown(device) }
        guard CommandSessionID.problem(with: payload) == nil, !self.isOwn(payload) else {
            return self.counters.count(.commandSession)
        }
        let id = CommandSessionID(payload, isRetained: false, isProven: isProven, source: source)
        if self.commandDesk.offer(id, for: commands, of: device) != .taken { self.counters.count(.commandSession) }
    }

    /// What becomes of a session ID.
    private enum SessionAnswer {
        case taken
        /// It was used before.
        case isOld
        /// Why not, in words.
        case refused(String)
    }

    private static let unprovenProblem = "the device proves its session IDs, and this one is not proven"

    /// - Parameter isProven: That it was the node is beyond doubt.
    private func take(
        sessionID payload: ByteBuffer,
        of publish: Publish,
        for commands: TopicName,
        of device: DeviceID,
        isProven: Bool,
        from client: Client
    ) -> SessionAnswer {
        defer { self.writeDown(device) }
        guard payload.readableBytes > 0 else {
            return self.commandDesk.withdraw(commands, of: device, isProven: isProven)
                ? .taken : .refused(Self.unprovenProblem)
        }
        if let problem = CommandSessionID.problem(with: payload) { return .refused(problem) }
        // Sealed under an ID of the gateway's, a command could be sent back to it as a message of the node's.
        if self.isOwn(payload) { return .refused("it is one of the gateway's own session IDs") }
        let id = CommandSessionID(
            payload,
            isRetained: publish.retain,
            isProven: isProven,
            isOfProvenConnection: client.identity == .device(device),
            source: client
        )
        switch self.commandDesk.offer(id, for: commands, of: device) {
        case .taken:
            if let topic = self.commandDesk[device]?.topic(commands) { self.pump(topic) }
            return .taken
        // An attached broker brings what it retains with each connection.
        case .used: return publish.retain && client.attached != nil ? .taken : .isOld
        case .notProven: return .refused(Self.unprovenProblem)
        case .full: return .refused("the device has commands or session IDs on as many topics as it may have")
        }
    }

    private func isOwn(_ payload: ByteBuffer) -> Bool {
        guard payload.readableBytes == SessionID.characters else { return false }
        return self.channels.values.contains { channel in
            channel.receiver.validSessionIDs.contains { $0.payload.hasSameBytes(as: payload) }
        }
    }

    func writeDown(_ device: DeviceID) {
        guard let own = self.commandDesk[device], own.isChanged else { return }
        own.isChanged = false
        self.commits.append(own.record)
    }
}
