public import NIOCore

/// CONNECT's Password or a property's Authentication Data: binary, and kept out of every description and dump.
///
/// `==` is not constant-time: it is for tests. Whoever checks a password compares with the crypto library's means.
public struct Password: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    /// Up to 65,535 bytes; any values.
    public let buffer: ByteBuffer

    /// Takes the readable bytes of `buffer`.
    public init(_ buffer: ByteBuffer) { self.buffer = buffer }

    /// Says that there is one, nothing about it.
    public var description: String { "(redacted)" }

    /// Nothing inside, so that `dump` and test failures show nothing either.
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }

    /// The same bytes.
    public static func == (left: Password, right: Password) -> Bool { RawBytes.equal(left.buffer, right.buffer) }
}
