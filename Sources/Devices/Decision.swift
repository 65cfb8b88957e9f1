import MQTTCodec
import NIOCore

/// What a device wants to do with a topic or filter.
package enum PolicyAction: String, Sendable, Hashable, CaseIterable {
    /// Send a message, a will and a retained one included.
    case publish
    /// Get messages.
    case subscribe
}

/// The answer of a ``DevicePolicy``: whether the device may, and what decided it.
///
/// Made without allocation, for every message; the words are put together only if somebody asks.
package struct Decision: Sendable {
    /// What decided.
    package enum Reason: Sendable, Hashable {
        /// A filter of the profile's `publish` or `subscribe`.
        case allowed(by: PolicyLine)
        /// A filter of the profile's `deny`, which goes before all others.
        case denied(by: PolicyLine)
        /// No filter of the profile covers it.
        case notListed
        /// It is one of the gateway's own topics.
        case reserved
        /// The device is revoked.
        case revoked
        /// gateway.conf has no profile of the name on the device's record.
        case unknownProfile
    }

    enum Outcome: Sendable, Hashable {
        case allowed(rule: Int)
        case denied(rule: Int)
        case notListed, reserved, revoked, unknownProfile
    }

    /// What was asked.
    package let action: PolicyAction
    let outcome: Outcome
    let rules: PolicyRules
    let subject: ByteBuffer

    /// Whether the device may.
    package var isAllowed: Bool {
        if case .allowed = self.outcome { true } else { false }
    }

    /// What decided.
    package var reason: Reason {
        switch self.outcome {
        case .allowed(let index): .allowed(by: self.rules.allowing(self.action).lines[index])
        case .denied(let index): .denied(by: self.rules.deny.lines[index])
        case .notListed: .notListed
        case .reserved: .reserved
        case .revoked: .revoked
        case .unknownProfile: .unknownProfile
        }
    }

    /// The filter or topic that was asked about, safe to print.
    package var subjectText: String { Printable.text(self.subject) }

    /// The deciding filter as it reads for this device; nil if no filter decided.
    package var expandedFilter: String? {
        switch self.outcome {
        case .allowed(let index): self.rules.allowing(self.action).filters[index].description
        case .denied(let index): self.rules.deny.filters[index].description
        case .notListed, .reserved, .revoked, .unknownProfile: nil
        }
    }

    /// In one line for the operator; never for the peer.
    package var explanation: String {
        switch self.reason {
        case .allowed(let line): "allowed by \(self.action) line \(self.place(of: line))"
        case .denied(let line): "refused by deny line \(self.place(of: line))"
        case .notListed:
            "refused: no \(self.action) line of profile \(self.rules.profile.name) (line \(self.rules.profile.line)) "
                + "covers \(self.subjectText)"
        case .reserved: "refused: \(self.subjectText) is one of the gateway's own topics"
        case .revoked: "refused: the device is revoked"
        case .unknownProfile: "refused: gateway.conf has no profile \(Printable.text(self.rules.profile.name))"
        }
    }

    /// `23: nodes/%d/# (= nodes/kitchen/#)`, the second half only if it says something new.
    private func place(of line: PolicyLine) -> String {
        let template = Printable.text(line.template.text)
        let filter = self.expandedFilter.map { Printable.text($0) } ?? template
        return filter == template ? "\(line.line): \(template)" : "\(line.line): \(template) (= \(filter))"
    }
}
