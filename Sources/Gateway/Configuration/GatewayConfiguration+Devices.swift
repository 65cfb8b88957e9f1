import Devices
import MQTTCodec

/// What `connect_as = "device"` asks of routes.
extension GatewayConfiguration {
    private var deviceUplinks: Set<String> { Set(self.uplinks.filter { $0.devices != nil }.map(\.name)) }

    /// A route in without `%d` would be subscribed to by each device's connection, and each would bring every message.
    func checkDeviceRoutes(_ document: ConfigurationDocument) {
        let names = self.deviceUplinks
        for (index, route) in self.routes.enumerated() where names.contains(route.uplink) {
            guard route.direction == .in, !route.from.hasDevice else { continue }
            document.error(
                TOMLPath.root.key("route").element(index).key("from"),
                "has no %d, but each device has its own connection to \(route.uplink): each would bring every message"
            )
        }
    }

    /// Messages that no device sent have no connection to such an uplink.
    func warnAboutDeviceRoutes(_ document: ConfigurationDocument) {
        let names = self.deviceUplinks
        let hasGuests = self.listeners.contains { $0.anonymous == .guest }
        let ofGuests = hasGuests ? self.profiles["guest"]?.publish.map(self.filter) ?? [] : []
        for (index, route) in self.routes.enumerated() where names.contains(route.uplink) && route.direction == .out {
            let path = TOMLPath.root.key("route").element(index)
            if route.fromUplinks {
                document.warning(
                    path.key("from_uplinks"),
                    "does nothing: each device has its own connection to \(route.uplink), and other uplinks' messages none"
                )
            }
            guard let own = try? route.compile(gateway: self.name),
                ofGuests.contains(where: { $0.overlaps(own.subscription) })
            else { continue }
            document.warning(
                path.key("from"),
                "does not take what guests publish: each device has its own connection to \(route.uplink), and guests none"
            )
        }
    }
}
