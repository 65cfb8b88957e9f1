import CoAPCodec
package import Devices
import MQTTCodec

/// What `sealgate explain` says of CoAP: the listeners by which a device can do what it may, and what it sends there.
extension GatewayConfiguration {
    /// How the device does over CoAP what `explanation` says that it may; nil if it may not, or if no listener speaks CoAP.
    package func explainCoAP(
        _ explanation: Explanation,
        _ device: DeviceID,
        _ action: PolicyAction,
        _ registry: DeviceRegistry
    ) -> Explanation.CoAP? {
        let listeners = self.listeners.filter(\.isCoAP)
        guard explanation.allowed, !listeners.isEmpty, let profile = registry.profile(of: device) else { return nil }
        var coap = Explanation.CoAP()
        var path = CoAPOptions()
        guard let topic = try? TopicName(explanation.topic) else {
            coap.problem = "no path stands for a filter with wildcards; observe its topics one by one"
            return coap
        }
        guard (try? CoAPPath.append(topic.buffer, to: &path)) != nil else {
            coap.problem = "no path has such segments: each has 1 to 255 bytes, and is neither . nor .."
            return coap
        }
        let seals = (registry.seal(of: device) ?? .none) != .none
        // With plaintext = true what is not sealed is taken as well.
        let isSealed = action == .publish && seals && !profile.plaintext
        // What the topic does not tell the query has to.
        let isTold = explanation.filter.map { $0.contains("%d") } ?? false && profile.identifyBy == .topic
        for listener in listeners {
            func add(_ proof: Explanation.CoAPWay.Proof, isProven: Bool, fresh: Bool = false) {
                coap.ways.append(
                    Explanation.CoAPWay(
                        protocol: listener.transport.rawValue,
                        bind: "\(listener.bind)",
                        proof: proof,
                        sealed: isSealed && proof != .none,
                        fresh: fresh,
                        requests: self.requests(
                            listener,
                            topic,
                            action,
                            device,
                            isSessionTopic: registry.sessionTopic(of: device) == topic,
                            isProven: isProven,
                            isTold: isTold
                        )
                    )
                )
            }
            let before = coap.ways.count
            if listener.transport == .coaps { add(.preSharedKey, isProven: true) }
            if listener.transport == .coap, listener.oscore { add(.oscore, isProven: true) }
            if listener.admitsUnproven {
                if seals { add(action == .publish ? .seal : .none, isProven: false) }
                if profile.plaintext, action == .publish || !seals {
                    add(.none, isProven: false, fresh: profile.fresh && action == .publish)
                }
            }
            if coap.ways.count == before {
                coap.ways.append(
                    Explanation.CoAPWay(
                        protocol: listener.transport.rawValue,
                        bind: "\(listener.bind)",
                        proof: .missing
                    )
                )
            }
        }
        if action == .publish {
            coap.bringsCommand = profile.piggybackCommands
            coap.senml = profile.senml == .keep ? nil : profile.senml.rawValue
        }
        return coap
    }

    /// Method, path and query of each request that does it at `listener`.
    private func requests(
        _ listener: ListenerConfiguration,
        _ topic: TopicName,
        _ action: PolicyAction,
        _ device: DeviceID,
        isSessionTopic: Bool,
        isProven: Bool,
        isTold: Bool
    ) -> [String] {
        let method = action == .publish ? "POST " : "GET "
        let named = "?d=\(device)"
        var requests: [String] = []
        if action == .subscribe, isSessionTopic { requests.append("GET /sid" + (isProven ? "" : named)) }
        for rule in listener.paths where rule.topic.expandTopic(device: device, gateway: self.name) == topic {
            let needsName = !isProven && (rule.topic.hasDevice || !isTold)
            requests.append(method + Self.uriPath(rule.text) + (needsName ? named : ""))
        }
        let prefix = listener.prefix.isEmpty ? "/" : "/\(listener.prefix)/"
        requests.append(method + Self.uriPath(prefix + topic.description) + (isProven || isTold ? "" : named))
        return requests
    }

    /// A path as it stands in a URI: what has no place there is percent-encoded (RFC 3986 §3.3).
    private static func uriPath(_ path: String) -> String {
        var encoded = ""
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                encoded.unicodeScalars.append(UnicodeScalar(byte))
            case _ where "/-._~!$&'()*+,;=:@".utf8.contains(byte): encoded.unicodeScalars.append(UnicodeScalar(byte))
            default: encoded += "%" + Hexadecimal.encode([byte])
            }
        }
        return encoded
    }
}
