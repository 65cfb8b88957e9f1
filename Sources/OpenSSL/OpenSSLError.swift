import COpenSSL

/// What OpenSSL's error queue of the calling thread held when a call failed, oldest entry first.
///
/// Call `OpenSSLError.clear()` before a call whose failure is to be explained, and make the error right after it: the
/// initializer drains the whole queue, so that nothing old is blamed on the next call.
package struct OpenSSLError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One entry of the queue.
    package struct Entry: Equatable, Sendable {
        /// The packed code, as `ERR_get_error` returns it.
        package var code: UInt
        /// OpenSSL's own sentence for `code`, with the data that the library attached.
        package var text: String

        /// `ERR_LIB_…`; for `ERR_LIB_SYS` the reason is an `errno`.
        package var library: Int32 { ERR_GET_LIB(self.code) }
        /// `SSL_R_…`, `X509_R_…` and so on, depending on `library`.
        package var reason: Int32 { ERR_GET_REASON(self.code) }
    }

    /// The OpenSSL function that failed.
    package var call: String
    /// Empty when OpenSSL reported failure without saying why.
    package var entries: [Entry]

    /// Drains the error queue of this thread.
    package init(call: String) {
        self.call = call
        self.entries = []
        while true {
            var data: UnsafePointer<CChar>?
            var flags: Int32 = 0
            let code = unsafe ERR_get_error_all(nil, nil, nil, &data, &flags)
            guard code != 0 else { break }
            // ERR_error_string_n also knows system errors, for which ERR_reason_error_string returns NULL.
            var text = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer -> String in
                guard let base = buffer.baseAddress else { return "" }
                unsafe ERR_error_string_n(code, base, buffer.count)
                return unsafe String(cString: base)
            }
            if flags & ERR_TXT_STRING != 0, let data = unsafe data {
                let detail = unsafe String(cString: data)
                if !detail.isEmpty { text += " (\(detail))" }
            }
            self.entries.append(Entry(code: code, text: text))
        }
    }

    /// Throws away what earlier calls left in the error queue of this thread.
    package static func clear() {
        ERR_clear_error()
    }

    package var description: String {
        guard !self.entries.isEmpty else { return "\(self.call) failed" }
        return "\(self.call): " + self.entries.map(\.text).joined(separator: "; ")
    }
}
