import Devices
import Logging
import NIOCore

/// Tells the operator why something was refused: the first time at once, repetitions of the same device, topic, address
/// and reason once a minute with their number. A flood of refusals can't flood the log. Bound to the gateway's loop.
final class RefusalLog {
    private struct Key: Hashable {
        let refusal: Refusal
        let device: String
        let topic: String
        let address: String
        let detail: String
    }

    private struct Repetitions {
        var count = 0
        /// Of the last one.
        var detail = ""
    }

    /// Different refusals that are told apart within one minute; beyond them only the counters grow.
    private static let maxKeys = 1024
    /// Those of one address, or of all who have not shown that they are at theirs.
    private static let maxKeysPerAddress = 64
    private static let period = TimeAmount.minutes(1)

    private let logger: Logger
    private var seen: [Key: Repetitions] = [:]
    private var seenFrom: [String: Int] = [:]
    private var unlisted = 0
    private var periodEnds: NIODeadline = .distantPast

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameters:
    ///   - device: The proven device, or the claimed one with a question mark, or the address.
    ///   - topic: As the peer sent it; what is not printable is escaped here.
    ///   - detail: What to look at, in words and without secrets.
    ///   - byDetail: Whether another detail is another refusal, as where device and topic are not known.
    ///   - aside: Follows the detail and never makes another refusal, as an address that anybody could have written.
    func note(
        _ refusal: Refusal,
        device: String,
        topic: ByteBuffer?,
        from address: String,
        detail: @autoclosure () -> String,
        byDetail: Bool = false,
        aside: @autoclosure () -> String = "",
        now: NIODeadline
    ) {
        if now >= self.periodEnds { self.startPeriod(now) }
        let key = Key(
            refusal: refusal,
            device: device,
            topic: topic.map { Printable.text($0) } ?? "",
            address: address,
            detail: byDetail ? detail() : ""
        )
        if var repetitions = self.seen[key] {
            repetitions.count += 1
            repetitions.detail = (byDetail ? key.detail : detail()) + aside()
            self.seen[key] = repetitions
            return
        }
        let others = self.seenFrom[address, default: 0]
        guard self.seen.count < Self.maxKeys, others < Self.maxKeysPerAddress else {
            self.unlisted += 1
            return
        }
        self.seenFrom[address] = others + 1
        self.seen[key] = Repetitions()
        self.logger.warning(
            "refused",
            metadata: [
                "reason": "\(refusal.rawValue)", "device": "\(key.device)", "topic": "\(key.topic)",
                "from": "\(address)", "detail": "\(detail())\(aside())",
            ]
        )
    }

    /// Tells of repetitions when their minute is over, also if nothing is refused any more.
    func tick(now: NIODeadline) {
        if !self.seen.isEmpty, now >= self.periodEnds { self.startPeriod(now) }
    }

    private func startPeriod(_ now: NIODeadline) {
        self.periodEnds = now + Self.period
        for (key, repetitions) in self.seen where repetitions.count > 0 {
            self.logger.warning(
                "refused again",
                metadata: [
                    "reason": "\(key.refusal.rawValue)", "device": "\(key.device)", "topic": "\(key.topic)",
                    "from": "\(key.address)", "times": "\(repetitions.count)",
                    "detail": "\(repetitions.detail)",
                ]
            )
        }
        if self.unlisted > 0 {
            self.logger.warning("more refusals than are listed", metadata: ["times": "\(self.unlisted)"])
        }
        self.seen.removeAll(keepingCapacity: true)
        self.seenFrom.removeAll(keepingCapacity: true)
        self.unlisted = 0
    }
}
