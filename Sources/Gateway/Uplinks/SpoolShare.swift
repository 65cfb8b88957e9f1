import Devices
import Store

/// What waits in all lanes that share one uplink's limits: those of its devices. Bound to the gateway's loop.
final class SpoolShare {
    private(set) var messages = 0
    private(set) var bytes = 0
    private var lanes: [UplinkLane] = []
    private weak var lastDroppedFrom: UplinkLane?

    /// Counts a lane from now on.
    func add(_ lane: UplinkLane) {
        lane.share = self
        self.lanes.append(lane)
        self.changed(messages: lane.messages, bytes: lane.bytes)
    }

    /// A lane has more or less than before.
    func changed(messages: Int, bytes: Int) {
        self.messages += messages
        self.bytes += bytes
    }

    /// The lane with the most bytes of those that are no more urgent: who fills the spool makes room. nil: there is none.
    func laneToDropFrom(upTo rank: Int) -> UplinkLane? {
        // While a drop is under way, no other is looked for: that looks at all lanes.
        if let last = self.lastDroppedFrom, last.isDropping { return last }
        self.lastDroppedFrom = self.lanes.lazy.filter { $0.priority.rank <= rank && $0.totals.messages > 0 }
            .max { ($0.totals.bytes, $0.totals.messages) < ($1.totals.bytes, $1.totals.messages) }
        return self.lastDroppedFrom
    }

    /// By priority, as ``UplinkReport`` has them.
    var priorities: [String: UplinkReport.Lane] {
        self.lanes.reduce(into: [:]) { sums, lane in
            sums[lane.priority.rawValue, default: .init(messages: 0, bytes: 0)].messages += lane.messages
            sums[lane.priority.rawValue, default: .init(messages: 0, bytes: 0)].bytes += lane.bytes
        }
    }

    /// When the oldest record was taken, in milliseconds since 1970; nil: none waits.
    var oldestStoredAt: Int64? { self.lanes.lazy.compactMap(\.totals.oldestStoredAt).min() }
}
