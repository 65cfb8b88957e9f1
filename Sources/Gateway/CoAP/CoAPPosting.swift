import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore

/// A request that publishes, until it is answered: when all its messages are as safe as an acknowledgement promises, or one of
/// them is refused. Bound to the gateway's loop.
final class CoAPPosting {
    let request: CoAPRequest
    let query: CoAPPublishQuery
    /// 2.04, or 2.02 where a value was cleared.
    let success: CoAPCode
    /// Messages that are not dealt with.
    var remaining = 0
    /// The first refusal.
    var refusal: CoAPResponse?
    /// It wants a fresh Echo value first (RFC 9175 §2.3).
    var needsChallenge = false
    /// Its messages are being handed in: the answer has to wait for the last.
    var isBeingRead = true
    /// Whose messages they are, as far as they have proven it or need not.
    var device: DeviceID?
    /// Whose they are in all likelihood: good for what is public.
    var likelyDevice: DeviceID?

    init(_ request: CoAPRequest, _ query: CoAPPublishQuery, success: CoAPCode) {
        self.request = request
        self.query = query
        self.success = success
    }

    /// Whether it can be answered now.
    var isDone: Bool { self.remaining == 0 && !self.isBeingRead }
}
