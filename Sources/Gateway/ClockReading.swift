import NIOCore

/// What the machine's clock is worth to a gateway that would start now.
package struct ClockReading: Sendable {
    private let time: Int64
    private let floor: Int64
    private let rule: ClockRule

    /// - Parameters:
    ///   - storedFloor: What earlier runs have written down, in milliseconds since 1970; 0: nothing.
    ///   - rule: `clock` of gateway.conf.
    package init(storedFloor: Int64, rule: ClockRule) {
        self.init(storedFloor: storedFloor, rule: rule, time: WallClock.machine())
    }

    init(storedFloor: Int64, rule: ClockRule, time: Int64) {
        let stored = rule == .trust ? 0 : storedFloor
        self.time = time
        self.floor = TimeFloor(stored: stored, release: Version.notBefore, now: .now(), wall: time).milliseconds
        self.rule = rule
    }

    /// Why the clock would not be believed; nil if it would.
    package var problem: String? {
        guard self.time < self.floor else { return nil }
        let certificates =
            switch self.rule {
            case .wait(nil): "uplinks with certificates would wait for it"
            case .wait(let limit?):
                "uplinks with certificates would wait for it, for \(DurationText.describe(limit)) at most"
            case .floor: "certificates would be judged by that"
            case .trust: "certificates would be judged by it all the same"
            }
        return
            "the clock is not set: it shows \(JSONText.time(self.time)), and it is \(JSONText.time(self.floor)) at least; "
            + certificates
    }
}
