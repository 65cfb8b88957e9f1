import COpenSSL
import NIOCore

/// One peer's SSL: datagrams and plaintext in and out, no sockets. Belongs to one event loop.
@safe final class DTLSSession {
    /// What came of a datagram.
    enum Outcome {
        /// More has to come.
        case open
        /// The peer said that it is done.
        case closed
        /// The handshake can't go on.
        case failed(OpenSSLError)
    }

    /// Kept alive here, as OpenSSL's callbacks borrow from it.
    let context: DTLSContext
    private let ssl: OpaquePointer
    /// Of the peer; the spare session's changes with each hello.
    var address: DTLSAddress
    /// The datagram that is being read.
    private var incoming: ByteBuffer?
    /// Datagrams to send.
    private var outgoing: [ByteBuffer] = []

    /// Of the ClientHello that made it: a repetition of that is for this session, any other begins anew.
    var clientRandom: [UInt8] = []
    /// As it came, at most 65 bytes.
    var identityOnWire: [UInt8]?
    private(set) var identity: [UInt8]?
    private(set) var isIdentityKnown = false
    /// Of the key in use: ``DTLSTicket``.
    private(set) var keyMark: [UInt8] = []

    // The server's.
    var id: UInt32 = 0
    var isEstablished = false
    var began: NIODeadline = .uptimeNanoseconds(0)
    var lastHeard: NIODeadline = .uptimeNanoseconds(0)
    var retransmitAt: NIODeadline = .distantFuture
    var retransmitWait: TimeAmount = .seconds(1)
    /// Microseconds after which OpenSSL itself sends a flight again. Tests make that of a client short.
    var ownTimer = UInt32.max
    /// The datagrams of the last flight of a handshake, to be sent again as they are.
    var flight: [ByteBuffer] = []

    /// The client's Finished has come, good or not.
    var hasFinishedCome = false
    /// The owner was told that the handshake leads nowhere.
    var isTold = false

    init(_ context: DTLSContext, address: DTLSAddress, maxDatagramBytes: Int, isClient: Bool = false) throws(TLSError) {
        OpenSSLError.clear()
        guard let ssl = unsafe SSL_new(context.raw) else { throw DTLSContext.failure("SSL_new") }
        self.context = context
        unsafe self.ssl = ssl
        self.address = address
        // From here on `deinit` cleans up.
        guard let bio = unsafe DTLSDatagramBIO.make(for: self) else { throw DTLSContext.failure("BIO_new") }
        unsafe SSL_set_bio(ssl, bio, bio)  // Takes the one reference.
        _ = unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        if isClient {
            unsafe SSL_set_connect_state(ssl)
        } else {
            unsafe SSL_set_accept_state(ssl)
            _ = unsafe SSL_set_options(ssl, shim_SSL_OP_COOKIE_EXCHANGE)
        }
        // Its timer goes by the clock on the wall, which may jump: it is put off for longer than a handshake may take.
        unsafe DTLS_set_timer_cb(ssl) { ssl, _ in unsafe DTLSSession.of(ssl)?.ownTimer ?? .max }
        // On every SSL: without it a handshake fails without a word.
        guard unsafe shim_SSL_set_mtu(ssl, maxDatagramBytes) > 0 else { throw DTLSContext.failure("SSL_set_mtu") }
    }

    deinit { unsafe SSL_free(self.ssl) }

    /// The session of an SSL, for callbacks.
    static func of(_ ssl: OpaquePointer?) -> DTLSSession? {
        guard let ssl = unsafe ssl, let data = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
        return unsafe Unmanaged<DTLSSession>.fromOpaque(data).takeUnretainedValue()
    }

    // MARK: From the server

    /// Looks at a ClientHello of `address`: true if its cookie is good, and this session is that peer's from now on.
    /// Otherwise a HelloVerifyRequest may be in what is to send, and nothing is kept.
    func listen(_ datagram: ByteBuffer, from address: DTLSAddress) -> Bool {
        self.address = address
        self.incoming = datagram
        defer { self.incoming = nil }
        guard let peer = unsafe BIO_ADDR_new() else { return false }
        defer { unsafe BIO_ADDR_free(peer) }
        OpenSSLError.clear()
        let result = unsafe DTLSv1_listen(self.ssl, peer)
        OpenSSLError.clear()
        return result == 1
    }

    /// Takes one datagram, or none to begin with, and hands what was inside to `deliver`, once the handshake is done.
    func receive(_ datagram: ByteBuffer?, deliver: (ByteBuffer) -> Void) -> Outcome {
        self.incoming = datagram
        defer {
            self.incoming = nil
            self.freeBuffers()
        }
        for _ in 0..<64 {  // Records in a datagram.
            OpenSSLError.clear()
            let target = unsafe self.context.scratch
            let read = unsafe SSL_read(self.ssl, target.baseAddress, Int32(target.count))
            guard read <= 0 else {
                unsafe deliver(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: target[..<Int(read)])))
                // Asking for more than there is would cost a look at the clock.
                guard unsafe self.incoming != nil || SSL_has_pending(self.ssl) == 1 else { return .open }
                continue
            }
            switch unsafe SSL_get_error(self.ssl, read) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .open
            case SSL_ERROR_ZERO_RETURN: return .closed
            default: return .failed(OpenSSLError(call: "SSL_read"))
            }
        }
        return .open
    }

    /// Half of what a session holds: 33 KB that it needs for as long as it handles a datagram. OpenSSL's own mode for that leaves them to
    /// DTLS.
    func freeBuffers() {
        if self.isEstablished { _ = unsafe SSL_free_buffers(self.ssl) }
    }

    /// Seconds until OpenSSL would send a flight again by itself; `nil`: never.
    var ownTimeout: Int? {
        let seconds = unsafe shim_DTLSv1_get_timeout(self.ssl)
        return seconds < 0 ? nil : seconds
    }

    /// Seals one datagram's plaintext; false if it can't be.
    func write(_ plaintext: ByteBuffer) -> Bool {
        OpenSSLError.clear()
        // SSL_read makes its buffers if they are not there; in DTLS nothing else does.
        guard unsafe SSL_alloc_buffers(self.ssl) == 1 else { return false }
        defer { self.freeBuffers() }
        return unsafe plaintext.withUnsafeReadableBytes { source in
            unsafe SSL_write(self.ssl, source.baseAddress, Int32(clamping: source.count)) == source.count
        }
    }

    /// Says that this side is done.
    func shutdown() {
        OpenSSLError.clear()
        guard unsafe SSL_alloc_buffers(self.ssl) == 1 else { return }
        _ = unsafe SSL_shutdown(self.ssl)
        OpenSSLError.clear()
    }

    var isHandshakeComplete: Bool { unsafe SSL_is_init_finished(self.ssl) == 1 }

    /// Whether the client has nothing left to say but Finished. OpenSSL drops one under another key without a word, as any record that
    /// does not verify.
    var isFinishedMissing: Bool { unsafe SSL_get_state(self.ssl) == TLS_ST_SR_CHANGE }

    /// Whether the session was resumed from a ticket: then nobody was asked for a key.
    var isResumed: Bool { unsafe SSL_session_reused(self.ssl) == 1 }

    /// Whose key it was, also of a session that was resumed.
    var provenIdentity: [UInt8] {
        if let identity = self.identity { return identity }
        guard let text = unsafe SSL_get_psk_identity(self.ssl) else { return [] }
        // As bytes: a String would mend what is no UTF-8.
        var bytes: [UInt8] = []
        while unsafe text[bytes.count] != 0 { unsafe bytes.append(UInt8(bitPattern: text[bytes.count])) }
        return bytes
    }

    /// OpenSSL's name of the suite.
    var suite: String {
        guard let cipher = unsafe SSL_get_current_cipher(self.ssl), let name = unsafe SSL_CIPHER_get_name(cipher) else {
            return ""
        }
        return unsafe String(cString: name)
    }

    func takeOutgoing() -> [ByteBuffer] {
        defer { self.outgoing = [] }
        return self.outgoing
    }

    /// A client's, for tests: what it needs to come back by a ticket.
    func resumption() -> DTLSResumption? {
        // A copy: the original is worth nothing once its SSL is freed without a farewell.
        guard let own = unsafe SSL_get_session(self.ssl), let state = unsafe SSL_SESSION_dup(own) else { return nil }
        return unsafe DTLSResumption(taking: state)
    }

    /// A client's, for tests: comes back by a ticket.
    func resume(_ resumption: DTLSResumption) { _ = unsafe SSL_set_session(self.ssl, resumption.state) }

    // MARK: From callbacks

    func presented(_ identity: [UInt8], isKnown: Bool, keyMark: [UInt8]) {
        self.identity = identity
        self.isIdentityKnown = isKnown
        self.keyMark = keyMark
    }

    /// Whether the key of the handshake is still the identity's: it may have been replaced or revoked while the peer took its time.
    var hasPresentKey: Bool {
        guard let identity = self.identity, let key = self.context.key(of: identity) else { return false }
        return ConstantTime.equal(DTLSTicket.mark(of: key), self.keyMark)
    }

    /// Whether a ticket for this identity and key is still good.
    func resumes(_ identity: [UInt8], mark: [UInt8]) -> Bool {
        guard let key = self.context.key(of: identity), ConstantTime.equal(DTLSTicket.mark(of: key), mark) else {
            return false
        }
        self.presented(identity, isKnown: true, keyMark: mark)
        return true
    }

    /// Hands over the datagram; what does not fit is lost, as with a socket. 0: there is none.
    func provideDatagram(to target: UnsafeMutableRawBufferPointer) -> Int {
        guard let datagram = self.incoming else { return 0 }
        self.incoming = nil
        let count = min(target.count, datagram.readableBytes)
        unsafe datagram.withUnsafeReadableBytes {
            unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count]))
        }
        return count
    }

    func acceptDatagram(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.outgoing.append(ByteBuffer(bytes: bytes))
    }
}

/// Owner of an SSL_SESSION, for clients of tests.
@safe final class DTLSResumption {
    fileprivate let state: OpaquePointer

    fileprivate init(taking state: OpaquePointer) { unsafe self.state = state }

    deinit { unsafe SSL_SESSION_free(self.state) }
}
