import MQTTCodec
import NIOCore

/// What a broker of the standard takes from a client, by what it said in its CONNACK.
struct BrokerModel {
    private var limits = MQTTProperties()
    private var aliases: [UInt16: TopicName] = [:]
    /// PUBLISHes of this connection that it has not answered to the end.
    private var unanswered: Set<UInt16> = []

    /// A connection begins, with this CONNACK.
    mutating func connected(_ limits: MQTTProperties) {
        self.limits = limits
        self.aliases = [:]
        self.unanswered = []
    }

    /// It sends a packet, which may be an answer.
    mutating func sent(_ frame: MQTTFrame, version: MQTTVersion, isConnected: Bool) {
        guard isConnected, let packet = try? MQTTPacket(frame: frame, version: version, from: .server) else { return }
        switch packet {
        case .puback(let answer), .pubcomp(let answer): self.unanswered.remove(answer.packetID)
        case .pubrec(let answer) where answer.reasonCode.isFailure: self.unanswered.remove(answer.packetID)
        default: break
        }
    }

    /// Takes the next packet of the client.
    mutating func receive(_ bytes: inout ByteBuffer, version: MQTTVersion) {
        let size = bytes.readableBytes
        let packet: MQTTPacket
        do throws(MQTTDecodeError) {
            guard let frame = try MQTTFrameDecoder.nextFrame(&bytes, maxPacketSize: .max) else {
                fatalError("half a packet")
            }
            packet = try MQTTPacket(frame: frame, version: version, from: .client)
        } catch {
            fatalError("a packet that the broker refuses: \(error)")
        }
        switch packet {
        case .connect, .disconnect: return
        case .publish(let publish): self.take(publish)
        case .puback, .pubrec, .pubrel, .pubcomp, .subscribe, .pingreq: break
        default: fatalError("\(packet.type) of a client")
        }
        let limit = Int(self.limits.maximumPacketSize ?? .max)
        expect(size - bytes.readableBytes <= limit, "\(packet.type) larger than the broker takes")
    }

    private mutating func take(_ publish: Publish) {
        expect(publish.qos <= self.limits.maximumQoS ?? .exactlyOnce, "QoS above the maximum")
        expect(!publish.retain || self.limits.retainAvailable ?? true, "a retained message")
        var topic = publish.topic
        if let alias = publish.properties.topicAlias {
            expect(alias <= self.limits.topicAliasMaximum ?? 0, "an alias above the broker's maximum")
            if publish.namesTopicByAliasOnly {
                guard let known = self.aliases[alias] else { fatalError("an alias that the broker was not told") }
                topic = known
            } else {
                self.aliases[alias] = topic
            }
            Tally.count("aliases sent")
        }
        expect(topic.description.hasPrefix("some/topic/"), "topic \(topic)")
        guard publish.qos != .atMostOnce else { return }
        expect(self.unanswered.insert(publish.packetID).inserted, "identifier \(publish.packetID) is in use")
        expect(self.unanswered.count <= Int(self.limits.receiveMaximum ?? .max), "more than the Receive Maximum")
    }
}
