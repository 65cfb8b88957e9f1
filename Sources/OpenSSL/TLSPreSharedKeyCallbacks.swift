import COpenSSL

/// The four callbacks through which OpenSSL asks for pre-shared keys, and the one that lets us see what it hides.
///
/// A server gives every unknown identity a random key, so that its handshake takes the same way to the same failure as
/// one with a wrong key: nothing outside tells which identities exist.
enum TLSPreSharedKeyCallbacks {
    static func install(on context: OpaquePointer, _ configuration: TLSConfiguration) {
        if configuration.keyLookup != nil {
            unsafe SSL_CTX_set_psk_server_callback(context, serverKey12)
            unsafe SSL_CTX_set_psk_find_session_callback(context, serverSession13)
            unsafe SSL_CTX_set_msg_callback(context, observeMessage)
        }
        if configuration.offersPreSharedKeys {
            unsafe SSL_CTX_set_psk_client_callback(context, clientKey12)
            unsafe SSL_CTX_set_psk_use_session_callback(context, clientSession13)
        }
    }

    /// TLS_AES_128_GCM_SHA256: external keys go with SHA-256 (RFC 8446 §4.2.11), and every peer has this suite.
    fileprivate static func session13(_ ssl: OpaquePointer?, key: [UInt8]) -> OpaquePointer? {
        let suite: [UInt8] = [0x13, 0x01]
        guard let cipher = unsafe SSL_CIPHER_find(ssl, suite), let session = unsafe SSL_SESSION_new() else {
            return nil
        }
        guard unsafe SSL_SESSION_set1_master_key(session, key, key.count) == 1,
            unsafe SSL_SESSION_set_cipher(session, cipher) == 1,
            unsafe SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1
        else {
            unsafe SSL_SESSION_free(session)
            return nil
        }
        return unsafe session
    }

    /// The key to go on with: the identity's own, or a random one. Nil only when the random generator fails.
    fileprivate static func key(for identity: [UInt8]?, _ connection: TLSConnection) -> [UInt8]? {
        var key: [UInt8]?
        if let identity, (1...64).contains(identity.count), !identity.contains(0) {
            key = connection.context.configuration.keyLookup?(identity)
        }
        if let found = key, !(1...TLSPreSharedKey.maxKeyBytes).contains(found.count) { key = nil }
        connection.presented(identity: identity ?? [], isKnown: key != nil)
        if let key { return key }
        var random = [UInt8](repeating: 0, count: 32)
        guard unsafe RAND_priv_bytes(&random, Int32(random.count)) == 1 else { return nil }
        return random
    }
}

// MARK: Server

private func serverKey12(
    _ ssl: OpaquePointer?,
    _ identity: UnsafePointer<CChar>?,
    _ psk: UnsafeMutablePointer<UInt8>?,
    _ capacity: UInt32
) -> UInt32 {
    guard let connection = unsafe TLSConnection.of(ssl), let psk = unsafe psk else { return 0 }
    // Not `identity`, which ends at the first NUL of what was sent.
    guard let key = TLSPreSharedKeyCallbacks.key(for: connection.identityOnWire12, connection), key.count <= capacity
    else { return 0 }
    unsafe psk.update(from: key, count: key.count)
    return UInt32(key.count)
}

private func serverSession13(
    _ ssl: OpaquePointer?,
    _ identity: UnsafePointer<UInt8>?,
    _ count: Int,
    _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    guard let connection = unsafe TLSConnection.of(ssl), let session = unsafe session else { return 0 }
    // An identity may have 65,535 bytes; more than 65 tell nothing new.
    let bytes = unsafe Array(UnsafeBufferPointer(start: identity, count: min(count, 65)))
    guard let key = TLSPreSharedKeyCallbacks.key(for: bytes, connection) else { return 0 }
    unsafe session.pointee = TLSPreSharedKeyCallbacks.session13(ssl, key: key)
    return unsafe session.pointee == nil ? 0 : 1
}

/// Sees handshake messages before OpenSSL does: takes the identity of TLS 1.2 from ClientKeyExchange (RFC 4279 §2; it
/// comes first with every kind of PSK exchange), and notes when the server's part of a PSK handshake is out.
private func observeMessage(
    _ isWritten: Int32,
    _ version: Int32,
    _ type: Int32,
    _ data: UnsafeRawPointer?,
    _ count: Int,
    _ ssl: OpaquePointer?,
    _ argument: UnsafeMutableRawPointer?
) {
    guard type == SSL3_RT_HANDSHAKE, count >= 4, let data = unsafe data, let connection = unsafe TLSConnection.of(ssl)
    else { return }
    let message = unsafe UnsafeRawBufferPointer(start: data, count: count)
    switch (isWritten, unsafe Int32(message[0])) {
    case (0, SSL3_MT_CLIENT_KEY_EXCHANGE):
        guard count >= 6 else { return }
        let length = unsafe Int(message[4]) << 8 | Int(message[5])
        guard 6 + length <= count else { return }
        connection.identityOnWire12 = unsafe Array(message[6..<(6 + min(length, 65))])
    case (1, SSL3_MT_SERVER_DONE):
        if let cipher = unsafe SSL_get_pending_cipher(ssl), unsafe SSL_CIPHER_get_auth_nid(cipher) == NID_auth_psk {
            connection.hidesAlerts = true
        }
    default: return
    }
}

// MARK: Client

private func clientKey12(
    _ ssl: OpaquePointer?,
    _ hint: UnsafePointer<CChar>?,
    _ identity: UnsafeMutablePointer<CChar>?,
    _ identityCapacity: UInt32,
    _ psk: UnsafeMutablePointer<UInt8>?,
    _ capacity: UInt32
) -> UInt32 {
    guard let connection = unsafe TLSConnection.of(ssl), let key = connection.ownKey?.key,
        let identity = unsafe identity, let psk = unsafe psk, key.count <= capacity
    else { return 0 }
    let name = unsafe connection.ownKeyName
    // The capacity leaves out the NUL, which `name` includes.
    guard name.count <= Int(identityCapacity), let base = name.baseAddress else { return 0 }
    unsafe UnsafeMutableRawPointer(identity).copyMemory(from: base, byteCount: name.count)
    unsafe psk.update(from: key, count: key.count)
    return UInt32(key.count)
}

private func clientSession13(
    _ ssl: OpaquePointer?,
    _ digest: OpaquePointer?,
    _ identity: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ count: UnsafeMutablePointer<Int>?,
    _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    guard let connection = unsafe TLSConnection.of(ssl), let key = connection.ownKey?.key,
        let identity = unsafe identity, let count = unsafe count, let session = unsafe session
    else { return 0 }
    unsafe session.pointee = nil
    // After a HelloRetryRequest the digest is settled. If it isn't the key's, the key can't be used: no error.
    if let digest = unsafe digest, unsafe EVP_MD_is_a(digest, "SHA256") != 1 { return 1 }
    unsafe session.pointee = TLSPreSharedKeyCallbacks.session13(ssl, key: key)
    guard unsafe session.pointee != nil else { return 0 }
    unsafe identity.pointee = UnsafePointer(connection.ownKeyName.baseAddress)
    unsafe count.pointee = connection.ownKeyName.count - 1
    return 1
}
