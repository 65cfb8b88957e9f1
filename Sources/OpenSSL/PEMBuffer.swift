import COpenSSL

/// Owner of a memory BIO: for PEM and names, not for the ciphertext of connections.
@safe final class PEMBuffer {
    let raw: OpaquePointer
    /// What `raw` reads from, if anything: OpenSSL borrows it.
    private let source: UnsafeMutableRawBufferPointer?

    /// An empty one to write to.
    init() throws(TLSError) {
        guard let raw = unsafe BIO_new(BIO_s_mem()) else { throw Self.outOfMemory() }
        unsafe self.raw = raw
        unsafe self.source = nil
    }

    /// One that reads a copy of `bytes`; the copy is wiped at the end.
    init(reading bytes: [UInt8]) throws(TLSError) {
        let source = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        unsafe source.copyBytes(from: bytes)
        guard let raw = unsafe BIO_new_mem_buf(source.baseAddress, Int32(clamping: bytes.count)) else {
            unsafe source.deallocate()
            throw Self.outOfMemory()
        }
        unsafe self.raw = raw
        unsafe self.source = source
    }

    deinit {
        _ = unsafe BIO_free(self.raw)
        if let source = unsafe self.source {
            unsafe OPENSSL_cleanse(source.baseAddress, source.count)
            unsafe source.deallocate()
        }
    }

    var contents: [UInt8] {
        var data: UnsafeMutablePointer<CChar>?
        let count = unsafe shim_BIO_get_mem_data(self.raw, &data)
        guard count > 0, let data = unsafe data else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: data, count: count))
    }

    private static func outOfMemory() -> TLSError {
        TLSError(.configuration, "out of memory", detail: OpenSSLError(call: "BIO_new").description)
    }
}

/// In place of OpenSSL's default, which would ask on the terminal.
func refusePassword(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int32,
    _ isWriting: Int32,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    -1
}
