import Devices
import MQTTCodec
import NIOCore

extension ObserveConfiguration {
    /// Bytes of a resource as written.
    private static let maxResourceBytes = 1_024
    private static let example = "coap://10.0.0.7/temp"

    /// Reads one `[[observe]]`; `nil` if it lacks what nothing can stand for, or can't be used.
    init?(_ reader: ConfigurationReader, gateway: String) {
        let resource = reader.text("resource", maxBytes: Self.maxResourceBytes)
        let device = reader.string("device")
        let template = reader.template("topic")
        let retain = reader.bool("retain")
        for (key, example) in [("resource", Self.example), ("device", "kitchen"), ("topic", "nodes/%d/temp")]
        where !reader.has(key) {
            reader.error(key, "missing; write \"\(example)\"")
        }
        reader.finish()
        let target = resource.flatMap { text -> ResourceAddress? in
            do {
                return try ResourceAddress(text)
            } catch {
                return reader.refuse("resource", "\(error)")
            }
        }
        let id = device.flatMap { text -> DeviceID? in
            do {
                return try DeviceID(text)
            } catch {
                return reader.refuse("device", "the id \(error)")
            }
        }
        guard let resource, let target, let template else { return nil }
        guard !template.hasWildcards else {
            reader.error(
                "topic",
                "\(TOMLPath.printable(template.text)) has a wildcard: messages are published on one topic"
            )
            return nil
        }
        guard !template.text.hasPrefix("$") else {
            reader.error("topic", "starts with $: such topics are the gateway's own")
            return nil
        }
        guard let id, let topic = template.expandTopic(device: id, gateway: gateway) else { return nil }
        self.init(
            line: reader.line,
            text: resource,
            address: target.address,
            hasName: target.hasName,
            path: target.path,
            queries: target.queries,
            device: id,
            topic: topic,
            retain: retain ?? false
        )
    }
}

/// A URI with the scheme `coap`, taken apart (RFC 7252 §6.4).
struct ResourceAddress: Equatable {
    static let defaultPort = 5683
    /// A segment or a part of a query can't have more (RFC 7252 §5.10).
    private static let maxPartBytes = 255
    /// Of all parts together: the request has to fit a datagram.
    private static let maxBytes = 1_000

    let address: NetworkAddress
    let hasName: Bool
    let path: [String]
    let queries: [String]

    init(_ text: String) throws(ConfigurationValueError) {
        let shown = TOMLPath.printable(text)
        guard let colon = text.firstRange(of: "://") else {
            throw ConfigurationValueError("\(shown) is no URI; write \"coap://10.0.0.7/temp\"")
        }
        switch text[..<colon.lowerBound].lowercased() {
        case "coap": break
        case "coaps":
            throw ConfigurationValueError("\(shown): nodes are asked over plain CoAP only; write \"coap://\"")
        default: throw ConfigurationValueError("\(shown) does not begin with coap://")
        }
        let rest = text[colon.upperBound...]
        guard !rest.utf8.contains(UInt8(ascii: "#")) else {
            throw ConfigurationValueError("\(shown) has a fragment, which no node is told; write # as %23")
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let address = try NetworkAddress(String(rest[..<end]), defaultPort: Self.defaultPort)
        guard address.port != 0 else { throw ConfigurationValueError("\(shown): no node has port 0") }
        let first = address.host.split(separator: ".").first.flatMap { UInt8($0) }
        let isNumeric = address.host.contains(":") || address.host.utf8.allSatisfy { Self.isNumeric($0) }
        let isGroup = isNumeric && ((first ?? 0) >= 224 || address.host.lowercased().hasPrefix("ff"))
        guard !isGroup, !["0.0.0.0", "::"].contains(address.host) else {
            throw ConfigurationValueError("\(shown): a resource is one node's, and \(address.host) is nobody's own")
        }
        self.address = address
        self.hasName = !isNumeric
        let tail = rest[end...]
        let mark = tail.firstIndex(of: "?") ?? tail.endIndex
        self.path = try Self.parts(of: tail[..<mark].dropFirst(), separator: "/", shown)
        self.queries = try Self.parts(of: tail[mark...].dropFirst(), separator: "&", shown)
        guard !self.path.contains(where: { $0 == "." || $0 == ".." }) else {
            throw ConfigurationValueError("\(shown) has a segment . or ..")
        }
        let bytes = (self.path + self.queries).reduce(0) { $0 + $1.utf8.count + 3 }
        guard bytes <= Self.maxBytes else {
            throw ConfigurationValueError("is too long for one datagram: \(bytes) bytes, over \(Self.maxBytes)")
        }
    }

    private static func isNumeric(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// None of nothing.
    private static func parts(
        of text: Substring,
        separator: Character,
        _ shown: String
    ) throws(ConfigurationValueError) -> [String] {
        guard !text.isEmpty else { return [] }
        var parts: [String] = []
        for part in text.split(separator: separator, omittingEmptySubsequences: false) {
            guard let plain = Self.unescaped(part) else {
                throw ConfigurationValueError("\(shown): after a % come two hexadecimal digits, and all is UTF-8")
            }
            guard plain.utf8.count <= Self.maxPartBytes else {
                throw ConfigurationValueError("has a part of \(plain.utf8.count) bytes, over \(Self.maxPartBytes)")
            }
            parts.append(plain)
        }
        return parts
    }

    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard byte > 0x20, byte != 0x7F else { return nil }
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Hexadecimal.value),
                let low = rest.popFirst().flatMap(Hexadecimal.value)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
