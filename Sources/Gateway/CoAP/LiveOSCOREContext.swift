import CoAPEndpoint
import Devices
import NIOCore
import Sealing

/// A context whose keys are in memory.
final class LiveOSCOREContext {
    /// Never given twice in a run.
    let number: UInt64
    let device: DeviceID
    let fingerprint: OSCOREFingerprint
    let receiver: OSCOREReceiver
    /// Its row goes into the next commit.
    var isDirty = false
    /// A reservation of sequence numbers is on its way to the disk.
    var isReserving = false
    /// The store has no row of it, and none is on its way.
    var isUnwritten = false
    /// One more than the highest number that was asked for again.
    private var challengedBelow: UInt64 = 0
    private var challenges: UInt8 = 0
    /// In seconds of the monotonic clock.
    private var challengesSince: UInt32 = 0

    init(number: UInt64, device: DeviceID, fingerprint: OSCOREFingerprint, receiver: OSCOREReceiver) {
        self.number = number
        self.device = device
        self.fingerprint = fingerprint
        self.receiver = receiver
    }

    func protected(_ request: OSCOREReceiver.Request, needsOwnPartialIV: Bool = false) -> CoAPProtectedRequest {
        CoAPProtectedRequest(
            context: self.number,
            sequence: request.sequence,
            isFetch: request.isFetch,
            needsOwnPartialIV: needsOwnPartialIV
        )
    }

    /// Whether to answer a request of unknown freshness with a challenge. One that is newer than all before it always: the
    /// node makes it, and who has recorded others can't.
    func mayChallenge(_ number: UInt64, now: NIODeadline) -> Bool {
        if number >= self.challengedBelow {
            self.challengedBelow = number + 1
            return true
        }
        let second = UInt32(truncatingIfNeeded: now.uptimeNanoseconds / 1_000_000_000)
        if self.challengesSince != second {
            self.challengesSince = second
            self.challenges = 0
        }
        guard self.challenges < OSCOREDesk.maxChallengesPerSecond else { return false }
        self.challenges += 1
        return true
    }
}
