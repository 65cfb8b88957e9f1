import Devices
import NIOCore
import Sealing

/// What an id that no device has was probably meant to be, for the log.
///
/// Anybody may name as many ids as he likes, and each is held against all devices: so it is done now and then, and among few of them.
struct NearestDevices {
    /// With more devices nothing is looked for.
    static let maxDevices = 256

    /// Milliseconds each, on a small machine.
    private var searches = TokenBucket(rate: 1, burst: 8, now: .now())

    mutating func find(_ id: DeviceID, in registry: DeviceRegistry, now: NIODeadline) -> String? {
        guard registry.count <= Self.maxDevices, self.searches.take(now: now) else { return nil }
        return NearestName.find(id.text, among: registry.devices.lazy.map(\.id.text))
    }
}
