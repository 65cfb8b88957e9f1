import Devices

/// By which time certificates are judged while the clock of the machine is not set.
package enum ClockRule: Sendable, Hashable {
    /// Connections that need certificates wait for the clock, but no longer than this; then as ``floor``. Nil: as long as it takes.
    case wait(atMost: Duration?)
    /// By the time floor: what has certainly expired is refused, what is not valid yet may be.
    case floor
    /// By the machine's clock, whatever it shows.
    case trust

    /// The words of `clock`.
    private enum Word: String, CaseIterable {
        case wait, floor, trust
    }

    /// How long a network usually takes to tell the time, and some more.
    static let defaultWait = Duration.seconds(120)

    /// Reads `clock` and `clock_wait` of `[gateway]`.
    init(_ reader: ConfigurationReader?) {
        let word: Word = reader?.choice("clock") ?? .wait
        let limit = reader?.duration("clock_wait", in: .zero...(.seconds(86_400)))
        if word != .wait, limit != nil {
            reader?.error("clock_wait", "is of use only with clock = \"wait\"")
        }
        switch word {
        case .wait: self = .wait(atMost: limit == .zero ? nil : limit ?? Self.defaultWait)
        case .floor: self = .floor
        case .trust: self = .trust
        }
    }
}
