import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import Transport

/// CONNECT, from the identity that it was given to CONNACK.
extension Client {
    /// The server's own checks `[MQTT-3.1.4-2]`.
    func turnAway(_ code: ReasonCode, _ detail: String) {
        self.core.counters.connectionsRefused += 1
        self.core.logRefusedConnection(self, detail)
        self.socket?.refuse(code, reason: detail)
    }

    func open(_ connect: Connect) {
        guard let connection = self.socket else { return }
        let isV5 = connect.version == .v5
        guard !connect.clientID.isEmpty || connect.cleanStart || isV5 else {
            // [MQTT-3.1.3-8 of 3.1.1]
            return self.turnAway(.clientIdentifierNotValid, "an empty client id needs a clean session")
        }
        let mayRetain = self.core.mayRetain(self.identity)
        if isV5, connect.will?.retain == true, !mayRetain {
            // [MQTT-3.2.2-13]
            return self.turnAway(.retainNotSupported, "its will is retained, which its profile forbids")
        }
        if let will = connect.will, let problem = self.core.objection(to: will, of: self) {
            return self.turnAway(.notAuthorized, "its will on \(Printable.text(will.topic.buffer)): \(problem)")
        }
        if connect.clientID.utf8Count > self.core.configuration.limits.maxClientIDLength {
            return self.turnAway(.clientIdentifierNotValid, "a client id over max_client_id_length")
        }
        // Else a device with one connection could not come back while the old one is dead and nobody knows.
        let takenOver = self.core.broker.connection(clientID: connect.clientID, owner: self.owner) as? MQTTConnection
        if let other = takenOver?.delegate as? Client { self.core.uncount(other) }
        self.isCounted = self.core.countConnection(of: self.identity)
        guard self.isCounted else {
            self.core.counters.count(.connectionsPerDevice)
            return self.turnAway(.quotaExceeded, "the device has as many connections as it may have")
        }
        let assigned = connect.clientID.isEmpty ? self.core.makeClientID() : nil  // [MQTT-3.1.3-6], [MQTT-3.1.3-7]
        // [MQTT-3.1.2-6 of 3.1.1]
        let asked = isV5 ? connect.properties.sessionExpiryInterval ?? 0 : connect.cleanStart ? 0 : UInt32.max
        let opening = self.core.broker.open(
            clientID: assigned ?? connect.clientID,
            owner: self.owner,
            cleanStart: connect.cleanStart,
            expiryInterval: asked
        )
        self.core.publishLapsedWills()
        switch opening {
        case .full:
            self.core.counters.count(.sessions)
            self.turnAway(.quotaExceeded, "the limit of sessions is reached")
        case .opened(let session, let isPresent, let takenOver, let hasEndedStored):
            (takenOver as? MQTTConnection)?.close(
                .sessionTakenOver,
                reason: "taken over by a new connection with its client id"
            )
            self.session = session
            session.claimant = connection
            guard session.hold(willOf: connect.will?.countedBytes ?? 0) else {
                self.core.counters.count(.queue)
                return self.turnAway(.quotaExceeded, "no room for its will: max_queued_total is reached")
            }
            var acceptance = Acceptance(sessionPresent: isPresent)
            acceptance.assignedClientID = assigned
            if session.expiryInterval != asked { acceptance.sessionExpiryInterval = session.expiryInterval }
            if connect.properties.requestResponseInformation == true {
                acceptance.responseInformation = self.core.responseInformation(for: self.identity)
            }
            acceptance.retainAvailable = mayRetain
            guard hasEndedStored else { return self.enter(connect, session, acceptance) }
            // After a crash the old session could come back, with identifiers in use that the client thinks are free.
            self.core.commits.whenSafe(for: self) { [acceptance] in
                if self.connection === connection { self.enter(connect, session, acceptance) }
            }
        }
    }

    /// CONNACK, and what waits for the client.
    private func enter(_ connect: Connect, _ session: Session, _ acceptance: Acceptance) {
        guard let connection = self.socket, session.claimant === connection,
            connection.accept(connect, acceptance)
        else { return }
        self.isInside = true
        self.hadWill = connect.will != nil
        if session.isStored { session.journal(will: connect.will) }
        self.core.limiter.established(connection: connection)
        self.core.logger.debug(
            "connected",
            metadata: ["client": "\(self.name)", "from": "\(self.address)"]
        )
        self.core.broker.connected(session, to: connection, receiveMaximum: connection.clientReceiveMaximum)
        guard acceptance.sessionPresent else { return }
        self.core.sendSessionIDs(to: session)
        self.core.pumpCommands(for: session)
    }

    /// Whom a session of this client belongs to.
    private var owner: SessionOwner { SessionOwner(self.identity) }
}

extension Will {
    /// What keeping it costs.
    fileprivate var countedBytes: Int {
        let properties = self.properties.isAbsent ? 0 : self.properties.countedBytes
        return self.topic.buffer.readableBytes + self.payload.readableBytes + properties
    }
}
