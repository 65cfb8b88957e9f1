import COpenSSL

/// The BIO under a DTLS session: one write is one datagram, and so is one read. A memory BIO of OpenSSL is a stream, and joins
/// datagrams.
enum DTLSDatagramBIO {
    /// Made once in the life of the process; nil when memory ran out.
    private static nonisolated(unsafe) let method: OpaquePointer? = {
        let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(type, "sealgate dtls") else { return nil }
        unsafe BIO_meth_set_read(method, readCallback)
        unsafe BIO_meth_set_write(method, writeCallback)
        unsafe BIO_meth_set_ctrl(method, controlCallback)
        return unsafe method
    }()

    /// A BIO that borrows `session`: it must not outlive it.
    static func make(for session: DTLSSession) -> OpaquePointer? {
        guard let method = unsafe self.method, let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(session).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }
}

/// IPv4 and UDP headers, which OpenSSL takes off a link's MTU; ours is the datagram's own.
private let headerBytes = 28

private func session(of bio: OpaquePointer?) -> DTLSSession? {
    guard let data = unsafe BIO_get_data(bio) else { return nil }
    return unsafe Unmanaged<DTLSSession>.fromOpaque(data).takeUnretainedValue()
}

private func readCallback(_ bio: OpaquePointer?, _ data: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
    unsafe shim_BIO_clear_retry_flags(bio)
    guard let session = unsafe session(of: bio), let data = unsafe data, count > 0 else { return -1 }
    let copied = unsafe session.provideDatagram(to: UnsafeMutableRawBufferPointer(start: data, count: Int(count)))
    guard copied > 0 else {
        unsafe shim_BIO_set_retry_read(bio)
        return -1
    }
    return Int32(copied)
}

private func writeCallback(_ bio: OpaquePointer?, _ data: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
    unsafe shim_BIO_clear_retry_flags(bio)
    guard let session = unsafe session(of: bio), let data = unsafe data, count > 0 else { return -1 }
    unsafe session.acceptDatagram(UnsafeRawBufferPointer(start: data, count: Int(count)))
    return count
}

private func controlCallback(
    _ bio: OpaquePointer?,
    _ command: Int32,
    _ argument: Int,
    _ pointer: UnsafeMutableRawPointer?
) -> Int {
    switch command {
    case BIO_CTRL_FLUSH: 1
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD: headerBytes
    default: 0
    }
}
