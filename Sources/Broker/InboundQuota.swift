import MQTTCodec

/// How many QoS 1 and QoS 2 messages a client has sent that are not answered to the end: no more than the Receive Maximum
/// it was told (MQTT 5.0 §4.9).
struct InboundQuota {
    private let maximum: Int
    private var atLeastOnce = 0
    /// From PUBLISH to PUBCOMP, so that a repetition is not counted again.
    private var exactlyOnce: Set<UInt16> = []

    init(maximum: UInt16) {
        self.maximum = Int(maximum)
    }

    /// A PUBLISH came.
    ///
    /// - Returns: False if it is one more than the client may send `[MQTT-3.3.4-7]`.
    mutating func take(_ publish: Publish) -> Bool {
        switch publish.qos {
        case .atMostOnce: return true
        case .exactlyOnce where self.exactlyOnce.contains(publish.packetID): return true
        case .atLeastOnce, .exactlyOnce: break
        }
        guard self.atLeastOnce + self.exactlyOnce.count < self.maximum else { return false }
        if publish.qos == .exactlyOnce {
            self.exactlyOnce.insert(publish.packetID)
        } else {
            self.atLeastOnce += 1
        }
        return true
    }

    /// An answer goes out: PUBACK, PUBCOMP and a PUBREC with a failure free the place of their message.
    mutating func answered(_ packetID: UInt16, with type: MQTTPacketType, _ code: ReasonCode) {
        switch type {
        case .puback: self.atLeastOnce = max(0, self.atLeastOnce - 1)
        case .pubcomp: self.exactlyOnce.remove(packetID)
        case .pubrec where code.isFailure: self.exactlyOnce.remove(packetID)
        default: break  // PUBREC with success, PUBREL: the message is still under way.
        }
    }
}
