import COpenSSL
package import NIOCore

/// One TLS connection as a machine: ciphertext and plaintext in and out, no sockets, no clock. Belongs to one event
/// loop.
///
/// The owner calls `start()` once, gives every read to `receive(_:)` and takes what comes of it with
/// `readPlaintext(into:)`, collects writes with `write(_:)`, encrypts them with `flush()`, and sends what
/// `takeCiphertext()` returns after each of these, also after one that threw: an alert for the peer may be in it.
@safe package final class TLSConnection {
    /// Kept alive here, as OpenSSL's callbacks borrow from it.
    package let context: TLSContext
    /// The name that the server's certificate must carry: a host name or an IP address.
    package let serverName: String?
    /// What a client shows in place of what the context has.
    private let credentials: TLSClientCredentials?
    private let ssl: OpaquePointer

    /// Ciphertext that OpenSSL hasn't read yet; empty between calls unless a handshake is stuck on an error.
    private var incoming = ByteBuffer()
    /// Ciphertext to send.
    private var outgoing = ByteBuffer()
    private var pendingWrites: [ByteBuffer] = []
    /// Ciphertext that has come and is not worked on.
    package var unreadBytes: Int { self.incoming.readableBytes }
    /// Plaintext bytes in `pendingWrites`, to be encrypted by the next `flush()`.
    package private(set) var pendingBytes = 0
    private var failure: TLSError?
    private var isClosing = false

    package private(set) var isHandshakeComplete = false
    /// Whether the peer sent close_notify: nothing more will come.
    package private(set) var isPeerClosed = false
    /// What the handshake proved; nil until it is complete.
    package private(set) var peer: TLSPeer?

    // Notes that the callbacks leave for the explanation of a failure.
    private var identity: [UInt8]?
    private var isIdentityKnown = true
    private var firstByte: UInt8?
    private var helloGuard = TLSHelloGuard()
    var verification: TLSVerification?
    var identityOnWire12: [UInt8]?
    /// From here on every fatal alert of the handshake reads bad_record_mac, as a wrong key would have it.
    var hidesAlerts = false

    /// A client needs `serverName` to check the server's certificate; without one every certificate is refused.
    ///
    /// - Parameter credentials: What a client shows in place of what the context has.
    package init(
        context: TLSContext,
        serverName: String? = nil,
        credentials: TLSClientCredentials? = nil
    ) throws(TLSError) {
        OpenSSLError.clear()
        guard let ssl = unsafe SSL_new(context.raw) else {
            throw TLSError(
                .protocolError,
                "out of memory for a connection",
                detail: OpenSSLError(call: "SSL_new").description
            )
        }
        self.context = context
        self.serverName = serverName
        self.credentials = credentials
        unsafe self.ssl = ssl
        let bio = try unsafe TLSMemoryBIO.make(for: self)
        unsafe SSL_set_bio(ssl, bio, bio)  // Takes the one reference.
        _ = unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        switch context.configuration.role {
        case .server: unsafe SSL_set_accept_state(ssl)
        case .client:
            unsafe SSL_set_connect_state(ssl)
            try self.expectServerName()
            try unsafe credentials?.apply(to: ssl)
        }
        if let time = context.configuration.verificationTime {
            unsafe X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), time_t(time()))
        }
    }

    deinit {
        unsafe SSL_free(self.ssl)
    }

    /// The owner that a callback is about.
    static func of(_ ssl: OpaquePointer?) -> TLSConnection? {
        guard let ssl = unsafe ssl, let data = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
        return unsafe Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue()
    }

    // MARK: Events

    /// Begins the handshake: on a client, ClientHello is then to be taken.
    package func start() throws(TLSError) {
        try self.advanceHandshake()
    }

    /// Takes one read off the wire. What doesn't fit in OpenSSL's buffer for one record is kept until
    /// `readPlaintext(into:)`, so that call it after each.
    package func receive(_ ciphertext: ByteBuffer) {
        guard ciphertext.readableBytes > 0, !self.isPeerClosed, self.failure == nil else { return }
        if self.firstByte == nil { self.firstByte = ciphertext.getInteger(at: ciphertext.readerIndex) }
        if self.helloGuard.verdict == .undecided, self.context.configuration.role == .server {
            self.helloGuard.receive(ciphertext.readableBytesView)
            if case .tooLarge(let bytes) = self.helloGuard.verdict {
                let limit = TLSHelloGuard.maxHelloBytes
                self.failure = TLSError(
                    .protocolError,
                    "the client's ClientHello has \(bytes) bytes; \(limit) are taken"
                )
                return
            }
        }
        if self.incoming.readableBytes == 0 {
            self.incoming = ciphertext
        } else {
            self.incoming.writeImmutableBuffer(ciphertext)
        }
    }

    /// Advances the handshake, then appends all plaintext that has come. Throws the failure of the connection, and the
    /// same one again if called again. Plaintext before the failure is in the buffer.
    package func readPlaintext(into plaintext: inout ByteBuffer) throws(TLSError) {
        // An empty slice would keep the whole read buffer of an idle connection.
        defer { if self.incoming.readableBytes == 0 { self.incoming = ByteBuffer() } }
        try self.advanceHandshake()
        guard self.isHandshakeComplete, !self.isPeerClosed else { return }
        OpenSSLError.clear()
        // OpenSSL reads no further than one record, so that nothing waits in it when both are empty.
        while true {
            let waiting = unsafe Int(SSL_pending(self.ssl))
            guard waiting > 0 || self.incoming.readableBytes > 0 else { return }
            // The plaintext of a record is shorter than the record: sized once for all of this read.
            let room = max(waiting, self.incoming.readableBytes)
            let result = unsafe plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                let count = unsafe SSL_read(self.ssl, target.baseAddress, Int32(clamping: target.count))
                return max(Int(count), 0)
            }
            if result > 0 { continue }
            switch unsafe SSL_get_error(self.ssl, 0) {
            case SSL_ERROR_WANT_READ: return
            case SSL_ERROR_ZERO_RETURN:
                self.isPeerClosed = true
                self.incoming = ByteBuffer()
                return
            default: throw self.fail("SSL_read")
            }
        }
    }

    /// Collects plaintext for the next `flush()`. Before the handshake is complete it waits, and the caller
    /// bounds it by `pendingBytes`.
    package func write(_ plaintext: ByteBuffer) {
        guard plaintext.readableBytes > 0, !self.isClosing else { return }
        self.pendingWrites.append(plaintext)
        self.pendingBytes += plaintext.readableBytes
    }

    /// Encrypts everything collected, in as few records as possible. Does nothing until the handshake is complete: call
    /// it again then.
    package func flush() throws(TLSError) {
        if let failure = self.failure { throw failure }
        if self.pendingBytes > 0, self.isHandshakeComplete { try self.encryptPending() }
    }

    /// All that is to be sent now; nil if nothing is.
    package func takeCiphertext() -> ByteBuffer? {
        guard self.outgoing.readableBytes > 0 else { return nil }
        let ciphertext = self.outgoing
        self.outgoing = ByteBuffer()
        return ciphertext
    }

    /// Encrypts what was collected and says close_notify. Further writes are ignored; reading goes on.
    package func close() {
        guard !self.isClosing else { return }
        if self.isHandshakeComplete, self.failure == nil {
            if self.pendingBytes > 0 { try? self.encryptPending() }
            OpenSSLError.clear()
            _ = unsafe SSL_shutdown(self.ssl)
            // OpenSSL keeps the buffer of an alert, 16 KiB, also where it releases those of other records.
            _ = unsafe SSL_free_buffers(self.ssl)
            OpenSSLError.clear()
        }
        self.isClosing = true
    }

    /// What to say of a transport that ended: nil if the peer had said goodbye, or the connection had failed already.
    package func endOfInput() -> TLSError? {
        guard self.failure == nil, !self.isPeerClosed else { return nil }
        let error = self.story.endOfInput()
        self.failure = error
        return error
    }

    /// Whether a server ever gave us something to resume with.
    var hasTicket: Bool {
        guard let session = unsafe SSL_get_session(self.ssl) else { return false }
        return unsafe SSL_SESSION_has_ticket(session) == 1
    }

    // MARK: For the BIO and the callbacks

    func provideCiphertext(to target: UnsafeMutableRawBufferPointer) -> Int {
        unsafe self.incoming.readWithUnsafeReadableBytes { source in
            let count = min(source.count, target.count)
            unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
            return count
        }
    }

    func acceptCiphertext(_ record: UnsafeRawBufferPointer) {
        let index = self.outgoing.writerIndex
        unsafe self.outgoing.writeBytes(record)
        // A fatal alert in the clear: type 21, version, length 2, level 2, description (RFC 5246 §7.2).
        if self.hidesAlerts, !self.isHandshakeComplete, record.count == 7, unsafe record[0] == 21,
            unsafe record[5] == 2
        {
            self.outgoing.setInteger(UInt8(SSL_AD_BAD_RECORD_MAC), at: index + 6)
        }
    }

    /// A client's pre-shared key.
    var ownKey: TLSPreSharedKey? { self.credentials?.preSharedKey ?? self.context.configuration.preSharedKey }

    /// Its identity with a NUL behind it, which lives as long as this connection.
    var ownKeyName: UnsafeMutableBufferPointer<UInt8> {
        unsafe self.credentials?.preSharedKey == nil
            ? self.context.clientIdentity : self.credentials?.keyName ?? self.context.clientIdentity
    }

    func presented(identity: [UInt8], isKnown: Bool) {
        self.identity = identity
        self.isIdentityKnown = isKnown
    }

    // MARK: Private

    private func expectServerName() throws(TLSError) {
        guard let name = self.serverName else {
            // Nothing can match, and a certificate without a name to match must not pass.
            if self.context.configuration.trust != .nothing {
                throw TLSError(.configuration, "a client that goes by certificates needs the server's name")
            }
            return
        }
        let parameters = unsafe SSL_get0_param(self.ssl)
        if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
        // No SNI for addresses (RFC 6066 §3).
        unsafe SSL_set_hostflags(self.ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        guard !name.isEmpty, !name.utf8.contains(0), unsafe SSL_set1_host(self.ssl, name) == 1,
            unsafe shim_SSL_set_tlsext_host_name(self.ssl, name) == 1
        else {
            OpenSSLError.clear()
            throw TLSError(.configuration, "\(printable(name.utf8)) is no host name")
        }
        OpenSSLError.clear()
    }

    private func advanceHandshake() throws(TLSError) {
        if let failure = self.failure { throw failure }
        guard !self.isHandshakeComplete else { return }
        OpenSSLError.clear()
        let result = unsafe SSL_do_handshake(self.ssl)
        guard result == 1 else {
            if unsafe SSL_get_error(self.ssl, result) == SSL_ERROR_WANT_READ { return }
            throw self.fail("SSL_do_handshake")
        }
        self.isHandshakeComplete = true
        self.identityOnWire12 = nil
        unsafe SSL_set_msg_callback(self.ssl, nil)
        let identity = self.ownKey?.identity ?? self.identity
        self.peer = unsafe TLSPeer(self.ssl, identity: identity, clientName: self.context.configuration.clientName)
    }

    private func encryptPending() throws(TLSError) {
        let maxRecordBytes = 16384
        let total = self.pendingBytes
        let records = total / maxRecordBytes + 1
        self.outgoing.reserveCapacity(minimumWritableBytes: total + records * 96)
        defer {
            // A burst may have been long; its array isn't kept for an idle connection.
            self.pendingWrites.removeAll(keepingCapacity: self.pendingWrites.capacity <= 4)
            self.pendingBytes = 0
        }
        OpenSSLError.clear()
        if self.pendingWrites.count == 1 {
            try self.encrypt(self.pendingWrites[0].readableBytesView)
            return
        }
        var record = ByteBufferAllocator().buffer(capacity: min(total, maxRecordBytes))
        for write in self.pendingWrites {
            var rest = write.readableBytesView
            while !rest.isEmpty {
                let part = rest.prefix(maxRecordBytes - record.readableBytes)
                rest = rest.dropFirst(part.count)
                if part.count == maxRecordBytes {
                    try self.encrypt(part)
                    continue
                }
                record.writeBytes(part)
                if record.readableBytes == maxRecordBytes {
                    try self.encrypt(record.readableBytesView)
                    record.clear()
                }
            }
        }
        if record.readableBytes > 0 { try self.encrypt(record.readableBytesView) }
    }

    private func encrypt(_ plaintext: ByteBufferView) throws(TLSError) {
        let result = unsafe plaintext.withUnsafeBytes { source in
            unsafe SSL_write(self.ssl, source.baseAddress, Int32(clamping: source.count))
        }
        guard result == plaintext.count else { throw self.fail("SSL_write") }
    }

    private func fail(_ call: String) -> TLSError {
        let error = self.story.explain(OpenSSLError(call: call))
        self.failure = error
        self.incoming = ByteBuffer()
        return error
    }

    /// What is known of this connection when it fails.
    private var story: TLSFailureStory {
        let configuration = self.context.configuration
        return TLSFailureStory(
            role: configuration.role,
            isHandshakeComplete: self.isHandshakeComplete,
            ownIdentity: self.ownKey?.identity,
            offeredIdentity: self.identity,
            isIdentityKnown: self.isIdentityKnown,
            takesKeys: configuration.keyLookup != nil,
            hasCertificate: configuration.identity != nil || self.credentials?.hasCertificate == true,
            versions: configuration.minimumVersion...configuration.maximumVersion,
            serverName: self.serverName,
            firstByte: self.firstByte,
            verification: self.verification
        )
    }
}
