import COpenSSL
import NIOCore

/// The BIO under each connection: OpenSSL reads straight from the ciphertext that came in and writes straight into the
/// buffer that goes out, so that an idle connection holds neither. Memory BIOs of OpenSSL keep what they once grew to.
enum TLSMemoryBIO {
    /// Made once in the life of the process; nil when memory ran out.
    private static nonisolated(unsafe) let method: OpaquePointer? = {
        let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(type, "sealgate") else { return nil }
        unsafe BIO_meth_set_read(method, readCallback)
        unsafe BIO_meth_set_write(method, writeCallback)
        unsafe BIO_meth_set_ctrl(method, controlCallback)
        return unsafe method
    }()

    /// A BIO that borrows `connection`: it must not outlive it.
    static func make(for connection: TLSConnection) throws(TLSError) -> OpaquePointer {
        guard let method = unsafe self.method, let bio = unsafe BIO_new(method) else {
            throw TLSError(
                .protocolError,
                "out of memory for a connection",
                detail: OpenSSLError(call: "BIO_new").description
            )
        }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(connection).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }
}

private func connection(of bio: OpaquePointer?) -> TLSConnection? {
    guard let data = unsafe BIO_get_data(bio) else { return nil }
    return unsafe Unmanaged<TLSConnection>.fromOpaque(data).takeUnretainedValue()
}

private func readCallback(_ bio: OpaquePointer?, _ data: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
    unsafe shim_BIO_clear_retry_flags(bio)
    guard let connection = unsafe connection(of: bio), let data = unsafe data, count > 0 else { return -1 }
    let target = unsafe UnsafeMutableRawBufferPointer(start: data, count: Int(count))
    let copied = unsafe connection.provideCiphertext(to: target)
    guard copied > 0 else {
        unsafe shim_BIO_set_retry_read(bio)
        return -1
    }
    return Int32(copied)
}

private func writeCallback(_ bio: OpaquePointer?, _ data: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
    unsafe shim_BIO_clear_retry_flags(bio)
    guard let connection = unsafe connection(of: bio), let data = unsafe data, count > 0 else { return -1 }
    unsafe connection.acceptCiphertext(UnsafeRawBufferPointer(start: data, count: Int(count)))
    return count
}

private func controlCallback(
    _ bio: OpaquePointer?,
    _ command: Int32,
    _ argument: Int,
    _ pointer: UnsafeMutableRawPointer?
) -> Int {
    // Everything that was written is already with the connection; nothing else is supported.
    command == BIO_CTRL_FLUSH ? 1 : 0
}
