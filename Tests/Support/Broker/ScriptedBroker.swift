import Foundation
import Synchronization

/// An MQTT broker of the tests' own, on a port of 127.0.0.1, for clients of 3.1.1 and 5.0: it does what a ``BrokerScript``
/// says, and writes down what came. One thread; safe from any other.
package final class ScriptedBroker: Sendable {
    /// A PUBLISH that came, in the order of arrival.
    package struct Message: Sendable, Equatable, CustomStringConvertible {
        /// Running number of the connection, from 1.
        package let connection: Int
        /// Topic, with its alias resolved.
        package let topic: String
        package let payload: [UInt8]
        package let qos: UInt8
        package let isDuplicate: Bool
        package let retain: Bool
        /// 0 at QoS 0.
        package let packetID: UInt16
        package let properties: [WireProperty]
        /// The broker has it: not refused, not dropped, and no repetition at QoS 2.
        package internal(set) var isTaken = true

        /// The payload as text.
        package var text: String { String(decoding: self.payload, as: UTF8.self) }
        /// For the log.
        package var description: String {
            let flags =
                (self.isDuplicate ? " dup" : "") + (self.retain ? " retain" : "") + (self.isTaken ? "" : " not-taken")
            return "qos=\(self.qos) id=\(self.packetID)\(flags) \(self.topic) = \(self.text)"
        }
    }

    /// Where it listens, whenever it does.
    package let port: Int
    /// What happened, line by line: `CONNECT #1 …`, `PUBLISH #1 …`, `CLOSED #1`; for tests that wait.
    package let log = OutputLog()
    private let core: BrokerCore

    /// Listens.
    ///
    /// - Parameter observe: Called for each message on the broker's thread, which waits for it.
    package init(_ script: BrokerScript = .init(), observe: (@Sendable (Message) -> Void)? = nil) throws {
        self.port = try FreePort.next()
        let core = try BrokerCore(BrokerMachine(script, log: self.log, observe: observe))
        self.core = core
        try core.listen(on: self.port)
        Thread.detachNewThread { core.run() }
    }

    deinit {
        self.core.change { $0.isOver = true }
    }

    // MARK: What came

    /// Everything that came, in order.
    package var messages: [Message] { self.core.machine { $0.messages } }
    /// What was taken, in order.
    package var taken: [Message] { self.messages.filter(\.isTaken) }
    /// What a client did that the standard, or the CONNACK, forbids.
    package var violations: [String] { self.core.machine { $0.violations } }
    /// QoS 2 messages that came again before they were released, and were not taken a second time.
    package var repeats: Int { self.core.machine { $0.repeats } }
    /// Connections so far.
    package var connections: Int { self.core.machine { $0.connects } }
    /// QoS 2 messages of clients that are not released yet.
    package var heldCount: Int { self.core.machine { $0.sessions.values.reduce(0) { $0 + $1.held.count } } }

    /// Waits until so many messages were taken, and returns all that were.
    package func taken(_ count: Int, within limit: Duration = .patience) async throws -> [Message] {
        _ = try await self.log.lines(count: count, within: limit) {
            $0.hasPrefix("PUBLISH ") && !$0.contains(" not-taken ")
        }
        return self.taken
    }

    /// Waits until a message with this payload was taken.
    @discardableResult
    package func taken(payload: String, within limit: Duration = .patience) async throws -> Message? {
        try await self.log.line("message \(payload)", within: limit) {
            $0.hasPrefix("PUBLISH ") && !$0.contains(" not-taken ") && $0.hasSuffix(" = \(payload)")
        }
        return self.taken.first { $0.text == payload }
    }

    /// Waits for the connection with this number.
    package func connected(_ number: Int, within limit: Duration = .patience) async throws {
        try await self.log.line(containing: "CONNECT #\(number) ", within: limit)
    }

    // MARK: What it does

    /// Changes the script, for what comes from now on.
    package func change(_ body: (inout BrokerScript) -> Void) {
        self.core.change { body(&$0.machine.script) }
    }

    /// Sends acknowledgements that are held back.
    package func release(_ count: Int = .max) {
        self.core.change { state in
            for key in state.machine.links.keys { state.machine.release(count, key) }
        }
    }

    /// A message to one client; it waits if the client is not there and keeps its session.
    ///
    /// - Parameter copies: How often the PUBLISH is written; every one but the first as a duplicate of the same message.
    package func send(
        _ topic: String,
        _ payload: String,
        qos: UInt8 = 1,
        retain: Bool = false,
        properties: [WireProperty] = [],
        to clientID: String,
        copies: Int = 1
    ) {
        let command = BrokerMachine.Command(
            id: 0,
            topic: topic,
            payload: Array(payload.utf8),
            qos: qos,
            retain: retain,
            properties: properties
        )
        self.core.change { $0.machine.command(command, to: clientID, copies: copies) }
    }

    /// Writes bytes to all clients that are connected.
    package func write(_ bytes: [UInt8]) {
        self.core.change { state in
            for key in state.machine.links.keys { state.machine.links[key]?.output += bytes }
        }
    }

    /// Resets all connections.
    package func cut() { self.core.change { $0.doomed.formUnion($0.machine.links.keys) } }

    /// From now on the present connections are half-open: nothing is read and nothing is written. New ones are not.
    package func freeze() {
        self.core.change { state in
            for key in state.machine.links.keys { state.machine.links[key]?.isFrozen = true }
        }
    }

    /// Connections are refused, and the present ones cut.
    package func stop() {
        self.cut()
        self.core.change { $0.stopListening() }
    }

    /// Connections are accepted again, on the same port.
    package func start() throws { try self.core.listen(on: self.port) }

    /// Sessions are lost, as those of a broker without a disk are.
    package func forgetSessions() { self.core.change { $0.machine.sessions = [:] } }
}
