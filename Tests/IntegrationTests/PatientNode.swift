import TestSupport

/// A node that sends one message at a time, again and again until it is acknowledged.
struct PatientNode {
    private var peer: MQTTPeer?

    /// - Throws: When a message is not taken within twenty seconds.
    mutating func publish(_ numbers: ClosedRange<Int>, to gateway: GatewayProcess) throws {
        for number in numbers { try self.publish(number, to: gateway) }
    }

    /// - Parameter limit: How long it tries.
    mutating func publish(
        _ number: Int,
        to gateway: GatewayProcess,
        padding: Int = 0,
        for limit: Duration = .patience
    ) throws {
        let clock = ContinuousClock()
        let begin = clock.now
        let text = "\(number)" + String(repeating: " ", count: padding)
        while true {
            do {
                let peer = try self.peer ?? MQTTPeer(port: try gateway.port(), .init(id: "node", level: 4))
                self.peer = peer
                try peer.publish("nodes/lamp/data", text, id: UInt16(number))
                try peer.expect(.puback, UInt16(number))
                return
            } catch  where clock.now - begin < limit {
                self.peer = nil
            } catch {
                let tail = gateway.log.lines.suffix(20).joined(separator: "\n")
                throw MQTTPeer.Unexpected(description: "\(number) is not taken: \(error); log:\n\(tail)")
            }
        }
    }

    mutating func leave() { self.peer = nil }
}
