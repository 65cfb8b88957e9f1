/// Messages to the client, and the second half of QoS 2 in both directions.
extension BrokerMachine {
    /// A message to one client; it waits if the client is not there and keeps its session.
    ///
    /// - Parameter copies: How often the PUBLISH is written; every one but the first as a duplicate of the same message.
    mutating func command(_ command: Command, to clientID: String, copies: Int) {
        guard var session = self.sessions[clientID] else { return }
        var command = command
        if command.qos > 0 {
            session.nextID = session.nextID == .max ? 1 : session.nextID + 1
            command.id = session.nextID
            session.outgoing.append(command)
        }
        self.sessions[clientID] = session
        for (key, link) in self.links where link.clientID == clientID {
            for copy in 0..<copies { self.write(command, isDuplicate: copy > 0, key) }
        }
    }

    /// What the client did not bring to its end comes again, as the session has it.
    mutating func resend(_ key: Int32) {
        guard let link = self.links[key], let session = self.sessions[link.clientID] else { return }
        for command in session.outgoing {
            if command.isReleased {
                self.links[key]?.output += Wire.acknowledgement(0x62, command.id)
            } else {
                self.write(command, isDuplicate: true, key)
            }
        }
    }

    private mutating func write(_ command: Command, isDuplicate: Bool, _ key: Int32) {
        guard let link = self.links[key] else { return }
        self.links[key]?.output += Wire.publish(
            command.topic,
            command.payload,
            qos: command.qos,
            id: command.id,
            isDuplicate: isDuplicate && command.qos > 0,
            retain: command.retain,
            properties: command.properties,
            level: link.level
        )
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP came.
    mutating func acknowledged(_ first: UInt8, _ body: inout WireReader, _ key: Int32) {
        guard let link = self.links[key], let id = body.short() else { return }
        let code = body.byte() ?? 0
        let place = self.sessions[link.clientID]?.outgoing.firstIndex { $0.id == id }
        self.log.append("\(Self.name(first)) #\(link.number) id=\(id) code=\(code)")
        switch first >> 4 {
        case 6:
            let wasHeld = self.sessions[link.clientID]?.held.remove(id) != nil
            self.links[key]?.unacknowledged.remove(id)
            guard self.script.closesOnReleases == 0 else {
                self.script.closesOnReleases -= 1
                self.links[key]?.isEnding = true
                return
            }
            let code: UInt8 = wasHeld || link.level != 5 ? 0 : 0x92
            self.links[key]?.output += Wire.acknowledgement(0x70, id, code: code)
        case 4, 7:
            // A duplicate is acknowledged a second time.
            if let place { self.sessions[link.clientID]?.outgoing.remove(at: place) }
        default:
            if let place, code >= 0x80 {
                self.sessions[link.clientID]?.outgoing.remove(at: place)
            } else {
                if let place { self.sessions[link.clientID]?.outgoing[place].isReleased = true }
                let code: UInt8 = place != nil || link.level != 5 ? 0 : 0x92
                self.links[key]?.output += Wire.acknowledgement(0x62, id, code: code)
            }
        }
    }

    private static func name(_ first: UInt8) -> String {
        switch first >> 4 {
        case 4: "PUBACK"
        case 5: "PUBREC"
        case 6: "PUBREL"
        default: "PUBCOMP"
        }
    }
}
