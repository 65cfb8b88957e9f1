import COpenSSL

/// What a session ticket (RFC 5077) says beside OpenSSL's own: whose key it stands for, and a mark of that key.
///
/// On a resumption OpenSSL asks nobody for a key. With the mark a ticket is worth nothing any more once the device was revoked or has a
/// new key: a full handshake follows, which then proves the key or does not.
enum DTLSTicket {
    private static let markBytes = 16
    private static let label = Array("sealgate dtls ticket".utf8)

    /// Of a key: tells it from others, and says nothing about it.
    static func mark(of key: [UInt8]) -> [UInt8] {
        Array(HMAC.authenticate(Self.label, key: key, .sha256).prefix(Self.markBytes))
    }

    /// Puts both callbacks in.
    static func install(in context: OpaquePointer) {
        _ = unsafe SSL_CTX_set_session_ticket_cb(context, makeTicket, checkTicket, nil)
    }

    fileprivate static func data(identity: [UInt8], mark: [UInt8]) -> [UInt8] { mark + identity }

    fileprivate static func parse(_ bytes: UnsafeRawBufferPointer) -> (identity: [UInt8], mark: [UInt8])? {
        guard bytes.count > Self.markBytes else { return nil }
        let all = unsafe Array(bytes)
        return (Array(all[Self.markBytes...]), Array(all[..<Self.markBytes]))
    }
}

private func makeTicket(_ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let session = unsafe DTLSSession.of(ssl), let state = unsafe SSL_get_session(ssl) else { return 0 }
    let data = DTLSTicket.data(identity: session.identity ?? [], mark: session.keyMark)
    return unsafe SSL_SESSION_set1_ticket_appdata(state, data, data.count)
}

private func checkTicket(
    _ ssl: OpaquePointer?,
    _ state: OpaquePointer?,
    _ keyName: UnsafePointer<UInt8>?,
    _ keyNameCount: Int,
    _ status: SSL_TICKET_STATUS,
    _ argument: UnsafeMutableRawPointer?
) -> SSL_TICKET_RETURN {
    guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW else {
        return SSL_TICKET_RETURN_IGNORE_RENEW
    }
    var data: UnsafeMutableRawPointer?
    var count = 0
    guard let session = unsafe DTLSSession.of(ssl),
        unsafe SSL_SESSION_get0_ticket_appdata(state, &data, &count) == 1, let data = unsafe data,
        let (identity, mark) = unsafe DTLSTicket.parse(UnsafeRawBufferPointer(start: data, count: count)),
        session.resumes(identity, mark: mark)
    else { return SSL_TICKET_RETURN_IGNORE_RENEW }
    return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE
}
