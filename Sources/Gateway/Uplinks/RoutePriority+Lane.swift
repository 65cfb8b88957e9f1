import Devices
import Store

extension RoutePriority {
    /// Of a lane of the store.
    init(_ lane: SpoolLane) {
        switch lane {
        case .high: self = .high
        case .normal: self = .normal
        case .low: self = .low
        }
    }

    /// The store's lane of this priority.
    var lane: SpoolLane {
        switch self {
        case .high: .high
        case .normal: .normal
        case .low: .low
        }
    }

    /// 0 for the least urgent.
    var rank: Int {
        switch self {
        case .high: 2
        case .normal: 1
        case .low: 0
        }
    }
}
