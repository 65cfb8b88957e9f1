import NIOCore
import Synchronization
import Testing

@testable import OpenSSL

@Suite("DTLS tickets")
struct DTLSTicketTests {
    private static let ticketKeys = [UInt8](repeating: 3, count: DTLSConfiguration.ticketKeyBytes)

    /// Keys that a test changes while the server runs.
    private final class Keys: Sendable {
        private let keys = Mutex(["node1": DTLSNetwork.key])

        subscript(_ identity: String) -> [UInt8]? {
            get { self.keys.withLock { $0[identity] } }
            set { self.keys.withLock { $0[identity] = newValue } }
        }
    }

    private func network(_ keys: Keys, _ ticketKeys: [UInt8]? = Self.ticketKeys) throws -> DTLSNetwork {
        try DTLSNetwork(keys: { keys[String(decoding: $0, as: UTF8.self)] }) { $0.ticketKeys = ticketKeys }
    }

    /// The records of a datagram, each as a datagram of its own.
    private static func records(of datagram: ByteBuffer) -> [ByteBuffer] {
        var rest = datagram
        var records: [ByteBuffer] = []
        while let length = rest.getInteger(at: rest.readerIndex + 11, as: UInt16.self),
            let record = rest.readSlice(length: 13 + Int(length))
        {
            records.append(record)
        }
        return records
    }

    /// A first handshake, and what the client keeps of it.
    private func ticket(_ network: DTLSNetwork) throws -> DTLSResumption {
        try network.connect(1)
        #expect(network.areResumed == [false])
        return try #require(network.client(1)?.resumption())
    }

    @Test("a client comes back by its ticket, and again by the one that it got then, and is told by its identity")
    func resumes() throws {
        let network = try self.network(Keys())
        let first = try self.ticket(network)
        try network.connect(2, resuming: first)
        let second = try #require(network.client(2)?.resumption())
        try network.connect(3, resuming: second)
        #expect(network.areResumed == [false, true, true])
        #expect(network.established.map(\.identity) == ["node1", "node1", "node1"])
        #expect(network.server.counters.resumptions == 2)
        network.say("here", from: 3)
        #expect(network.heard == ["here"])
    }

    @Test("a ticket outlives the server if its keys do")
    func restart() throws {
        let keys = Keys()
        let ticket = try self.ticket(self.network(keys))
        let same = try self.network(keys)
        try same.connect(1, resuming: ticket)
        #expect(same.areResumed == [true])
        let other = try self.network(keys, [UInt8](repeating: 4, count: DTLSConfiguration.ticketKeyBytes))
        try other.connect(1, resuming: ticket)
        #expect(other.areResumed == [false])
        let without = try self.network(keys, nil)
        try without.connect(1, resuming: ticket)
        #expect(without.areResumed == [false])
    }

    @Test("a ticket is worth nothing once the device has another key: the key is asked for")
    func rotated() throws {
        let keys = Keys()
        let network = try self.network(keys)
        let ticket = try self.ticket(network)
        let newer = [UInt8](repeating: 9, count: 16)
        keys["node1"] = newer
        // Who has the old key alone does not get in, neither by ticket nor by key.
        try network.connect(2, resuming: ticket)
        #expect(network.established.count == 1)
        try network.connect(3, key: newer, resuming: ticket)
        #expect(network.areResumed == [false, false])
        // The old key put back makes the ticket good again: it says no more than that the key is the same.
        keys["node1"] = DTLSNetwork.key
        try network.connect(4, resuming: ticket)
        #expect(network.areResumed == [false, false, true])
    }

    @Test("who holds back the end of a handshake until the key was replaced does not get in", arguments: [false, true])
    func replacedMeanwhile(isResumed: Bool) throws {
        let keys = Keys()
        let network = try self.network(keys)
        let ticket = try self.ticket(network)
        // Of the client's, ClientHellos alone arrive, and then what ends the handshake once the key is another.
        var held: [ByteBuffer] = []
        network.passes = { datagram in
            if DTLSRecord(datagram)?.clientRandom != nil { return true }
            held += Self.records(of: datagram)
            return false
        }
        try network.connect(2, resuming: isResumed ? ticket : nil)
        // ClientKeyExchange asks for the key: it comes in time.
        let inTime = isResumed ? 0 : 1
        for datagram in held.prefix(inTime) { network.feed(datagram, from: DTLSNetwork.address(2)) }
        let flights = network.fromServer.count
        keys["node1"] = [UInt8](repeating: 9, count: 16)
        for datagram in held.dropFirst(inTime) { network.feed(datagram, from: DTLSNetwork.address(2)) }
        #expect(held.count > inTime && network.established.count == 1)
        #expect(network.server.sessionCount == 1 && network.server.halfOpenCount == 0)
        #expect(network.fromServer.count == flights)
        #expect(network.unfinished == ["node1 true"])
    }

    @Test("tickets of replaced keys are worth nothing, and those of the new ones are good")
    func replacedTicketKeys() throws {
        let network = try self.network(Keys())
        let old = try self.ticket(network)
        network.server.replaceTicketKeys([1])
        try network.connect(2, resuming: old)
        network.server.replaceTicketKeys([UInt8](repeating: 5, count: DTLSConfiguration.ticketKeyBytes))
        try network.connect(3, resuming: old)
        let newer = try #require(network.client(3)?.resumption())
        try network.connect(4, resuming: newer)
        #expect(network.areResumed == [false, true, false, true])
    }

    @Test("a device that was revoked does not get in by its ticket")
    func revoked() throws {
        let keys = Keys()
        let network = try self.network(keys)
        let ticket = try self.ticket(network)
        keys["node1"] = nil
        try network.connect(2, resuming: ticket)
        network.pass(.seconds(31))
        #expect(network.established.count == 1)
        #expect(network.unfinished == ["node1 false"])
    }

    @Test("a flight of a resumption that is lost is sent again")
    func lost() throws {
        let network = try self.network(Keys())
        let ticket = try self.ticket(network)
        network.passesBack = { DTLSRecord($0).map(\.isVerifyRequest) ?? false }
        try network.connect(2, resuming: ticket)
        #expect(network.established.count == 1)
        network.passesBack = { _ in true }
        network.pass(.seconds(1))
        #expect(network.areResumed == [false, true])
    }
}
