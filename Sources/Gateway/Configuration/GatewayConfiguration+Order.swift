import Devices
import MQTTCodec

/// What `order = "newest-first"` asks of routes.
extension GatewayConfiguration {
    /// After a restart, messages of QoS 2 that were under way have to go first: their packet identifiers are known at the
    /// outside broker.
    func checkNewestFirst(_ document: ConfigurationDocument) {
        let names = Set(self.uplinks.filter { $0.order == .newestFirst }.map(\.name))
        for (index, route) in self.routes.enumerated() where names.contains(route.uplink) {
            guard route.direction == .out, route.qos == .exactlyOnce else { continue }
            document.error(
                TOMLPath.root.key("route").element(index).key("qos"),
                "2 can't be had with order = \"newest-first\" of \(route.uplink): exactly once needs the oldest first"
            )
        }
    }
}
