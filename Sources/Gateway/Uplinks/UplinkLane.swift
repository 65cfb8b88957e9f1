import Devices
import Store

/// What waits for an uplink at one priority: a spool of its own in the store, and its head in memory. Bound to the gateway's loop.
final class UplinkLane {
    let priority: RoutePriority
    /// The store's number for this spool.
    let storeID: Int64
    var queue: LaneQueue
    /// As of the last commit that touched this spool.
    var totals: SpoolTotals {
        didSet {
            self.share?.changed(
                messages: self.totals.messages - oldValue.messages,
                bytes: self.totals.bytes - oldValue.bytes
            )
        }
    }
    /// Records on their way to the disk, which ``totals`` does not count yet.
    var uncounted = (messages: 0, bytes: 0) {
        didSet {
            self.share?.changed(
                messages: self.uncounted.messages - oldValue.messages,
                bytes: self.uncounted.bytes - oldValue.bytes
            )
        }
    }
    /// Counts it together with others; nil: the link alone has the limits.
    weak var share: SpoolShare?
    /// A drop is on its way; another one now would drop the same room twice.
    var isDropping = false
    /// The highest sequence that was sent of those that did not wait for the disk.
    var lastSent: Int64 = 0

    init(priority: RoutePriority, storeID: Int64, stored: SpoolTotals?, order: SpoolOrder) {
        self.priority = priority
        self.storeID = storeID
        self.totals = stored ?? SpoolTotals(uplink: storeID)
        self.queue = LaneQueue(order: order, stored: stored?.sequences)
    }

    /// Records that wait, those on their way to the disk included.
    var messages: Int { self.totals.messages + self.uncounted.messages }
    /// Their topics and payloads.
    var bytes: Int { self.totals.bytes + self.uncounted.bytes }
}
