import Broker
import CoAPCodec
import CoAPEndpoint
import MQTTCodec
import NIOCore

/// A message as the representation of its topic (RFC 7252 §5.5).
struct CoAPRepresentation {
    /// Nil: there is nothing yet, which an observer is told by an empty payload.
    let message: Message?
    /// What Content-Format says; nil: nothing.
    let format: CoAPContentFormat?

    /// What a client that asks for `accept` is given; nil: it can't have it, 4.06 (RFC 7252 §5.10.4).
    ///
    /// A payload of which nobody said what it is, is bytes to whoever wants those, and text if it is UTF-8.
    ///
    /// - Parameter isObserved: Without `accept` no format is told: what follows must have the same (RFC 7641 §4.2), and
    ///   nobody knows what will be published.
    init?(_ message: Message?, accept: CoAPContentFormat?, isObserved: Bool) {
        self.message = message
        guard let accept else {
            self.format = isObserved ? nil : message.flatMap(Self.ownFormat)
            return
        }
        self.format = accept
        guard let message else { return }
        if let own = Self.ownFormat(of: message) {
            if own != accept { return nil }
        } else if accept == .textPlain {
            if String(validating: message.payload.readableBytesView, as: UTF8.self) == nil { return nil }
        } else if accept != .octetStream {
            return nil
        }
    }

    private static func ownFormat(of message: Message) -> CoAPContentFormat? {
        message.properties.contentType.flatMap { CoAPContentFormat(mediaType: $0.description) }
    }

    /// 2.05.
    ///
    /// Max-Age is what is left of the message's own expiry. Without one it is left out, which is a minute
    /// (RFC 7252 §5.10.5): an observer that registers again after it finds out soon that the gateway was restarted.
    func response(withETag: Bool) -> CoAPResponse {
        guard let message = self.message else { return CoAPResponse(.content, contentFormat: self.format) }
        return CoAPResponse(
            .content,
            contentFormat: self.format,
            maxAge: message.expiry.map { expiry in
                let left = (expiry - .now()).nanoseconds
                return UInt32(clamping: max((left + 999_999_999) / 1_000_000_000, 0))
            },
            eTag: withETag ? Self.eTag(of: message) : nil,
            payload: message.payload
        )
    }

    /// Nobody can choose two payloads that have the same: the hash has the process's own random key. Short, for what is sent
    /// to an address that is not proven. After a restart all are other ones, and clients fetch once more.
    static func eTag(of message: Message) -> ByteBuffer {
        var hasher = Hasher()
        message.payload.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        var eTag = ByteBuffer()
        eTag.writeInteger(UInt32(truncatingIfNeeded: hasher.finalize()))
        return eTag
    }
}
