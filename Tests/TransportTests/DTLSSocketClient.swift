import CoAPCodec
import NIOCore
import TestSupport

@testable import OpenSSL

/// A DTLS client on a UDP socket of loopback. Blocks the calling thread.
final class DTLSSocketClient {
    struct NotConnected: Error {}

    let socket: RawUDPClient
    private let session: DTLSSession
    private var plaintexts: [ByteBuffer] = []

    convenience init(
        port: Int,
        address: String = "127.0.0.1",
        identity: String = "node1",
        key: [UInt8] = CoAPSocketSite.key
    ) throws {
        try self.init(RawUDPClient(port: port, address: address), identity: identity, key: key)
    }

    /// One that has started anew, on the port that it had.
    init(
        _ socket: RawUDPClient,
        identity: String = "node1",
        key: [UInt8] = CoAPSocketSite.key,
        suites: String = "PSK-AES128-CCM8:@SECLEVEL=0"
    ) throws {
        self.socket = socket
        let context = try DTLSContext(
            client: TLSPreSharedKey(identity: Array(identity.utf8), key: key),
            suites: suites
        )
        let peer = DTLSAddress(high: 0, low: 0, port: 0)
        self.session = try DTLSSession(context, address: peer, maxDatagramBytes: 1232, isClient: true)
    }

    /// Takes a datagram, or none to begin with, and sends what is to be sent.
    @discardableResult
    func step(_ datagram: ByteBuffer?) throws -> Bool {
        var isOpen = true
        if case .open = self.session.receive(datagram, deliver: { self.plaintexts.append($0) }) {
        } else {
            isOpen = false
        }
        for answer in self.session.takeOutgoing() { try self.socket.send(Array(answer.readableBytesView)) }
        return isOpen
    }

    /// The whole handshake.
    func connect() throws {
        try self.step(nil)
        while !self.session.isHandshakeComplete {
            guard try self.step(ByteBuffer(bytes: self.socket.receive())) else { throw NotConnected() }
        }
    }

    func send(_ bytes: [UInt8]) throws {
        _ = self.session.write(ByteBuffer(bytes: bytes))
        for datagram in self.session.takeOutgoing() { try self.socket.send(Array(datagram.readableBytesView)) }
    }

    /// The next plaintext; `nil`: the other side has closed the session.
    func receive() throws -> [UInt8]? {
        while self.plaintexts.isEmpty {
            guard try self.step(ByteBuffer(bytes: self.socket.receive())) else { return nil }
        }
        return Array(self.plaintexts.removeFirst().readableBytesView)
    }

    /// Sends a request and waits for its answer.
    func ask(_ path: String, id: UInt16, payload: String = "") throws -> CoAPMessage {
        try self.send(CoAPBytes.request(path, id: id, payload: payload))
        guard let answer = try self.receive() else { throw NotConnected() }
        return try CoAPBytes.decode(answer)
    }
}
