import Broker
import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Sealing
import TestSupport
import Testing

@testable import Gateway

@Suite("Reading topics over CoAP", .timeLimit(.minutes(5)))
struct CoAPReaderTests {
    static let configuration = """
        [profile.guest]
        subscribe = ["#", "$SYS/#"]
        [profile.sensor]
        plaintext = true
        publish = ["nodes/%d/#"]
        subscribe = ["nodes/%d/#", "site/#"]
        deny = ["site/secret"]
        [profile.named]
        plaintext = true
        identify_by = "client_id"
        publish = ["rooms/#"]
        subscribe = ["rooms/#"]
        [profile.proven]
        publish = ["proven/%d/#"]
        subscribe = ["proven/%d/#"]
        """

    static func devices() throws -> [Device] {
        try [("k", "sensor"), ("m", "sensor"), ("n", "named"), ("p", "proven")].map { name, profile in
            Device(id: try DeviceID(name), profile: profile)
        }
    }

    private func run(_ body: (DownlinkSite) async throws -> Void) async throws {
        try await DownlinkSite.run(Self.configuration, devices: Self.devices(), body: body)
    }

    @Test("a GET gives what is retained, and 2.03 to whoever has it")
    func retained() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            #expect(try await site.get("ps/nodes/k/temp").code == .notFound)
            try await site.publish("nodes/k/temp", "21.5", retain: true, by: "k")
            let first = try await site.get("ps/nodes/k/temp")
            #expect(first.code == .content && first.text == "21.5")
            #expect(first.number(.maxAge) == nil && first.number(.contentFormat) == nil && !first.isObserved)
            let eTag = try #require(first.bytes(.eTag))
            let second = try await site.get("ps/nodes/k/temp", [(.eTag, eTag)])
            #expect(second.code == .valid && second.payload.readableBytes == 0)
            let topic = try TopicName("nodes/k/temp")
            let own = await site.look { _, link in link.reader.eTag(of: topic) }
            #expect(own.map { Array($0.readableBytesView) } == eTag)
            try await site.publish("nodes/k/temp", "22", retain: true, by: "k")
            let third = try await site.get("ps/nodes/k/temp", [(.eTag, eTag)])
            #expect(third.code == .content && third.text == "22" && third.bytes(.eTag) != eTag)
            try await site.publish("nodes/k/temp", "", retain: true, by: "k")
            #expect(try await site.get("ps/nodes/k/temp").code == .notFound)
            #expect(await site.sessionCount == 0)
        }
    }

    @Test("Content-Format is that of the message, Max-Age what is left of its expiry, and another Accept is 4.06")
    func options() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            let expiry = NIODeadline.now() + .seconds(3600)
            try await site.publish(
                "nodes/k/a",
                "{}",
                retain: true,
                by: "k",
                expiry: expiry,
                contentType: "application/json"
            )
            let json = try await site.get("ps/nodes/k/a")
            #expect(json.number(.contentFormat) == 50)
            let age = try #require(json.number(.maxAge))
            #expect((3000...3600).contains(age))
            #expect(try await site.get("ps/nodes/k/a", [(.accept, [50])]).code == .content)
            #expect(try await site.get("ps/nodes/k/a", [(.accept, [60])]).code == .notAcceptable)
            #expect(try await site.get("ps/nodes/k/a", [(.accept, [42])]).code == .notAcceptable)
            // What nobody named is bytes, and text if it can be.
            try await site.publish("nodes/k/b", "warm", retain: true, by: "k")
            #expect(try await site.get("ps/nodes/k/b", [(.accept, [42])]).number(.contentFormat) == 42)
            #expect(try await site.get("ps/nodes/k/b", [(.accept, [])]).number(.contentFormat) == 0)
            #expect(try await site.get("ps/nodes/k/b", [(.accept, [50])]).code == .notAcceptable)
        }
    }

    @Test("a value in blocks is one representation")
    func blocks() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            let large = String((0..<300).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
            try await site.publish("nodes/k/a", large, retain: true, by: "k")
            var text = ""
            for number in 0..<5 as Range<UInt8> {
                let part = try await site.get("ps/nodes/k/a", [(.block2, [number << 4 | 2])])
                text += part.text
                #expect(part.code == .content)
            }
            #expect(text == large)
        }
    }

    @Test("policy decides as about a subscription, and whoever proved nothing is told 4.01")
    func policy() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            try await site.publish("site/open", "1", retain: true)
            try await site.publish("site/secret", "1", retain: true)
            try await site.publish("proven/p/a", "1", retain: true)
            try await site.publish("rooms/a", "1", retain: true)
            await site.introduce(DownlinkSite.secure, device: "k")
            await site.introduce(DownlinkSite.other, isGuest: true)
            let rows: [(path: String, peer: CoAPPeer, code: CoAPCode)] = [
                ("ps/site/open", DownlinkSite.secure, .content),
                ("ps/site/secret", DownlinkSite.secure, .forbidden),
                ("ps/nodes/m/a", DownlinkSite.secure, .forbidden),
                ("ps/proven/p/a", DownlinkSite.secure, .forbidden),
                // No device is named, and none is claimed.
                ("ps/site/open", DownlinkSite.node, .unauthorized),
                ("ps/rooms/a", DownlinkSite.node, .unauthorized),
                // Rights of a device that proves itself are nobody's by a name.
                ("ps/proven/p/a", DownlinkSite.node, .unauthorized),
                ("ps/site/secret", DownlinkSite.other, .content),
                // A shared subscription is not what a path means, whoever may subscribe to what is behind it.
                ("ps/$share/g/site/open", DownlinkSite.other, .notFound),
            ]
            for row in rows {
                for observe in [nil, 0] as [UInt8?] {
                    let answer = try await site.get(row.path, from: row.peer, observe: observe)
                    #expect(answer.code == row.code, "\(row.path)")
                    #expect(answer.isObserved == (observe != nil && row.code == .content), "\(row.path)")
                    if !row.code.isSuccess { #expect(answer.payload.readableBytes == 0, "and no words") }
                }
            }
            let refused = rows.count { [.forbidden, .unauthorized].contains($0.code) }
            #expect(await site.counters.refused[.policy] == 2 * refused)
            await site.introduce(DownlinkSite.node, claimed: "n")
            #expect(try await site.get("ps/rooms/a", from: DownlinkSite.node).code == .content)
        }
    }

    @Test("what a publisher may not publish any more is not served, nor is what its device left behind")
    func publisherGone() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            try await site.publish("site/a", "1", retain: true, by: "k")
            try await site.publish("nodes/k/a", "1", retain: true, by: "k")
            await site.introduce(DownlinkSite.secure, isGuest: true)
            #expect(try await site.get("ps/site/a").code == .notFound, "k may not publish there")
            #expect(try await site.get("ps/nodes/k/a").code == .content)
            await site.change { $0.removeAll { $0.id.text == "k" } }
            #expect(try await site.get("ps/nodes/k/a").code == .notFound)
        }
    }

    @Test("the gateway's own topics are answered from what is true now")
    func ownTopics() async throws {
        try await self.run { (site: DownlinkSite) async throws in
            await site.introduce(DownlinkSite.secure, isGuest: true)
            #expect(try await site.get("ps/sealgate/attic/bridge/state").text == "online")
            let devices = try await site.get("ps/$SYS/gateway/devices")
            #expect(devices.text == "4", "\(devices)")
            #expect(try await site.get("ps/$SYS/gateway/nothing").code == .notFound)
        }
    }

    @Test("topics over the limits are 4.00")
    func limits() async throws {
        try await DownlinkSite.run(
            "[limits]\nmax_topic_levels = 3\n" + Self.configuration,
            devices: Self.devices()
        ) { (site: DownlinkSite) async throws in
            #expect(try await site.get("ps/nodes/k/a/b").code == .badRequest)
            #expect(await site.counters.limits[.topicSize] == 1)
        }
    }
}
