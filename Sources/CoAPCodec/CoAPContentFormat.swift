/// Identifier of a media type (RFC 7252 §12.3).
package struct CoAPContentFormat: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `text/plain; charset=utf-8`
    package static let textPlain = CoAPContentFormat(rawValue: 0)
    /// `application/link-format`, RFC 6690.
    package static let linkFormat = CoAPContentFormat(rawValue: 40)
    package static let xml = CoAPContentFormat(rawValue: 41)
    package static let octetStream = CoAPContentFormat(rawValue: 42)
    package static let exi = CoAPContentFormat(rawValue: 47)
    package static let json = CoAPContentFormat(rawValue: 50)
    package static let cbor = CoAPContentFormat(rawValue: 60)
    /// `application/cose; cose-type="cose-encrypt0"`, RFC 9052.
    package static let coseEncrypt0 = CoAPContentFormat(rawValue: 16)
    /// `application/cose; cose-type="cose-mac0"`, RFC 9052.
    package static let coseMAC0 = CoAPContentFormat(rawValue: 17)
    /// `application/senml+json`, RFC 8428.
    package static let senMLJSON = CoAPContentFormat(rawValue: 110)
    /// `application/senml+cbor`, RFC 8428.
    package static let senMLCBOR = CoAPContentFormat(rawValue: 112)

    private static let mediaTypes: [(format: CoAPContentFormat, mediaType: String)] = [
        (.textPlain, "text/plain;charset=utf-8"), (.linkFormat, "application/link-format"),
        (.xml, "application/xml"), (.octetStream, "application/octet-stream"), (.exi, "application/exi"),
        (.json, "application/json"), (.cbor, "application/cbor"),
        (.coseEncrypt0, "application/cose;cose-type=\"cose-encrypt0\""),
        (.coseMAC0, "application/cose;cose-type=\"cose-mac0\""), (.senMLJSON, "application/senml+json"),
        (.senMLCBOR, "application/senml+cbor"),
    ]

    /// As HTTP and MQTT 5.0's Content Type write it; `nil` where the gateway knows no name.
    package var mediaType: String? { Self.mediaTypes.first { $0.format == self }?.mediaType }

    /// The format of a media type, blanks and case aside; `nil`: none that is known here.
    package init?(mediaType: String) {
        let sought = mediaType.filter { $0 != " " }.lowercased()
        let plain = sought == "text/plain" ? "text/plain;charset=utf-8" : sought
        guard let found = Self.mediaTypes.first(where: { $0.mediaType == plain }) else { return nil }
        self = found.format
    }

    package var description: String { self.mediaType ?? "\(self.rawValue)" }
}
