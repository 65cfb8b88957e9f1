import Devices

/// The keys of `coap` and `coaps` listeners.
extension ListenerConfiguration {
    private static let maxPaths = 64
    private static let maxPathBytes = 1_024
    /// What only these have; `prefix` an attached broker has too.
    private static let keysOfCoAP = ["oscore", "paths", "multicast", "piggyback_within"]
    private static let keysOfCertificates = [
        "certificate", "key", "key_passphrase_file", "client_ca", "client_crl", "client_name", "tls_min",
    ]

    /// Makes them known ones, whatever becomes of the listener.
    static func note(keysOfCoAP reader: ConfigurationReader) {
        for key in Self.keysOfCoAP + ["prefix"] { _ = reader.has(key) }
    }

    /// Reads them. On a listener of another kind each is an error.
    mutating func readCoAP(_ reader: ConfigurationReader) {
        guard self.isCoAP else { return Self.refuseCoAP(reader) }
        self.oscore = reader.bool("oscore") ?? self.oscore
        self.prefix = Self.readPrefix(reader) ?? self.prefix
        self.multicast = reader.bool("multicast") ?? self.multicast
        // Past ACK_TIMEOUT, 2 s, clients send again before they have an answer (RFC 7252 §4.8).
        let within = reader.duration("piggyback_within", in: .zero...(.milliseconds(1_500)))
        self.piggybackWithin = within ?? self.piggybackWithin
        self.paths = self.readPaths(reader)
        self.checkCoAP(reader)
    }

    /// Reports the keys of CoAP.
    private static func refuseCoAP(_ reader: ConfigurationReader) {
        for key in Self.keysOfCoAP where reader.has(key) {
            reader.error(key, "is for a listener with protocol \"coap\" or \"coaps\"")
        }
        if reader.has("prefix") {
            reader.error("prefix", "is for a listener with protocol \"coap\", \"coaps\" or \"attach\"")
        }
    }

    /// `prefix`: `/ps`, or nothing. Kept without its first slash.
    private static func readPrefix(_ reader: ConfigurationReader) -> String? {
        guard let text = reader.string("prefix") else { return nil }
        guard !text.isEmpty, text != "/" else { return "" }
        guard text.utf8.count <= 255 else {
            return reader.refuse("prefix", "is \(text.utf8.count) bytes long, over 255")
        }
        do {
            let segments = try CoAPPathRule.segments(text)
            if let own = Self.reserved(segments) { return reader.refuse("prefix", "/\(own) is the gateway's own") }
            return segments.joined(separator: "/")
        } catch {
            let cure = "expected a path such as \"/ps\", or \"\" for none"
            return reader.refuse("prefix", "\(TOMLPath.printable(text)) \(error); \(cure)")
        }
    }

    /// `paths`: short path to topic.
    private func readPaths(_ reader: ConfigurationReader) -> [CoAPPathRule] {
        let example = "paths such as { \"/t\" = \"nodes/%d/temp\" }"
        guard let entries = reader.namedStrings("paths", example: example, atMost: Self.maxPaths) else { return [] }
        return entries.compactMap { name, text, path in
            func refuse(_ message: String) -> CoAPPathRule? {
                reader.document.error(path, message)
                return nil
            }
            guard name.utf8.count <= Self.maxPathBytes else { return refuse("is a path of more than 1024 bytes") }
            do {
                let segments = try CoAPPathRule.segments(name)
                if let own = Self.reserved(segments) { return refuse("/\(own) is the gateway's own") }
                let prefix = self.prefix.utf8.split(separator: UInt8(ascii: "/"))
                let isBelow = zip(prefix, segments).allSatisfy { $0.elementsEqual($1.utf8) }
                // Without a prefix every path is a topic, and these come first.
                guard prefix.isEmpty || prefix.count > segments.count || !isBelow else {
                    return refuse("is below the prefix /\(self.prefix), where the rest of a path is the topic")
                }
                let template = try ConfigurationReader.template(text)
                guard !template.hasWildcards else {
                    return refuse("\(TOMLPath.printable(text)) has a wildcard, and has to be one topic")
                }
                return CoAPPathRule(path: segments, topic: template, line: reader.document.line(of: path))
            } catch let error as CoAPPathRule.PathError {
                return refuse("the path \(error)")
            } catch {
                return refuse("\(error)")
            }
        }
    }

    private static func reserved(_ segments: [String]) -> String? {
        CoAPPathRule.reservedSegments.first { segments.first.map { $0.utf8 }?.elementsEqual($0.utf8) ?? false }
    }

    /// What no key alone can say.
    private func checkCoAP(_ reader: ConfigurationReader) {
        for key in Self.keysOfCertificates where reader.has(key) {
            reader.error(key, "CoAP has no certificates here: devices have a pre-shared key (\"coaps\"), or OSCORE")
        }
        if reader.has("password") { reader.error("password", "CoAP has neither user names nor passwords") }
        if reader.has("path") { reader.error("path", "is for WebSockets; over CoAP there are prefix and paths") }
        if reader.has("origins") { reader.error("origins", "is for WebSockets") }
        if reader.has("on_denied") {
            reader.error("on_denied", "is for MQTT: over CoAP, who publishes where it may not is told so (4.03)")
        }
        if self.transport == .coaps {
            if !self.psk, !reader.hasFailed("psk") {
                let message = "a listener with protocol \"coaps\" needs psk = true"
                if reader.has("psk") { reader.error("psk", message) } else { reader.error(message) }
            }
            if self.multicast { reader.error("multicast", "there are no groups with DTLS; write protocol = \"coap\"") }
            return
        }
        if reader.has("psk") {
            reader.error("psk", "a listener with protocol \"coap\" has no DTLS; write protocol = \"coaps\"")
        }
        if !self.oscore, self.anonymous == .refused, !reader.hasFailed("anonymous") {
            reader.error(
                "anonymous",
                "nobody can use this listener: without OSCORE plain CoAP proves nothing, and anonymous = false "
                    + "refuses what proves nothing; write oscore = true, or anonymous = true or \"guest\""
            )
        }
    }
}

extension ListenerConfiguration.Transport {
    /// What people are told to write as `bind`.
    var exampleBind: String {
        switch self {
        case .mqtt, .attach: "0.0.0.0:1883"
        case .mqtts: "0.0.0.0:8883"
        case .ws: "0.0.0.0:8083"
        case .wss: "0.0.0.0:8084"
        case .coap: "0.0.0.0:5683"
        case .coaps: "0.0.0.0:5684"
        }
    }
}
