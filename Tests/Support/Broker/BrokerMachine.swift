/// The sessions and connections of a ``ScriptedBroker``: bytes in, bytes out, no sockets.
struct BrokerMachine: Sendable {
    /// One connection of a client.
    struct Link: Sendable {
        let number: Int
        var input: [UInt8] = []
        var output: [UInt8] = []
        /// Empty until CONNECT came.
        var clientID = ""
        var level: UInt8 = 0
        /// To be closed when its output is written.
        var isEnding = false
        /// Half-open: nothing is read, nothing is written.
        var isFrozen = false
        /// Acknowledgements that are held back, each with the identifier of its message.
        var waiting: [(id: UInt16, bytes: [UInt8])] = []
        /// Identifiers of messages that the client was not acknowledged yet.
        var unacknowledged: Set<UInt16> = []
        var aliases: [UInt32: String] = [:]
    }

    /// What a client left with the broker.
    struct Session: Sendable {
        /// QoS 2 messages that were taken and not released yet.
        var held: Set<UInt16> = []
        /// Messages to the client, not brought to their end.
        var outgoing: [Command] = []
        var nextID: UInt16 = 0
        var filters: [String] = []
        var isKept = false
    }

    /// A message to the client.
    struct Command: Sendable {
        var id: UInt16
        let topic: String
        let payload: [UInt8]
        let qos: UInt8
        let retain: Bool
        let properties: [WireProperty]
        /// PUBREC came.
        var isReleased = false
    }

    var script: BrokerScript
    var links: [Int32: Link] = [:]
    var sessions: [String: Session] = [:]
    var messages: [ScriptedBroker.Message] = []
    /// What the client did that the standard, or the CONNACK, forbids.
    var violations: [String] = []
    /// QoS 2 messages that came again before they were released, and were not taken a second time.
    var repeats = 0
    var connects = 0
    let log: OutputLog
    let observe: (@Sendable (ScriptedBroker.Message) -> Void)?

    init(_ script: BrokerScript, log: OutputLog, observe: (@Sendable (ScriptedBroker.Message) -> Void)?) {
        self.script = script
        self.log = log
        self.observe = observe
    }

    // MARK: Bytes

    mutating func accepted(_ key: Int32) {
        self.connects += 1
        self.links[key] = Link(number: self.connects)
    }

    /// Takes whole packets out of what came.
    mutating func received(_ bytes: ArraySlice<UInt8>, on key: Int32) {
        guard var input = self.links[key]?.input else { return }
        self.links[key]?.input = []
        input += bytes
        var start = 0
        while let link = self.links[key], !link.isEnding, !link.isFrozen, input.count - start >= 2 {
            var length = 0
            var position = start + 1
            var isWhole = false
            while position < input.count, position - start <= 4 {
                length |= Int(input[position] & 0x7F) << (7 * (position - start - 1))
                position += 1
                if input[position - 1] < 0x80 {
                    isWhole = true
                    break
                }
            }
            guard isWhole, input.count - position >= length else { break }
            let first = input[start]
            self.checkSize(position + length - start, link)
            self.packet(first, WireReader(Array(input[position..<position + length])), key)
            start = position + length
        }
        if start > 0 { input.removeFirst(start) }
        self.links[key]?.input = input
    }

    mutating func closed(_ key: Int32) {
        guard let link = self.links.removeValue(forKey: key) else { return }
        self.log.append("CLOSED #\(link.number)")
        if !self.links.values.contains(where: { $0.clientID == link.clientID }), !self.isKept(link.clientID) {
            self.sessions[link.clientID] = nil
        }
    }

    private func isKept(_ clientID: String) -> Bool {
        self.script.keepsSessions && self.sessions[clientID]?.isKept == true
    }

    mutating func violation(_ words: String, _ link: Link?) {
        let text = "VIOLATION #\(link?.number ?? 0) \(words)"
        self.violations.append(text)
        self.log.append(text)
    }

    private mutating func checkSize(_ size: Int, _ link: Link) {
        if let limit = self.script.limits.number(WireProperty.maximumPacketSize), size > limit, link.level == 5 {
            self.violation("a packet of \(size) bytes is over Maximum Packet Size", link)
        }
    }

    // MARK: Packets

    private mutating func packet(_ first: UInt8, _ body: WireReader, _ key: Int32) {
        var body = body
        guard let link = self.links[key] else { return }
        guard !link.clientID.isEmpty || first == 0x10 else { return self.violation("\(first) before CONNECT", link) }
        switch first >> 4 {
        case 1: self.connect(&body, key)
        case 3: self.publish(first, &body, key)
        case 4, 5, 6, 7: self.acknowledged(first, &body, key)
        case 8: self.subscribe(&body, key)
        case 10: self.unsubscribe(&body, key)
        case 12:
            self.log.append("PINGREQ #\(link.number)")
            if self.script.answersPings { self.links[key]?.output += [0xD0, 0] }
        case 14:
            self.log.append("DISCONNECT #\(link.number)")
            self.links[key]?.isEnding = true
        default: self.violation("packet \(first)", link)
        }
    }

    private mutating func connect(_ body: inout WireReader, _ key: Int32) {
        guard body.text() == "MQTT", let level = body.byte(), let flags = body.byte(), let keepAlive = body.short(),
            let properties = level == 5 ? body.properties() : [], let id = body.text()
        else { return self.violation("CONNECT cannot be read", self.links[key]) }
        let number = self.links[key]?.number ?? 0
        self.log.append("CONNECT #\(number) id=\(id) level=\(level) flags=\(flags) keep-alive=\(keepAlive)")
        guard self.script.welcome != .silence else { return }
        for (other, link) in self.links where link.clientID == id {
            self.links[other]?.isEnding = true
            self.links[other]?.isFrozen = false
            self.links[other]?.output = []
        }
        let isClean = flags & 2 != 0
        let isPresent = !isClean && self.script.keepsSessions && self.sessions[id] != nil
        if !isPresent { self.sessions[id] = Session() }
        let expiry = properties.number(WireProperty.sessionExpiry) ?? 0
        self.sessions[id]?.isKept = level == 5 ? expiry > 0 : !isClean
        self.links[key]?.clientID = id
        self.links[key]?.level = level
        var code: UInt8 = 0
        if case .refuse(let refusal) = self.script.welcome { code = refusal }
        let limits = level == 5 ? Wire.properties(self.script.limits) : []
        self.links[key]?.output += Wire.packet(0x20, [code == 0 && isPresent ? 1 : 0, code] + limits)
        guard self.script.welcome == .accept else {
            self.links[key]?.isEnding = true
            return
        }
        self.resend(key)
    }

    private mutating func subscribe(_ body: inout WireReader, _ key: Int32) {
        guard let link = self.links[key], let id = body.short(), link.level != 5 || body.properties() != nil else {
            return
        }
        var codes: [UInt8] = []
        while let filter = body.text(), let options = body.byte() {
            self.sessions[link.clientID]?.filters.append(filter)
            self.log.append("SUBSCRIBE #\(link.number) \(filter) options=\(options)")
            codes.append(self.script.grants ?? options & 3)
        }
        self.links[key]?.output += Wire.packet(0x90, Wire.short(id) + (link.level == 5 ? [0] : []) + codes)
    }

    private mutating func unsubscribe(_ body: inout WireReader, _ key: Int32) {
        guard let link = self.links[key], let id = body.short(), link.level != 5 || body.properties() != nil else {
            return
        }
        var codes: [UInt8] = []
        while let filter = body.text() {
            self.sessions[link.clientID]?.filters.removeAll { $0 == filter }
            codes.append(0)
        }
        self.links[key]?.output += Wire.packet(0xB0, Wire.short(id) + (link.level == 5 ? [0] + codes : []))
    }
}
