import Logging
import NIOCore
import Store

/// The time of day: whether it is known, and the floor below which it is not.
extension GatewayCore {
    /// Says once whether the clock is set, and looks often while it is not.
    func startClock() {
        self.wasClockSet = self.wallClock.isSet
        guard !self.wasClockSet else { return }
        self.logger.warning(
            "the clock is not set: messages are taken without a time, and certificates judged by the earliest time it can be",
            metadata: [
                "clock": "\(JSONText.time(self.wallClock.milliseconds))",
                "earliest": "\(JSONText.time(self.wallClock.floor))",
            ]
        )
        self.scheduleClockLook()
    }

    /// Once a second, while somebody may wait for it.
    private func scheduleClockLook() {
        self.clockTimer = self.loop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            self.lookAtClock()
            if !self.wasClockSet { self.scheduleClockLook() }
        }
    }

    /// Notices that the clock was set, or lost; to be called every few seconds.
    func lookAtClock() {
        let now = NIODeadline.now()
        let isSet = self.wallClock.isSet
        if let floor = self.timeFloor.observe(now: now, wall: self.wallClock.milliseconds) { self.raise(floor) }
        for link in self.links { link.lookAtClock(now: now) }
        guard isSet != self.wasClockSet else { return }
        self.wasClockSet = isSet
        if isSet {
            self.logger.notice("the clock is set", metadata: ["clock": "\(JSONText.time(self.wallClock.milliseconds))"])
        } else {
            self.startClock()
        }
    }

    /// What was seen of the clock is kept for the next run.
    func keepTimeFloor() {
        self.clockTimer?.cancel()
        let wall = self.wallClock.milliseconds
        if let floor = self.timeFloor.observe(now: .now(), wall: wall, isLast: true) { self.raise(floor) }
        self.commits.flushTimeFloor()
    }

    private func raise(_ floor: Int64) {
        // With "trust" the floor of the release is the one in force.
        if self.configuration.clock != .trust { self.wallClock.floor = floor }
        self.commits.note(timeFloor: floor)
    }
}
