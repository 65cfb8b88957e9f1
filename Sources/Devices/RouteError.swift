/// Why a ``Route`` can't be used.
package struct RouteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    package enum Kind: Equatable, Sendable {
        /// A different number of `+` without a name.
        case plusCount(from: Int, to: Int)
        /// `from` has two captures of this name.
        case captureTwice(String)
        /// `to` names a capture that `from` has not.
        case unknownCapture(String, known: [String])
        /// `to` ends in `#`, `from` does not.
        case hashOnlyInTo
        /// `from` ends in `#`, `to` does not: many topics would become one.
        case hashOnlyInFrom
        /// `to` has `%d`, `from` has not.
        case deviceOnlyInTo
        /// `from` of a route in is a shared subscription, whose messages do not come under its own name.
        case sharedSubscription
        /// `to` of a route in starts with `$`.
        case reservedTarget
        /// The name of an uplink that is not configured.
        case unknownUplink(String)
    }

    /// What is wrong.
    package var kind: Kind
    /// The line of `[[route]]` in gateway.conf.
    package var line: Int

    /// An error in the route of `line`.
    package init(kind: Kind, line: Int) {
        self.kind = kind
        self.line = line
    }

    /// In words for the operator, without the line.
    package var description: String {
        switch self.kind {
        case .plusCount(let from, let to):
            "`from` has \(from) + and `to` has \(to): "
                + "each + of `to` stands for one of `from`, in order, and none may be left over; "
                + "give it a name (+name) to leave it out or to use it twice"
        case .captureTwice(let name):
            "`from` has the capture +\(name) twice, and could mean one or the other: give the second another name"
        case .unknownCapture(let name, let known):
            known.isEmpty
                ? "`to` has the capture +\(name), but `from` has none: name a level of it +\(name)"
                : "`to` has the capture +\(name), but `from` has "
                    + known.map { "+\($0)" }.joined(separator: ", ") + " only"
        case .hashOnlyInTo: "`to` ends in #, but `from` does not: there is nothing to put there"
        case .hashOnlyInFrom: "`from` ends in #, but `to` does not: all these topics would become one"
        case .deviceOnlyInTo: "`to` has %d, but `from` does not: there is no device id to put there"
        case .sharedSubscription: "`from` is a shared subscription ($share/…), which a route can't use"
        case .reservedTarget: "`to` starts with $: such local topics are the gateway's own"
        case .unknownUplink(let name): "there is no [uplink.\(name)]"
        }
    }
}
