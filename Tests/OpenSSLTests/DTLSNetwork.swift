import NIOCore

@testable import OpenSSL

/// A DTLS server and clients with addresses, and a clock that stands still unless told.
final class DTLSNetwork {
    static let key: [UInt8] = Array(repeating: 7, count: 16)

    let server: DTLSServer
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var clients: [DTLSAddress: DTLSSession] = [:]
    private var contexts: [DTLSContext] = []
    /// What the server asked for, besides sending.
    private(set) var events: [DTLSAction] = []
    /// What each client got, as text.
    private(set) var received: [DTLSAddress: [String]] = [:]
    /// Datagrams of clients, to be sent again by a test.
    private(set) var fromClients: [(bytes: ByteBuffer, address: DTLSAddress)] = []
    /// Datagrams to clients.
    private(set) var fromServer: [(bytes: ByteBuffer, address: DTLSAddress)] = []
    /// Datagrams of clients of which this says false are lost.
    var passes: (ByteBuffer) -> Bool = { _ in true }
    /// The same for those of the server.
    var passesBack: (ByteBuffer) -> Bool = { _ in true }

    convenience init(_ change: (inout DTLSConfiguration) -> Void = { _ in }) throws {
        let keys: TLSConfiguration.KeyLookup = { identity in
            String(decoding: identity, as: UTF8.self).hasPrefix("node") ? Self.key : nil
        }
        try self.init(keys: keys, change)
    }

    init(keys: @escaping TLSConfiguration.KeyLookup, _ change: (inout DTLSConfiguration) -> Void) throws {
        var configuration = DTLSConfiguration(keyLookup: keys)
        configuration.handshakesPerSecond = .max  // The clock stands still.
        change(&configuration)
        self.server = try DTLSServer(configuration)
    }

    static func address(_ port: UInt16, host: UInt64 = 1) -> DTLSAddress {
        DTLSAddress(high: 0, low: 0xFFFF_7F00_0000 | host, port: port)
    }

    /// A client begins a handshake, as often as it likes from one port.
    func connect(
        _ port: UInt16,
        host: UInt64 = 1,
        identity: String = "node1",
        key: [UInt8] = DTLSNetwork.key,
        suites: String = DTLSContext.suites,
        resuming resumption: DTLSResumption? = nil
    ) throws {
        let context = try DTLSContext(
            client: TLSPreSharedKey(identity: Array(identity.utf8), key: key),
            suites: suites
        )
        self.contexts.append(context)
        let address = Self.address(port, host: host)
        let client = try DTLSSession(context, address: address, maxDatagramBytes: 1232, isClient: true)
        if let resumption { client.resume(resumption) }
        self.clients[address] = client
        _ = client.receive(nil) { _ in }
        self.exchange(client)
    }

    func client(_ port: UInt16) -> DTLSSession? { self.clients[Self.address(port)] }

    /// A client says something.
    func say(_ text: String, from port: UInt16) {
        guard let client = self.client(port) else { return }
        _ = client.write(ByteBuffer(string: text))
        self.exchange(client)
    }

    /// A client looks at its timer.
    func wake(_ port: UInt16) {
        guard let client = self.client(port) else { return }
        _ = client.receive(nil) { _ in }
        self.exchange(client)
    }

    /// Carries datagrams both ways until there are none.
    private func exchange(_ client: DTLSSession) {
        var datagrams = client.takeOutgoing()
        while !datagrams.isEmpty {
            for datagram in datagrams {
                self.fromClients.append((datagram, client.address))
                if self.passes(datagram) { self.feed(datagram, from: client.address) }
            }
            datagrams = self.clients.values.flatMap { $0.takeOutgoing() }
        }
    }

    /// Hands a datagram to the server, and what comes back to the client of that address.
    func feed(_ datagram: ByteBuffer, from address: DTLSAddress) {
        var actions: [DTLSAction] = []
        self.server.receive(datagram, from: address, now: self.now, into: &actions)
        self.perform(actions)
    }

    func send(_ text: String, session: UInt32) -> Bool {
        var actions: [DTLSAction] = []
        let isSent = self.server.send(ByteBuffer(string: text), session: session, into: &actions)
        self.perform(actions)
        return isSent
    }

    func close(_ session: UInt32) {
        var actions: [DTLSAction] = []
        self.server.close(session, into: &actions)
        self.perform(actions)
    }

    func pass(_ time: TimeAmount) {
        let end = self.now + time
        while let next = self.server.nextDeadline, next <= end {
            self.now = max(self.now, next)
            var actions: [DTLSAction] = []
            self.server.tick(now: self.now, into: &actions)
            self.perform(actions)
            for client in Array(self.clients.values) { self.exchange(client) }
        }
        self.now = end
    }

    private func perform(_ actions: [DTLSAction]) {
        for action in actions {
            guard case .send(let datagram, let address) = action else {
                self.events.append(action)
                continue
            }
            self.fromServer.append((datagram, address))
            guard self.passesBack(datagram), let client = self.clients[address] else { continue }
            _ = client.receive(datagram) { self.received[address, default: []].append(String(buffer: $0)) }
        }
    }

    // MARK: Looking

    /// The server's side of a handshake.
    func halfOpenSession(_ port: UInt16) -> DTLSSession? { self.server.session(of: Self.address(port)) }

    func takeEvents() -> [DTLSAction] {
        defer { self.events = [] }
        return self.events
    }

    /// Sessions that were established, and by whom.
    var established: [(session: UInt32, identity: String)] {
        self.events.compactMap { event in
            guard case .established(let session, _, let identity, _) = event else { return nil }
            return (session, String(decoding: identity, as: UTF8.self))
        }
    }

    /// Of those, whether by a ticket.
    var areResumed: [Bool] {
        self.events.compactMap { if case .established(_, _, _, let isResumed) = $0 { isResumed } else { nil } }
    }

    /// What the server got, as text.
    var heard: [String] {
        self.events.compactMap { if case .received(_, let bytes) = $0 { String(buffer: bytes) } else { nil } }
    }

    var ended: [DTLSEnd] { self.events.compactMap { if case .ended(_, let reason) = $0 { reason } else { nil } } }

    /// Handshakes that came to nothing: identities, and whether they are known.
    var unfinished: [String] {
        self.events.compactMap { event in
            guard case .unfinished(_, let identity, let isKnown) = event else { return nil }
            return "\(String(decoding: identity, as: UTF8.self)) \(isKnown)"
        }
    }
}

extension DTLSRecord {
    /// Of a server: HelloVerifyRequest.
    var isVerifyRequest: Bool { self.handshakeType == 3 }
    /// Of a server: its last flight begins here, with NewSessionTicket or ChangeCipherSpec.
    var isFinal: Bool { self.type == 20 || self.handshakeType == 4 }
}
