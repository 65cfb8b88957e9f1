import MQTTCodec
import NIOCore
import Uplink

/// An outside broker as the standard wants it: it keeps the session over connections, takes messages at every QoS and sends
/// some of its own. What it got and what it is owed is there to be looked at.
struct Outside {
    /// A message of its own on its way to the gateway.
    private struct Outbound {
        let packetID: UInt16
        let text: String
        let qos: QoS
        /// Whether PUBREC came, so that PUBREL is what is sent.
        var isReleased = false
    }

    let version: MQTTVersion
    /// What it was told to pass on, in the order in which it did.
    private(set) var taken: [String] = []
    /// Identifiers of QoS 2 messages that it took and has not completed.
    private var received: Set<UInt16> = []
    private var waiting: [Outbound] = []
    private var nextPacketID: UInt16 = 1
    private var aliases: [UInt16: TopicName] = [:]
    private var hasSession = false
    private var isConnected = false
    /// What breaks the protocol, in words.
    private(set) var complaints: [String] = []
    /// What the gateway may have open, told in CONNACK.
    var receiveMaximum: UInt16 = 0
    private var open: Set<UInt16> = []

    init(version: MQTTVersion) {
        self.version = version
    }

    /// Everything that it sent was answered to the end.
    var isDone: Bool { self.waiting.isEmpty }

    /// The session is gone, as after a crash without a disk.
    mutating func forgetSession() {
        self.hasSession = false
        self.received = []
        self.waiting = []
    }

    /// The connection is gone.
    mutating func connectionEnded() {
        self.isConnected = false
        self.aliases = [:]
        self.open = []
    }

    // MARK: Its own messages

    /// Sends a message of its own, now or, without a connection, on the next one.
    mutating func send(_ text: String, _ qos: QoS) -> [MQTTPacket] {
        guard self.hasSession else { return [] }
        let message = Outbound(packetID: self.nextPacketID, text: text, qos: qos)
        self.nextPacketID = self.nextPacketID == 9 ? 1 : self.nextPacketID + 1
        guard !self.waiting.contains(where: { $0.packetID == message.packetID }) else { return [] }
        self.waiting.append(message)
        return self.isConnected ? [self.packet(message, dup: false)] : []
    }

    private func packet(_ message: Outbound, dup: Bool) -> MQTTPacket {
        guard !message.isReleased else { return .pubrel(PubAck(packetID: message.packetID)) }
        return .publish(
            Publish(
                topic: TopicName(unchecked: ByteBuffer(string: "down")),
                payload: ByteBuffer(string: message.text),
                qos: message.qos,
                dup: dup,
                packetID: message.packetID
            )
        )
    }

    // MARK: What the gateway sends

    mutating func receive(_ packet: MQTTPacket) -> [MQTTPacket] {
        switch packet {
        case .connect: return self.connected()
        case .publish(let publish): return self.published(publish)
        case .pubrel(let pubRel):
            self.open.remove(pubRel.packetID)
            let isKnown = self.received.remove(pubRel.packetID) != nil
            let code: ReasonCode = isKnown || self.version != .v5 ? .success : .packetIdentifierNotFound
            return [.pubcomp(PubAck(packetID: pubRel.packetID, reasonCode: code))]
        case .puback(let pubAck):
            self.waiting.removeAll { $0.packetID == pubAck.packetID && $0.qos == .atLeastOnce }
            return []
        case .pubrec(let pubRec):
            guard let place = self.waiting.firstIndex(where: { $0.packetID == pubRec.packetID }) else {
                self.complaints.append("PUBREC of \(pubRec.packetID), which is not in use")
                return []
            }
            self.waiting[place].isReleased = true
            return [.pubrel(PubAck(packetID: pubRec.packetID))]
        case .pubcomp(let pubComp):
            self.waiting.removeAll { $0.packetID == pubComp.packetID && $0.isReleased }
            return []
        case .pingreq: return [.pingresp]
        case .disconnect(let disconnect):
            self.complaints.append("DISCONNECT \(disconnect.reasonCode)")
            return []
        default:
            self.complaints.append("\(packet.type)")
            return []
        }
    }

    private mutating func connected() -> [MQTTPacket] {
        var connAck = ConnAck(sessionPresent: self.hasSession)
        if self.version == .v5, self.receiveMaximum > 0 { connAck.properties.receiveMaximum = self.receiveMaximum }
        if self.version == .v5 { connAck.properties.topicAliasMaximum = 2 }
        self.hasSession = true
        self.isConnected = true
        return [.connack(connAck)] + self.waiting.map { self.packet($0, dup: true) }
    }

    private mutating func published(_ publish: Publish) -> [MQTTPacket] {
        if let alias = publish.properties.topicAlias {
            if !publish.namesTopicByAliasOnly { self.aliases[alias] = publish.topic }
            if self.aliases[alias] == nil { self.complaints.append("alias \(alias) stands for nothing") }
        }
        let topic = publish.namesTopicByAliasOnly ? self.aliases[publish.properties.topicAlias ?? 0] : publish.topic
        if topic?.description != "some/topic" { self.complaints.append("topic \(topic?.description ?? "none")") }
        let text = String(buffer: publish.payload)
        if publish.qos != .atMostOnce { self.open.insert(publish.packetID) }
        if self.receiveMaximum > 0, self.version == .v5, self.open.count > Int(self.receiveMaximum) {
            self.complaints.append("\(self.open.count) messages open")
        }
        switch publish.qos {
        case .atMostOnce: return []
        case .atLeastOnce:
            self.open.remove(publish.packetID)
            self.taken.append(text)
            return [.puback(PubAck(packetID: publish.packetID))]
        case .exactlyOnce:
            if self.received.insert(publish.packetID).inserted {
                self.taken.append(text)
            } else if !publish.dup {
                self.complaints.append("identifier \(publish.packetID) used twice")
            }
            return [.pubrec(PubAck(packetID: publish.packetID))]
        }
    }
}
