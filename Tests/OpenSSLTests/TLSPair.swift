import NIOCore

@testable import OpenSSL

/// A client and a server that talk through memory, and what each of them made of it.
final class TLSPair {
    let client: TLSConnection
    let server: TLSConnection
    private(set) var clientError: TLSError?
    private(set) var serverError: TLSError?
    private(set) var clientReceived = ByteBuffer()
    private(set) var serverReceived = ByteBuffer()
    /// Every byte that crossed, by sender.
    private(set) var fromClient: [UInt8] = []
    private(set) var fromServer: [UInt8] = []
    /// Bytes handed over at a time.
    var portion = Int.max

    init(_ client: TLSConnection, _ server: TLSContext) throws {
        self.client = client
        self.server = try TLSConnection(context: server)
    }

    convenience init(_ client: TLSConfiguration, _ server: TLSContext, serverName: String? = nil) throws {
        try self.init(try TLSConnection(context: TLSContext(client), serverName: serverName), server)
    }

    convenience init(_ client: TLSConfiguration, _ server: TLSConfiguration, serverName: String? = nil) throws {
        try self.init(client, TLSContext(server), serverName: serverName)
    }

    /// Handshake, or as much of it as works.
    func connect() {
        do throws(TLSError) { try self.client.start() } catch { self.clientError = error }
        do throws(TLSError) { try self.server.start() } catch { self.serverError = error }
        self.exchange()
    }

    /// Carries bytes both ways until there are none.
    func exchange() {
        var moved = true
        while moved {
            moved = false
            if let bytes = self.client.takeCiphertext() {
                moved = true
                self.fromClient += bytes.readableBytesView
                self.feed(bytes, to: self.server, &self.serverReceived, &self.serverError)
            }
            if let bytes = self.server.takeCiphertext() {
                moved = true
                self.fromServer += bytes.readableBytesView
                self.feed(bytes, to: self.client, &self.clientReceived, &self.clientError)
            }
        }
    }

    private func feed(
        _ bytes: ByteBuffer,
        to connection: TLSConnection,
        _ received: inout ByteBuffer,
        _ failure: inout TLSError?
    ) {
        var bytes = bytes
        while let part = bytes.readSlice(length: min(self.portion, bytes.readableBytes)), part.readableBytes > 0 {
            connection.receive(part)
            do throws(TLSError) { try connection.readPlaintext(into: &received) } catch { failure = failure ?? error }
        }
    }

    var isComplete: Bool { self.client.isHandshakeComplete && self.server.isHandshakeComplete }

    /// The alert that ends the server's bytes, in the clear: (level, description).
    var serverAlert: [UInt8]? {
        guard self.fromServer.count >= 7, self.fromServer.suffix(7).first == 21 else { return nil }
        return Array(self.fromServer.suffix(2))
    }
}
