import NIOCore

/// Looks at the first bytes of a client before OpenSSL does, which would take memory for whatever length a ClientHello
/// claims, up to 128 KiB, on the strength of nine bytes from anybody.
struct TLSHelloGuard {
    enum Verdict: Equatable {
        /// Not enough bytes yet.
        case undecided
        /// A length that will do, or nothing that OpenSSL would read as a ClientHello of TLS.
        case passed
        case tooLarge(claimedBytes: Int)
    }

    /// Ordinary ones have 200 to 2,000 bytes.
    static let maxHelloBytes = 16 << 10

    private(set) var verdict = Verdict.undecided
    /// Bytes of the current record's header, at most 5.
    private var recordHeader: [UInt8] = []
    /// What is left of the current record's body.
    private var bodyBytes = 0
    /// Type and length of the message (RFC 8446 §4), which may be spread over records of one byte each.
    private var messageHeader: [UInt8] = []

    mutating func receive(_ ciphertext: ByteBufferView) {
        for byte in ciphertext where self.verdict == .undecided {
            self.receive(byte)
            guard self.verdict == .undecided else {
                // What is decided needs no memory, and the connection may idle for days.
                self.recordHeader = []
                self.messageHeader = []
                return
            }
        }
    }

    private mutating func receive(_ byte: UInt8) {
        guard self.bodyBytes > 0 else {
            self.recordHeader.append(byte)
            guard self.recordHeader[0] == 0x16 else {
                self.verdict = .passed
                return
            }
            guard self.recordHeader.count == 5 else { return }
            self.bodyBytes = Int(self.recordHeader[3]) << 8 | Int(byte)
            self.recordHeader.removeAll(keepingCapacity: true)
            // OpenSSL refuses an empty record of a handshake.
            if self.bodyBytes == 0 { self.verdict = .passed }
            return
        }
        self.bodyBytes -= 1
        self.messageHeader.append(byte)
        guard self.messageHeader.count == 4 else { return }
        let claimed = Int(self.messageHeader[1]) << 16 | Int(self.messageHeader[2]) << 8 | Int(byte)
        self.verdict = claimed <= Self.maxHelloBytes ? .passed : .tooLarge(claimedBytes: claimed)
    }
}
