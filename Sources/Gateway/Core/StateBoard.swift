import MQTTCodec
import NIOCore

/// What was last published on the gateway's state topics, and when it may be again. Pure; bound to the gateway's loop.
struct StateBoard {
    /// When something is to be published.
    enum Due: Equatable {
        case now
        /// It is to be asked again then.
        case later(NIODeadline)
    }

    /// The least time between two publications of one uplink: a link that flaps does not flood its listeners.
    static let pause = TimeAmount.seconds(1)

    private var reports: [UplinkReport?]
    private var published: [NIODeadline]

    init(uplinks: Int) {
        self.reports = Array(repeating: nil, count: uplinks)
        self.published = Array(repeating: .distantPast, count: uplinks)
    }

    /// Whether a report is to be published now.
    ///
    /// - Parameters:
    ///   - index: Of the uplink.
    ///   - withFigures: It is time to tell figures too, and not only news.
    /// - Returns: nil for nothing new.
    mutating func due(_ report: UplinkReport, of index: Int, withFigures: Bool, now: NIODeadline) -> Due? {
        let last = self.reports[index]
        guard report.isNews(after: last) || (withFigures && report.differs(from: last)) else { return nil }
        let earliest = self.published[index] + Self.pause
        guard now >= earliest || last == nil else { return .later(earliest) }
        self.reports[index] = report
        self.published[index] = now
        return .now
    }

}
