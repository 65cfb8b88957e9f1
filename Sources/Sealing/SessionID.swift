package import NIOCore
internal import OpenSSL

/// A one-time session ID: 128 random bits as 32 lowercase hex characters.
///
/// It is the freshness of a v1 message: whoever knows an unused one and the device's keys may send one message. It is
/// published to the device and nowhere else: never logged (so its description shows nothing) and never stored, so that
/// a restart makes every recorded message worthless.
package struct SessionID: Hashable, Sendable {
    /// Characters of every session ID. That the length never varies is what keeps the last field of v1's MAC, which
    /// has no delimiters, from taking bytes of the data before it.
    package static let characters = 32

    private let text: SIMD32<UInt8>

    /// Takes 16 random bytes.
    init(_ random: SIMD16<UInt8>) {
        var text = SIMD32<UInt8>()
        for index in 0..<16 {
            text[2 * index] = Hex.digit(random[index] >> 4)
            text[2 * index + 1] = Hex.digit(random[index] & 15)
        }
        self.text = text
    }

    /// The characters, as the payload of a message on the device's session topic.
    package var payload: ByteBuffer {
        self.withText { ByteBuffer(bytes: $0) }
    }

    /// Appends the 32 characters to `buffer`.
    package func write(to buffer: inout ByteBuffer) {
        _ = self.withText { buffer.writeBytes($0) }
    }
}

extension SessionID: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Shows nothing of the ID.
    package var description: String { "SessionID(redacted)" }
    /// Shows nothing of the ID.
    package var debugDescription: String { self.description }
    /// Shows nothing of the ID.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// What stands at the end of v1's MAC input: a gateway's session ID, or any text for the offline tool.
protocol V1SessionText {
    /// Lends the characters.
    func withText<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result
}

extension SessionID: V1SessionText {
    func withText<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: self.text, body)
    }
}

extension [UInt8]: V1SessionText {
    func withText<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        self.withUnsafeBytes(body)
    }
}
