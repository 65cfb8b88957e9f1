import Foundation
import TestSupport

/// Holds one conversation with a server. Blocks the calling thread.
struct ConversationRunner {
    /// The server said something else.
    struct Unexpected: Error, CustomStringConvertible {
        let description: String
    }

    /// One of its connections.
    private final class Connection {
        let client: RawMQTTClient
        var pending: [UInt8]?
        var skipped: Set<UInt8> = []

        init(port: Int) throws {
            self.client = try RawMQTTClient(port: port)
        }

        /// nil at its end.
        func next() throws -> [UInt8]? {
            if let packet = self.pending.take() { return packet }
            while let packet = try self.client.receivePacketBytes() {
                if !self.skipped.contains(packet[0]) { return packet }
            }
            return nil
        }

        func send(_ bytes: [UInt8]) {
            // Where the server has closed already, the next step tells whether it should have.
            try? self.client.send(bytes)
        }
    }

    private let port: Int
    private var connections: [Int: Connection] = [:]
    private var number = 1
    private var variables: [String: UInt16] = [:]

    private init(port: Int) {
        self.port = port
    }

    /// - Throws: an error that names the line.
    static func run(_ conversation: Conversation, port: Int) throws {
        var runner = ConversationRunner(port: port)
        runner.connections[1] = try Connection(port: port)
        var steps = conversation.steps[...]
        while let step = steps.popFirst() {
            do {
                if case .expectAmong(let first) = step.kind {
                    var group = [first]
                    while case .expectAmong(let next) = steps.first?.kind {
                        group.append(next)
                        steps.removeFirst()
                    }
                    while !group.isEmpty { try runner.expect(among: &group) }
                } else {
                    try runner.run(step)
                }
            } catch {
                throw Unexpected(description: "\(conversation.file):\(step.line): \(step.text): \(error)")
            }
        }
    }

    private var connection: Connection {
        get throws {
            guard let connection = self.connections[self.number] else {
                throw Unexpected(description: "connection \(self.number) is not open")
            }
            return connection
        }
    }

    private mutating func run(_ step: Conversation.Step) throws {
        switch step.kind {
        case .send(let bytes): try self.connection.send(try bytes.bytes(self.variables))
        case .sendEach(let limit, let bytes):
            guard let last = UInt16(limit) ?? self.variables[limit], last > 0 else {
                throw Unexpected(description: "{\(limit)} is not known, or 0")
            }
            for index in 1...last {
                try self.connection.send(try bytes.bytes(self.variables.merging(["i": index]) { $1 }))
            }
        case .expect(let patterns), .expectAmong(let patterns):
            var group = [patterns]
            try self.expect(among: &group)
        case .mayExpect(let patterns):
            guard let packet = try self.connection.next() else { return }
            if !self.take(packet, patterns) { try self.connection.pending = packet }
        case .skip(let byte): try self.connection.skipped.insert(byte)
        case .quiet:
            try self.connection.send([0xC0, 0])
            let packet = try self.connection.next()
            guard packet == [0xD0, 0] else { throw Unexpected(description: "got \(Self.text(packet)), not PINGRESP") }
        case .close:
            if let packet = try self.connection.next() { throw Unexpected(description: "got \(Self.text(packet))") }
        case .wait(let seconds): Thread.sleep(forTimeInterval: Double(seconds))
        case .cut: self.connections[self.number] = nil
        case .open(let number):
            self.number = number
            self.connections[number] = try Connection(port: self.port)
        case .on(let number): self.number = number
        }
    }

    /// Takes the next packet, and what it is as expected out of the group.
    private mutating func expect(among group: inout [[Conversation.Pattern]]) throws {
        guard let packet = try self.connection.next() else {
            throw Unexpected(description: "got \(Self.text(nil))")
        }
        for (index, patterns) in group.enumerated() where self.take(packet, patterns) {
            group.remove(at: index)
            return
        }
        throw Unexpected(description: "got \(Self.text(packet))")
    }

    private mutating func take(_ packet: [UInt8], _ patterns: [Conversation.Pattern]) -> Bool {
        for pattern in patterns {
            guard let variables = pattern.match(packet, self.variables) else { continue }
            self.variables = variables
            self.takeLimits(packet)
            return true
        }
        return false
    }

    /// What a CONNACK of 5.0 says of Receive Maximum and Topic Alias Maximum.
    private mutating func takeLimits(_ packet: [UInt8]) {
        let start = Conversation.Pattern.integerEnd(packet, at: 1) + 2
        guard packet[0] == 0x20, packet.count > start else { return }
        var values: [UInt8: UInt16] = [0x21: 65535, 0x22: 0]
        let sizes: [UInt8: Int] = [
            0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
        ]
        func pair(_ position: Int) -> UInt16 {
            position + 1 < packet.count ? UInt16(packet[position]) << 8 | UInt16(packet[position + 1]) : 0
        }
        var position = Conversation.Pattern.integerEnd(packet, at: start)
        while position < packet.count {
            let kind = packet[position]
            if values[kind] != nil { values[kind] = pair(position + 1) }
            position += 1 + (sizes[kind] ?? 0)
            for _ in 0..<(sizes[kind] != nil ? 0 : kind == 0x26 ? 2 : 1) { position += 2 + Int(pair(position)) }
        }
        let aliases = values[0x22] ?? 0
        self.variables["rm"] = values[0x21]
        self.variables["tam"] = aliases
        self.variables["tam+"] = aliases == .max ? aliases : aliases + 1
    }

    private static func text(_ packet: [UInt8]?) -> String {
        packet.map { hexText($0) } ?? "the end of the connection"
    }
}
