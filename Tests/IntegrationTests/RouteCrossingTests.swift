import TestSupport
import Testing

/// Routes between the nodes and several outside brokers.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct RouteCrossingTests {
    private static let routes = """
        [uplink.lab]
        address = ["mqtt://127.0.0.1:LAB"]
        protocol = "5"

        [[route]]
        direction = "out"
        from = "nodes/%d/+type/+number"
        to = "lab/+type/%d"
        uplink = "lab"
        retain = "always"

        [[route]]
        direction = "in"
        from = "news/+what"
        to = "nodes/lamp/news/+what"
        uplink = "cloud"

        [[route]]
        direction = "out"
        from = "nodes/%d/news/#"
        to = "all/%g/news/#"
        uplink = "lab"
        from_uplinks = true

        [[route]]
        direction = "in"
        from = "round/#"
        to = "nodes/lamp/round/#"
        uplink = "lab"

        [[route]]
        direction = "out"
        from = "nodes/lamp/round/#"
        to = "round/#"
        uplink = "cloud"
        from_uplinks = true
        """

    @Test(
        "a message goes to several uplinks, and from one to another only by routes that say so; captures and retain hold"
    )
    func several() async throws {
        let (cloud, lab) = (try await Mosquitto.start(), try await Mosquitto.start())
        let atCloud = try await MosquittoSubscriber.start(.init(port: cloud.port), topics: ["#"])
        let atLab = try await MosquittoSubscriber.start(.init(port: lab.port), topics: ["#"])
        var configuration = SiteConfiguration.plain(port: cloud.port)
        configuration.extra = Self.routes.replacing("LAB", with: "\(lab.port)")
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let gateway = try await home.start()
        for name in ["cloud", "lab"] { try await gateway.logged("uplink subscribed", "uplink=\(name)") }
        let node = MosquittoTarget(port: try gateway.port())
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/temp/1", payload: "21")
        #expect(try await atCloud.message(payload: "21").topic == "sites/attic/lamp/temp/1")
        #expect(try await atLab.message(payload: "21").topic == "lab/temp/lamp")
        let late = try await MosquittoSubscriber.start(.init(port: lab.port), topics: ["lab/#"])
        #expect(try await late.message(payload: "21").isRetained)

        // From the cloud to the lab, and not back; the routes for what nodes publish do not take it.
        _ = try await MosquittoPublisher.publish(.init(port: cloud.port), topic: "news/rain", payload: "wet")
        #expect(try await atLab.message(payload: "wet").topic == "all/attic/news/rain")
        _ = try await MosquittoPublisher.publish(.init(port: lab.port), topic: "round/x", payload: "there")
        #expect(try await atCloud.message(payload: "there").topic == "round/x")
        _ = try await MosquittoPublisher.publish(node, topic: "nodes/lamp/end/1", payload: "end")
        try await atCloud.message(payload: "end")
        try await atLab.message(payload: "end")
        #expect(atCloud.received.count { $0.payload == "wet" || $0.payload == "there" } == 2)
        #expect(atLab.received.count { $0.payload == "wet" || $0.payload == "there" } == 2)
    }
}
