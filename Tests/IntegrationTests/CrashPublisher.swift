import Foundation
import Synchronization
import TestSupport

/// A node on a thread of its own, which publishes numbers at a rate, and after each end of its connection sends again what it
/// was not acknowledged, in order, as the standard says (MQTT 3.1.1 §4.4).
final class CrashPublisher: Sendable {
    /// Most messages on their way.
    private static let window = 200

    private struct Control {
        /// Where the gateway listens now; nil while it is down.
        var port: Int?
        /// No new numbers; what is on its way is brought to its end.
        var isLast = false
        var isAborted = false
        var isFinished = false
        var problem: String?
    }

    private struct Flight {
        let number: Int
        let id: UInt16
        /// PUBREC came.
        var isReleased = false
    }

    private let control = Mutex(Control())
    private let ledger: CrashLedger
    private let qos: UInt8
    private let rate: Int

    /// - Parameters:
    ///   - qos: 1 or 2.
    ///   - rate: Messages a second.
    init(ledger: CrashLedger, qos: UInt8, rate: Int) {
        self.ledger = ledger
        self.qos = qos
        self.rate = rate
    }

    func start() {
        Thread { self.run() }.start()
    }

    /// The gateway listens here from now on; nil: it is down.
    func connect(to port: Int?) { self.control.withLock { $0.port = port } }

    /// Ends when all is acknowledged, or at once.
    func end(atOnce: Bool = false) {
        self.control.withLock { control in
            control.isLast = true
            control.isAborted = atOnce
        }
    }

    var isFinished: Bool { self.control.withLock { $0.isFinished } }
    /// What the gateway did that it must not do.
    var problem: String? { self.control.withLock { $0.problem } }

    // MARK: The thread

    private func run() {
        var flights: [Flight] = []
        var next = 0
        var isFirst = true
        var isOver = false
        while !isOver {
            guard let port = self.control.withLock({ $0.port }) else {
                Thread.sleep(forTimeInterval: 0.002)
                isOver = self.control.withLock { $0.isAborted }
                continue
            }
            do {
                let peer = try MQTTPeer(port: port, .kept("node", level: 4))
                if !peer.isPresent, !isFirst, self.qos == 2 { self.fail("the session is lost") }
                if isFirst { try peer.subscribe("nothing") }  // So that the session is stored.
                isFirst = false
                try self.resend(flights, peer)
                try self.exchange(&flights, &next, peer)
                isOver = true
            } catch {
                // The gateway was killed, or is about to be.
                isOver = self.control.withLock { $0.isAborted }
                Thread.sleep(forTimeInterval: 0.002)
            }
        }
        self.control.withLock { $0.isFinished = true }
    }

    private func fail(_ words: String) { self.control.withLock { $0.problem = words } }

    private func resend(_ flights: [Flight], _ peer: MQTTPeer) throws {
        for flight in flights {
            if flight.isReleased {
                try peer.send(.pubrel, flight.id)
            } else {
                try self.publish(flight, isDuplicate: true, peer)
            }
        }
    }

    private func publish(_ flight: Flight, isDuplicate: Bool, _ peer: MQTTPeer) throws {
        self.ledger.sent(flight.number)
        let topic = "nodes/lamp/" + CrashLedger.topic(of: flight.number)
        try peer.publish(topic, "\(flight.number)", qos: self.qos, id: flight.id, isDuplicate: isDuplicate)
    }

    /// Until the connection ends, or all is done.
    private func exchange(_ flights: inout [Flight], _ next: inout Int, _ peer: MQTTPeer) throws {
        let begin = ContinuousClock.now
        let first = next
        while true {
            let (isLast, isAborted) = self.control.withLock { ($0.isLast, $0.isAborted) }
            if isAborted || isLast && flights.isEmpty { return }
            let elapsed = ContinuousClock.now - begin
            let due = first + Int(elapsed / .milliseconds(1)) * self.rate / 1000
            while !isLast, next < due, flights.count < Self.window {
                let flight = Flight(number: next, id: UInt16(next % 60_000 + 1))
                flights.append(flight)
                next += 1
                try self.publish(flight, isDuplicate: false, peer)
            }
            guard peer.raw.canReceive(within: .milliseconds(2)) else { continue }
            repeat { try self.take(try peer.next(), &flights, peer) } while peer.raw.canReceive(within: .zero)
        }
    }

    private func take(_ packet: MQTTPeer.Packet, _ flights: inout [Flight], _ peer: MQTTPeer) throws {
        guard let kind = MQTTPeer.Acknowledgement(rawValue: packet.first),
            let place = flights.firstIndex(where: { $0.id == packet.id })
        else { return self.fail("\(packet) answers nothing") }
        switch kind {
        case .puback where self.qos == 1:
            self.ledger.acknowledged(flights.remove(at: place).number)
        case .pubrec where self.qos == 2:
            flights[place].isReleased = true
            self.ledger.acknowledged(flights[place].number)
            try peer.send(.pubrel, packet.id)
        case .pubcomp where flights[place].isReleased:
            flights.remove(at: place)
        default: self.fail("\(packet) came for \(flights[place])")
        }
    }
}
