import MQTTCodec

extension Session {
    /// Takes what the store has of the session.
    func restore(queue: [QueuedMessageRecord], held: [UInt16], messages: [Int64: KeptMessage]) {
        for record in queue {
            guard let kept = messages[record.message], let qos = QoS(rawValue: record.qos), qos != .atMostOnce else {
                continue
            }
            var entry = OutboundQueue.Entry(
                kept: kept,
                order: record.order,
                qos: qos,
                retain: record.retain,
                identifiers: record.subscriptionIdentifiers
            )
            entry.packetID = record.packetID
            entry.isReceived = record.isReceived
            entry.wasSent = record.packetID != 0
            self.outbound.append(entry)
        }
        // PUBREC may not have left before the end: the client's repetition, or its PUBREL, finds the identifier.
        for packetID in held { self.held[packetID] = true }
        self.countQueue()
    }
}
