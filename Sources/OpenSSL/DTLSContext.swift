import COpenSSL
import NIOCore

/// Owner of the SSL_CTX of a DTLS server. Belongs to one event loop.
@safe final class DTLSContext {
    /// One with forward secrecy first, then those that small nodes have; CCM_8 is the only one that TinyDTLS has. It is below
    /// OpenSSL's default security level from 3.2 on, so the level is set aside, in this context alone.
    static let suites =
        "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:PSK-AES128-CCM:PSK-AES128-CCM8"
        + ":@SECLEVEL=0"

    let raw: OpaquePointer
    let keyLookup: TLSConfiguration.KeyLookup?
    /// A client's, for tests.
    let clientKey: TLSPreSharedKey?
    private let cookieKey: HMAC
    /// Where plaintext goes for a moment; longer than any record's.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)

    /// A server.
    convenience init(_ configuration: DTLSConfiguration) throws(TLSError) {
        guard let method = unsafe DTLS_server_method() else { throw Self.failure("DTLS_server_method") }
        try unsafe self.init(method, keyLookup: configuration.keyLookup, clientKey: nil)
        unsafe SSL_CTX_set_psk_server_callback(self.raw, serverKey)
        unsafe SSL_CTX_set_cookie_generate_cb(self.raw, makeCookie)
        unsafe SSL_CTX_set_cookie_verify_cb(self.raw, checkCookie)
        unsafe SSL_CTX_set_msg_callback(self.raw, observeMessage)
        guard let keys = configuration.ticketKeys else {
            _ = unsafe SSL_CTX_set_options(self.raw, shim_SSL_OP_NO_TICKET)
            return
        }
        guard self.setTicketKeys(keys) else { throw Self.failure("SSL_CTX_set_tlsext_ticket_keys") }
        unsafe DTLSTicket.install(in: self.raw)
        // By the wall clock, which does no harm: a ticket that is too old means a full handshake.
        _ = unsafe SSL_CTX_set_timeout(self.raw, Int(configuration.idleTimeout.nanoseconds / 1_000_000_000))
    }

    /// A client, for tests.
    convenience init(client key: TLSPreSharedKey, suites: String = DTLSContext.suites) throws(TLSError) {
        guard let method = unsafe DTLS_client_method() else { throw Self.failure("DTLS_client_method") }
        try unsafe self.init(method, keyLookup: nil, clientKey: key)
        unsafe SSL_CTX_set_psk_client_callback(self.raw, clientKeyCallback)
        guard unsafe SSL_CTX_set_cipher_list(self.raw, suites) == 1 else {
            throw Self.failure("SSL_CTX_set_cipher_list")
        }
    }

    private init(
        _ method: OpaquePointer,
        keyLookup: TLSConfiguration.KeyLookup?,
        clientKey: TLSPreSharedKey?
    ) throws(TLSError) {
        OpenSSLError.clear()
        guard let raw = unsafe SSL_CTX_new(method) else { throw Self.failure("SSL_CTX_new") }
        unsafe self.raw = raw
        self.keyLookup = keyLookup
        self.clientKey = clientKey
        self.cookieKey = HMAC(.sha256, key: SecureRandom.bytes(count: 32))
        // Without NO_QUERY_MTU OpenSSL would ask the BIO, and fall to 228 bytes.
        let options =
            shim_SSL_OP_NO_QUERY_MTU | shim_SSL_OP_NO_COMPRESSION | shim_SSL_OP_NO_RENEGOTIATION
            | shim_SSL_OP_CIPHER_SERVER_PREFERENCE
        _ = unsafe SSL_CTX_set_options(raw, options)
        _ = unsafe shim_SSL_CTX_set_session_cache_mode(raw, Int(SSL_SESS_CACHE_OFF))
        _ = unsafe shim_SSL_CTX_set_mode(raw, Int(SSL_MODE_RELEASE_BUFFERS))
        _ = unsafe shim_SSL_CTX_set_read_ahead(raw, 1)
        let name = Array("sealgate dtls".utf8)
        guard unsafe shim_SSL_CTX_set_min_proto_version(raw, DTLS1_2_VERSION) == 1,
            unsafe SSL_CTX_set_session_id_context(raw, name, UInt32(name.count)) == 1,
            unsafe SSL_CTX_set_cipher_list(raw, Self.suites) == 1,
            unsafe shim_SSL_CTX_set1_groups_list(raw, TLSCipherPolicy.groups) == 1
        else { throw Self.failure("SSL_CTX") }
    }

    deinit {
        unsafe SSL_CTX_free(self.raw)
        unsafe self.scratch.deallocate()
    }

    /// False: they are no such keys.
    func setTicketKeys(_ keys: [UInt8]) -> Bool {
        guard keys.count == DTLSConfiguration.ticketKeyBytes else { return false }
        var keys = keys
        return unsafe shim_SSL_CTX_set_tlsext_ticket_keys(self.raw, &keys, Int32(keys.count)) == 1
    }

    /// The cookie of an address: only who receives there can have it (RFC 6347 §4.2.1).
    func cookie(for address: DTLSAddress) -> [UInt8] {
        let fields = [address.high.bigEndian, address.low.bigEndian, UInt64(address.port).bigEndian]
        self.cookieKey.reset()
        unsafe fields.withUnsafeBytes { unsafe self.cookieKey.update($0) }
        return unsafe [UInt8](unsafeUninitializedCapacity: self.cookieKey.count) { buffer, initialized in
            unsafe self.cookieKey.finalize(into: UnsafeMutableRawBufferPointer(buffer))
            initialized = self.cookieKey.count
        }
    }

    /// The key of an identity; `nil`: it has none that can be used.
    func key(of identity: [UInt8]) -> [UInt8]? {
        guard (1...64).contains(identity.count), !identity.contains(0), let key = self.keyLookup?(identity),
            (1...TLSPreSharedKey.maxKeyBytes).contains(key.count)
        else { return nil }
        return key
    }

    /// The key to go on with: the identity's own, or a random one, so that an identity that nobody has looks like a wrong
    /// key.
    fileprivate func key(for identity: [UInt8]?, _ session: DTLSSession) -> [UInt8] {
        let known = identity.flatMap { self.key(of: $0) }
        let key = known ?? SecureRandom.bytes(count: 32)
        session.presented(identity ?? [], isKnown: known != nil, keyMark: DTLSTicket.mark(of: key))
        return key
    }

    static func failure(_ call: String) -> TLSError {
        TLSError(.configuration, "DTLS could not be set up", detail: OpenSSLError(call: call).description)
    }
}

// MARK: - Callbacks

private func serverKey(
    _ ssl: OpaquePointer?,
    _ identity: UnsafePointer<CChar>?,
    _ psk: UnsafeMutablePointer<UInt8>?,
    _ capacity: UInt32
) -> UInt32 {
    guard let session = unsafe DTLSSession.of(ssl), let psk = unsafe psk else { return 0 }
    // Not `identity`, which ends at the first NUL of what was sent.
    let key = session.context.key(for: session.identityOnWire, session)
    guard key.count <= capacity else { return 0 }
    unsafe psk.update(from: key, count: key.count)
    return UInt32(key.count)
}

private func makeCookie(
    _ ssl: OpaquePointer?,
    _ cookie: UnsafeMutablePointer<UInt8>?,
    _ count: UnsafeMutablePointer<UInt32>?
) -> Int32 {
    guard let session = unsafe DTLSSession.of(ssl), let cookie = unsafe cookie, let count = unsafe count else {
        return 0
    }
    let bytes = session.context.cookie(for: session.address)
    unsafe cookie.update(from: bytes, count: bytes.count)
    unsafe count.pointee = UInt32(bytes.count)
    return 1
}

private func checkCookie(_ ssl: OpaquePointer?, _ cookie: UnsafePointer<UInt8>?, _ count: UInt32) -> Int32 {
    guard let session = unsafe DTLSSession.of(ssl), let cookie = unsafe cookie else { return 0 }
    let expected = session.context.cookie(for: session.address)
    guard Int(count) == expected.count else { return 0 }
    return unsafe CRYPTO_memcmp(cookie, expected, expected.count) == 0 ? 1 : 0
}

/// Takes the identity from ClientKeyExchange, NUL and all (RFC 4279 §2). The header of a DTLS handshake message has twelve
/// bytes.
private func observeMessage(
    _ isWritten: Int32,
    _ version: Int32,
    _ type: Int32,
    _ data: UnsafeRawPointer?,
    _ count: Int,
    _ ssl: OpaquePointer?,
    _ argument: UnsafeMutableRawPointer?
) {
    guard isWritten == 0, type == SSL3_RT_HANDSHAKE, count >= 14, let data = unsafe data,
        let session = unsafe DTLSSession.of(ssl)
    else { return }
    let message = unsafe UnsafeRawBufferPointer(start: data, count: count)
    guard unsafe Int32(message[0]) == SSL3_MT_CLIENT_KEY_EXCHANGE else { return }
    let length = unsafe Int(message[12]) << 8 | Int(message[13])
    guard 14 + length <= count else { return }
    session.identityOnWire = unsafe Array(message[14..<(14 + min(length, 65))])
}

private func clientKeyCallback(
    _ ssl: OpaquePointer?,
    _ hint: UnsafePointer<CChar>?,
    _ identity: UnsafeMutablePointer<CChar>?,
    _ identityCapacity: UInt32,
    _ psk: UnsafeMutablePointer<UInt8>?,
    _ capacity: UInt32
) -> UInt32 {
    guard let key = unsafe DTLSSession.of(ssl)?.context.clientKey, let identity = unsafe identity,
        let psk = unsafe psk, key.identity.count < Int(identityCapacity), key.key.count <= capacity
    else { return 0 }
    for (index, byte) in (key.identity + [0]).enumerated() { unsafe identity[index] = CChar(bitPattern: byte) }
    unsafe psk.update(from: key.key, count: key.key.count)
    return UInt32(key.key.count)
}
