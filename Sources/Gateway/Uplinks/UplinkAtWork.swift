import Devices

/// One `[uplink.NAME]` at work.
enum UplinkAtWork {
    /// `connect_as = "gateway"`.
    case gateway(UplinkLink)
    /// `connect_as = "device"`.
    case devices(DeviceUplinks)

    var name: String {
        switch self {
        case .gateway(let link): link.name
        case .devices(let devices): devices.name
        }
    }

    /// All that there are now.
    var links: [UplinkLink] {
        switch self {
        case .gateway(let link): [link]
        case .devices(let devices): devices.links
        }
    }

    /// The link for a message.
    ///
    /// - Parameter device: Who proved to have sent it; nil: no device.
    /// - Returns: nil if the uplink has none for it.
    func link(for device: DeviceID?) -> UplinkLink? {
        switch self {
        case .gateway(let link): link
        case .devices(let devices): device.flatMap { devices.link(for: $0) }
        }
    }

    /// Begins to connect.
    func start() {
        switch self {
        case .gateway(let link): link.start()
        case .devices(let devices): devices.start()
        }
    }
}

/// A lane, and whose it is.
struct OwnedLane {
    enum Owner {
        case gateway(UplinkLink)
        /// Whose link may come and go.
        case device(DeviceUplinks, DeviceID)

        /// Of the uplink.
        var name: String {
            switch self {
            case .gateway(let link): link.name
            case .device(let devices, _): devices.name
            }
        }
    }

    let lane: UplinkLane
    let owner: Owner
}
