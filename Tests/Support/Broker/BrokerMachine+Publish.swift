/// Messages that come, and what the script does with them.
extension BrokerMachine {
    mutating func publish(_ first: UInt8, _ body: inout WireReader, _ key: Int32) {
        guard let link = self.links[key], var topic = body.text() else { return }
        let qos = first >> 1 & 3
        let id = qos == 0 ? 0 : body.short() ?? 0
        guard let properties = link.level == 5 ? body.properties() : [] else {
            return self.violation("properties of PUBLISH cannot be read", link)
        }
        if let alias = properties.number(WireProperty.topicAlias) {
            if topic.isEmpty { topic = link.aliases[alias] ?? "" } else { self.links[key]?.aliases[alias] = topic }
            let most = self.script.limits.number(WireProperty.topicAliasMaximum) ?? 0
            if alias == 0 || alias > most { self.violation("topic alias \(alias) of \(most)", link) }
        }
        var message = ScriptedBroker.Message(
            connection: link.number,
            topic: topic,
            payload: body.rest(),
            qos: qos,
            isDuplicate: first & 8 != 0,
            retain: first & 1 != 0,
            packetID: id,
            properties: properties
        )
        self.check(message, key)
        let rule = self.script.rules.firstIndex { $0.matches(message) }
        let action = rule.map { self.script.rules[$0].action }
        if let rule { self.script.rules[rule].times -= 1 }
        let isHeld = qos == 2 && self.sessions[link.clientID]?.held.contains(id) == true
        if isHeld { self.repeats += 1 }
        message.isTaken = !isHeld && action.map(\.takes) ?? true
        if qos == 2, message.isTaken { self.sessions[link.clientID]?.held.insert(id) }
        if self.script.keepsMessages {
            self.messages.append(message)
            self.log.append("PUBLISH #\(link.number) \(message)")
        }
        self.observe?(message)
        self.answer(message, action, key)
    }

    private mutating func answer(_ message: ScriptedBroker.Message, _ action: BrokerScript.Action?, _ key: Int32) {
        let kind: UInt8 = message.qos == 2 ? 0x50 : 0x40
        switch action {
        case .refuse(let code, let reason):
            guard message.qos > 0 else { return }
            self.links[key]?.unacknowledged.remove(message.packetID)
            self.links[key]?.output += Wire.acknowledgement(kind, message.packetID, code: code, reason: reason)
        case .ignore: break
        case .close, .takeAndClose: self.links[key]?.isEnding = true
        case .disconnect(let code):
            self.links[key]?.output += [0xE0, 1, code]
            self.links[key]?.isEnding = true
        case .takeAndFreeze: self.links[key]?.isFrozen = true
        case .takeAndWrite(let bytes): self.links[key]?.output += bytes
        case nil:
            guard message.qos > 0 else { return }
            let bytes = Wire.acknowledgement(kind, message.packetID)
            if self.script.acknowledging == .atOnce {
                self.acknowledge(message.packetID, bytes, key)
            } else {
                self.links[key]?.waiting.append((message.packetID, bytes))
                if case .reversed(let count) = self.script.acknowledging, self.links[key]?.waiting.count == count {
                    self.links[key]?.waiting.reverse()
                    self.release(.max, key)
                }
            }
        }
    }

    /// Sends acknowledgements that are held back, in the order in which they are.
    mutating func release(_ count: Int, _ key: Int32) {
        guard let waiting = self.links[key]?.waiting.prefix(count) else { return }
        for (id, bytes) in waiting { self.acknowledge(id, bytes, key) }
        self.links[key]?.waiting.removeFirst(waiting.count)
    }

    private mutating func acknowledge(_ id: UInt16, _ bytes: [UInt8], _ key: Int32) {
        // PUBREC alone does not free the identifier.
        if bytes.first == 0x40 { self.links[key]?.unacknowledged.remove(id) }
        self.links[key]?.output += bytes
    }

    /// Holds a message against the standard and against what CONNACK said.
    private mutating func check(_ message: ScriptedBroker.Message, _ key: Int32) {
        guard let link = self.links[key] else { return }
        let limits = link.level == 5 ? self.script.limits : []
        if message.topic.isEmpty { self.violation("no topic", link) }
        if message.qos == 3 { self.violation("QoS 3", link) }
        if let most = limits.number(WireProperty.maximumQoS), message.qos > most {
            self.violation("QoS \(message.qos) is over Maximum QoS", link)
        }
        if limits.number(WireProperty.retainAvailable) == 0, message.retain {
            self.violation("RETAIN is not available", link)
        }
        guard message.qos > 0 else { return }
        if message.packetID == 0 { self.violation("packet identifier 0", link) }
        if self.links[key]?.unacknowledged.insert(message.packetID).inserted == false {
            self.violation("packet identifier \(message.packetID) is in use", link)
        }
        if let most = limits.number(WireProperty.receiveMaximum), link.unacknowledged.count >= most {
            self.violation("\(link.unacknowledged.count + 1) messages are over Receive Maximum", link)
        }
    }
}
