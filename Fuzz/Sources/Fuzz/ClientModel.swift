import Broker
import MQTTCodec
import NIOCore

/// What a client of the standard takes from a server, by what it said in its CONNECT.
struct ClientModel {
    private let version: MQTTVersion
    private let maximumPacketSize: Int
    private let topicAliasMaximum: UInt16
    private var aliases: [UInt16: TopicName] = [:]

    init(_ connect: Connect, _ limits: ServerConnection.Limits) {
        self.version = connect.version
        self.maximumPacketSize = Int(connect.properties.maximumPacketSize ?? .max)
        self.topicAliasMaximum = connect.properties.topicAliasMaximum ?? 0
    }

    /// The packet as it arrives: within the client's limit, and one that a server may send.
    @discardableResult
    private func read(_ packet: MQTTPacket) -> MQTTPacket {
        var bytes = ByteBuffer()
        packet.encode(into: &bytes, version: self.version)
        expect(bytes.readableBytes <= self.maximumPacketSize, "\(packet.type) larger than the client takes")
        do throws(MQTTDecodeError) {
            guard let frame = try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: self.maximumPacketSize) else {
                fatalError("\(packet.type) that is no whole frame")
            }
            return try MQTTPacket(frame: frame, version: self.version, from: .server, maxUserProperties: .max)
        } catch {
            fatalError("\(packet.type) that the client refuses: \(error)")
        }
    }

    func take(_ packet: MQTTPacket) { self.read(packet) }

    /// The last packet before the close, which says nothing good.
    func takeLast(_ packet: MQTTPacket?) {
        guard let packet else { return }
        switch self.read(packet) {
        case .connack(let connAck): expect(connAck.reasonCode.isFailure, "let in and closed")
        case .disconnect(let disconnect):
            expect(self.version == .v5 && disconnect.reasonCode.isFailure, "a DISCONNECT without a reason")
        default: fatalError("\(packet.type) as the last word")
        }
    }

    /// A message: its topic is the one that was meant, by name or by an alias that the client has been told.
    mutating func take(_ publish: Publish, of message: Message) {
        guard case .publish(let read) = self.read(.publish(publish)) else { fatalError("another packet") }
        var topic = read.topic
        if let alias = read.properties.topicAlias {
            expect(alias <= self.topicAliasMaximum, "an alias above the client's maximum")
            if read.namesTopicByAliasOnly {
                guard let known = self.aliases[alias] else { fatalError("an alias that the client was not told") }
                topic = known
            } else {
                self.aliases[alias] = topic
            }
            Tally.count("aliases sent")
        }
        expect(topic == message.topic && read.payload.hasSameBytesAs(message.payload), "another message")
        guard self.version == .v5 else { return }
        expect(read.properties.userProperties == message.properties.userProperties, "other user properties")
    }
}

extension ByteBuffer {
    fileprivate func hasSameBytesAs(_ other: ByteBuffer) -> Bool {
        self.readableBytesView.elementsEqual(other.readableBytesView)
    }
}
