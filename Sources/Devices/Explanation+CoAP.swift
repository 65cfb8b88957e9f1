extension Explanation {
    /// A way in which the device can do it over CoAP: by one listener, with one proof of itself.
    package struct CoAPWay: Sendable, Equatable, Encodable {
        /// What shows there who the device is.
        package enum Proof: String, Sendable, Encodable {
            /// The pre-shared key of its DTLS session.
            case preSharedKey = "psk"
            case oscore
            /// The seal of the message alone.
            case seal
            /// Nothing: the message says who it is.
            case none
            /// There is no way at this listener.
            case missing
        }

        /// `coap` or `coaps`.
        package var `protocol`: String
        /// Where the listener listens.
        package var bind: String
        package var proof: Proof
        /// Whether the message has to be sealed as well.
        package var sealed: Bool
        /// Whether it has to bring a fresh Echo.
        package var fresh: Bool
        /// What the device sends: method, path and query.
        package var requests: [String]

        /// A way by the listener at `bind`.
        package init(
            protocol: String,
            bind: String,
            proof: Proof,
            sealed: Bool = false,
            fresh: Bool = false,
            requests: [String] = []
        ) {
            self.protocol = `protocol`
            self.bind = bind
            self.proof = proof
            self.sealed = sealed
            self.fresh = fresh
            self.requests = requests
        }

        var text: String {
            let how: String
            switch self.proof {
            case .preSharedKey: how = "by its pre-shared key"
            case .oscore: how = "by OSCORE"
            case .seal: how = "sealed"
            case .none: how = self.fresh ? "unproven, with a fresh Echo" : "unproven"
            case .missing: return "not over \(self.protocol) \(self.bind): nothing says there which device it is"
            }
            let also = self.sealed && self.proof != .seal ? " and sealed" : ""
            let requests = self.requests.map { Printable.text($0) }.joined(separator: " or ")
            return "over \(self.protocol) \(self.bind), \(how)\(also): \(requests)"
        }
    }

    /// How the device can do it over CoAP.
    package struct CoAP: Sendable, Equatable, Encodable {
        /// In the order of the listeners.
        package var ways: [CoAPWay] = []
        /// Why there is none at any listener, in words; nil: there may be.
        package var problem: String?
        /// Whether a command that waits for the device may come in the answer.
        package var bringsCommand = false
        /// What becomes of SenML packs.
        package var senml: String?

        private enum CodingKeys: String, CodingKey {
            case ways, problem
            case bringsCommand = "brings_command"
            case senml
        }

        package init() {}

        var lines: [String] {
            if let problem = self.problem { return ["not over CoAP: \(problem)"] }
            var lines = self.ways.map(\.text)
            guard self.ways.contains(where: { $0.proof != .missing }) else { return lines }
            if self.bringsCommand { lines.append("the answer over CoAP may bring a command that waits for it") }
            if let senml = self.senml {
                lines.append("a SenML pack over CoAP becomes one message for each record (senml \(senml))")
            }
            return lines
        }
    }
}
