import Devices

/// A name or a path that is another one for each device: `%d` stands for the device's id, `%g` for the gateway's name, `%%` for a
/// percent sign.
package struct DeviceTemplate: Sendable, Hashable {
    private enum Part: Hashable {
        case literal(String)
        case device
        case gateway
    }

    /// As written in gateway.conf.
    package let text: String
    private let parts: [Part]

    /// Reads a template.
    package init(_ text: String) throws(ConfigurationValueError) {
        var parts: [Part] = []
        var literal = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                literal.append(character)
                continue
            }
            let kind: Part
            switch rest.popFirst() {
            case "%":
                literal.append("%")
                continue
            case "d": kind = .device
            case "g": kind = .gateway
            default:
                throw ConfigurationValueError(
                    "has a % that means nothing: there are %d (device id), %g (gateway name) and %% (a percent sign)"
                )
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = ""
            parts.append(kind)
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        self.text = text
        self.parts = parts
    }

    /// Whether it is another one for each device.
    package var hasDevice: Bool { self.parts.contains(.device) }

    /// What it is for one device.
    package func expand(device: String, gateway: String) -> String {
        self.parts.reduce(into: "") { text, part in
            switch part {
            case .literal(let literal): text += literal
            case .device: text += device
            case .gateway: text += gateway
            }
        }
    }

    /// The longest that it can become, in bytes.
    func maxBytes(gateway: String) -> Int {
        self.expand(device: String(repeating: "x", count: DeviceID.maxBytes), gateway: gateway).utf8.count
    }
}
