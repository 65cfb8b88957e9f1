package import CoAPCodec
package import NIOCore

/// A request that the owner has to decide about: ``CoAPServer/respond(to:_:observing:now:into:)`` or
/// ``CoAPServer/ignore(_:now:into:)``, once. The body is whole, whatever blocks it came in.
package struct CoAPRequest: Sendable {
    /// Names it in the answer; never used twice.
    package typealias ID = UInt64

    package let id: ID
    package let peer: CoAPPeer
    /// The security context that opened it (OSCORE); 0: it was not protected.
    package let context: UInt64
    package let method: CoAPCode
    package let token: CoAPToken
    /// As they came; paths and queries are read from them.
    package let options: CoAPOptions
    /// What the options say.
    package let read: CoAPRequestOptions
    package let payload: ByteBuffer
    package let isConfirmable: Bool
    /// Came to a group: an error is not told (RFC 7252 §8.2).
    package let isMulticast: Bool
    /// Whether the peer is known to receive at its address.
    package let isAddressProven: Bool
    /// Bytes that the response may have: to an address that is not proven it is cut, or is its code alone.
    package let responseRoom: Int
    /// How long ago the Echo value that the request brings was given to this very peer; `nil`: it brings none that is
    /// good. The request was sent after that, so it is at most so old (RFC 9175 §2.3). Of a body in blocks it is the most
    /// that one of them had when it came; `nil` if one had none.
    package let age: TimeAmount?
    /// It brings an Echo value that is good, however old: its sender receives at its address. Of a body in blocks it is the
    /// last that counts, so it says nothing about who sent the others.
    package let bringsEcho: Bool

    /// Bytes that the server may add to a response, or take from its room: Block1, Block2, an empty acknowledgement.
    private static let addedBytes = 16

    /// Whether the response goes out whole, so that nothing of it is lost: it fits, and is wanted (RFC 7967).
    ///
    /// - Parameter payload: Bytes of its payload, in place of its own.
    package func takes(_ response: CoAPResponse, payload: Int) -> Bool {
        if self.read.noResponse?.suppresses(response.code) == true { return false }
        guard self.responseRoom != .max else { return true }
        let size = 4 + self.token.count + response.options.encodedSize + (payload == 0 ? 0 : payload + 1)
        return size + Self.addedBytes <= self.responseRoom
    }

    /// Whether the client wants to be told of changes (RFC 7641 §3.1).
    package var wantsObservation: Bool {
        self.method == .get && self.read.observe == CoAPObserve.register && (self.read.block2?.number ?? 0) == 0
    }

    /// Whether If-Match and If-None-Match allow the request to be carried out (RFC 7252 §5.10.8); if not, it is 4.12.
    ///
    /// - Parameter current: ETag of what there is; `nil`: there is nothing.
    package func meetsPreconditions(current: ByteBuffer?) -> Bool {
        if self.read.hasIfNoneMatch, current != nil { return false }
        guard self.read.hasIfMatch else { return true }
        guard let current else { return false }
        return self.options.contains { option in
            guard option.number == .ifMatch else { return false }
            return option.value.readableBytes == 0
                || option.value.readableBytesView.elementsEqual(current.readableBytesView)
        }
    }
}

/// The owner's answer. Block options, Observe and Echo are the server's to set.
package struct CoAPResponse: Sendable {
    package var code: CoAPCode
    /// Content-Format, Max-Age, ETag, Location-Path and the like.
    package var options: CoAPOptions
    /// The whole body.
    package var payload: ByteBuffer

    package init(
        _ code: CoAPCode,
        contentFormat: CoAPContentFormat? = nil,
        maxAge: UInt32? = nil,
        eTag: ByteBuffer? = nil,
        payload: ByteBuffer = ByteBuffer()
    ) {
        self.code = code
        self.options = CoAPOptions()
        self.payload = payload
        if let eTag { self.options.append(.eTag, eTag) }
        if let contentFormat { self.options.append(.contentFormat, uint: contentFormat.rawValue) }
        if let maxAge { self.options.append(.maxAge, uint: maxAge) }
    }

    /// An error with a few words for a person who looks (RFC 7252 §5.5.2). Short: small nodes have short buffers.
    package static func error(_ code: CoAPCode, _ words: String = "") -> CoAPResponse {
        CoAPResponse(code, payload: ByteBuffer(string: words))
    }

    var contentFormat: CoAPContentFormat? {
        for option in self.options where option.number == .contentFormat {
            return option.uint.flatMap { UInt16(exactly: $0) }.map(CoAPContentFormat.init(rawValue:))
        }
        return nil
    }
}

/// What the owner of a ``CoAPServer`` has to do, in order.
package enum CoAPAction: Sendable {
    /// One datagram.
    case send(ByteBuffer, to: CoAPPeer)
    /// Decide about it.
    case request(CoAPRequest)
    /// Time to ask an observer whether it is still there: notify it of the present value again.
    case observationDue(CoAPObservationID)
    /// The client has acknowledged a notification that was asked for as confirmable.
    case notificationConfirmed(CoAPObservationID)
    /// Nobody is told any more.
    case observationEnded(CoAPObservationID, CoAPObservationEnd)
}

/// Names an observation; never used twice.
package typealias CoAPObservationID = UInt64

/// Why an observation ended.
package enum CoAPObservationEnd: Equatable, Sendable {
    /// The client said so (RFC 7641 §3.6).
    case deregistered
    /// The client rejected a notification (RFC 7641 §3.6).
    case rejected
    /// The client did not acknowledge a notification (RFC 7641 §4.5).
    case unreachable
    /// The client registered anew, under the same token (RFC 7641 §4.1).
    case replaced
    /// The resource is no longer there, or has another format: the client was told (RFC 7641 §4.2).
    case withdrawn
    /// The address was not proven, and there was no room for one that is.
    case crowdedOut
    /// The owner forgot the peer.
    case forgotten
}
