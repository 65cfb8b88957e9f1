import Devices
import Foundation
import MQTTCodec
import Sealing
import Testing

@Suite("Device registry")
struct DeviceRegistryTests {
    static func profiles() throws -> [Profile] {
        var plain = try Profile.make("plain", line: 40, publish: ["plain/%d/#"], subscribe: ["plain/%d/cmd"])
        plain.plaintext = true
        var named = try Profile.make("named", line: 50, publish: ["rooms/+/temp", "nodes/%d/#"])
        named.plaintext = true
        named.identifyBy = .clientID
        return [
            try .make(
                "sensor",
                line: 20,
                publish: ["nodes/%d/#"],
                subscribe: ["nodes/%d/sessionID", "nodes/%d/cmd/#"],
                sessionTopic: "nodes/%d/sessionID",
                seal: .v1
            ),
            try .make("article", line: 30, publish: ["mytopic/#"], sessionTopic: "mytopic/sessionID", seal: .v1),
            plain,
            named,
        ]
    }

    static func registry(_ devices: [Device]) throws -> DeviceRegistry {
        let registry = DeviceRegistry(gateway: "attic", ownTopics: [try TopicTemplate("gateway/%g/state")])
        _ = registry.replace(devices: devices, profiles: try Self.profiles())
        return registry
    }

    @Test("an id in a topic that no device has is told, one of another profile is none")
    func missingDevice() throws {
        let registry = try Self.registry([.make("kitchen")])
        #expect(registry.missingDevice(publish: try TopicName("nodes/kitchne/temp")) == (try DeviceID("kitchne")))
        for topic in ["nodes/kitchen/temp", "plain/kitchen/temp", "mytopic/data", "other/kitchne", "nodes/a b/temp"] {
            #expect(registry.missingDevice(publish: try TopicName(topic)) == nil, "\(topic)")
        }
    }

    @Test("gives a device the policy of its profile, made once")
    func policies() throws {
        let registry = try Self.registry([.make("kitchen"), .make("lost", "nowhere")])
        let policy = try #require(registry.policy(for: try DeviceID("kitchen")))
        #expect(policy.decide(publish: try TopicName("nodes/kitchen/temp")).isAllowed)
        #expect(!policy.decide(publish: try TopicName("nodes/cellar/temp")).isAllowed)
        #expect(policy.decide(publish: try TopicName("mytopic/sessionID")).reason == .reserved)
        #expect(policy.decide(publish: try TopicName("gateway/attic/state")).reason == .reserved)
        #expect(registry.policy(for: try DeviceID("nobody")) == nil)
        let lost = try #require(registry.policy(for: try DeviceID("lost")))
        let decision = lost.decide(publish: try TopicName("nodes/lost/temp"))
        #expect(decision.reason == .unknownProfile)
        #expect(decision.explanation == "refused: gateway.conf has no profile nowhere")
        #expect(!lost.mayReceive(try TopicName("nodes/lost/cmd/x")))
    }

    @Test("a revoked device may nothing at all")
    func revoked() throws {
        var kitchen = try Device.make("kitchen")
        kitchen.isRevoked = true
        let registry = try Self.registry([kitchen])
        let policy = try #require(registry.policy(for: kitchen.id))
        #expect(policy.decide(publish: try TopicName("nodes/kitchen/temp")).reason == .revoked)
        #expect(policy.decide(subscribe: try TopicFilter("nodes/kitchen/cmd/#")).reason == .revoked)
        #expect(!policy.mayReceive(try TopicName("nodes/kitchen/cmd/x")))
        #expect(registry.sessionGroups().isEmpty)
        #expect(registry.sessionTopic(of: kitchen.id) == nil)
    }

    static let claims: [(topic: String, clientID: String?, device: String?)] = [
        ("nodes/kitchen/temp", nil, "kitchen"),
        ("nodes/kitchen/temp", "cellar", "kitchen"),
        ("nodes/nobody/temp", nil, nil),
        ("nodes/nobody/temp", "cellar", "cellar"),
        ("nodes/porch/temp", nil, nil),
        ("plain/porch/temp", nil, "porch"),
        ("mytopic/x", "cellar", "cellar"),
        ("mytopic/x", "#", nil),
        ("mytopic/x", "", nil),
        ("mytopic/x", nil, nil),
        ("nodes/$x/temp", nil, nil),
    ]

    @Test("a sealed message claims the device of its topic, then that of the client id", arguments: Self.claims)
    func claimed(topic: String, clientID: String?, device: String?) throws {
        let registry = try Self.registry([.make("kitchen"), .make("cellar"), .make("porch", "plain")])
        #expect(registry.claimedDevice(publish: try TopicName(topic), clientID: clientID)?.text == device)
    }

    @Test("an unproven subscription claims the device of a filter that its profile covers")
    func claimedSubscription() throws {
        let registry = try Self.registry([.make("kitchen"), .make("cellar")])
        func claim(_ filter: String) throws -> String? {
            registry.claimedDevice(subscribe: try TopicFilter(filter), clientID: nil)?.text
        }
        #expect(try claim("nodes/kitchen/cmd/#") == "kitchen")
        #expect(try claim("nodes/kitchen/sessionID") == "kitchen")
        #expect(try claim("nodes/+/cmd/#") == nil)
        #expect(try claim("nodes/#") == nil)
        #expect(try claim("#") == nil)
    }

    @Test("an unsealed message is a device's only if its profile allows plaintext, told as the profile says")
    func plaintext() throws {
        var sealed = try Device.make("sealed", "plain")
        sealed.seal = .v1
        let registry = try Self.registry([
            .make("kitchen"), .make("porch", "plain"), .make("shed", "named"), sealed,
        ])
        func device(_ topic: String, _ clientID: String?) throws -> String? {
            registry.plaintextDevice(publish: try TopicName(topic), clientID: clientID)?.text
        }
        #expect(try device("plain/porch/temp", nil) == "porch")
        #expect(try device("plain/porch/temp", "shed") == "porch")
        #expect(try device("nodes/kitchen/temp", "kitchen") == nil)
        #expect(try device("rooms/a/temp", "shed") == "shed")
        #expect(try device("rooms/a/temp", "porch") == nil)
        #expect(try device("rooms/a/temp", "kitchen") == nil)
        #expect(try device("nodes/shed/temp", nil) == nil)
        #expect(try device("plain/sealed/temp", "sealed") == nil)
        let command = try TopicFilter("plain/porch/cmd")
        #expect(registry.plaintextDevice(subscribe: command, clientID: nil)?.text == "porch")
    }

    @Test("groups devices by the session topic that they share")
    func sessionGroups() throws {
        var open = try Device.make("open")
        open.seal = SealForm.none
        let registry = try Self.registry([
            .make("b", "article"), .make("a", "article"), .make("kitchen"), open, .make("porch", "plain"),
        ])
        let groups = registry.sessionGroups()
        #expect(groups.map(\.topic.description) == ["mytopic/sessionID", "nodes/kitchen/sessionID"])
        #expect(groups.map { $0.devices.map(\.id.text) } == [["a", "b"], ["kitchen"]])
        #expect(groups.map(\.profile.name) == ["article", "sensor"])
    }

    @Test("a message that names no device may be under the session topics of its topic's profiles")
    func candidates() throws {
        let registry = try Self.registry([.make("a", "article"), .make("b", "article"), .make("kitchen")])
        func topics(_ topic: String, _ clientID: String? = nil) throws -> [String] {
            registry.candidates(publish: try TopicName(topic), clientID: clientID).map(\.description)
        }
        #expect(try topics("mytopic/temp") == ["mytopic/sessionID"])
        #expect(try topics("mytopic/temp", "a") == ["mytopic/sessionID"])
        #expect(try topics("mytopic/temp", "kitchen") == ["nodes/kitchen/sessionID", "mytopic/sessionID"])
        #expect(try topics("nodes/kitchen/temp") == ["nodes/kitchen/sessionID"])
        #expect(try topics("nodes/nobody/temp").isEmpty)
        #expect(try topics("elsewhere").isEmpty)
    }

    @Test("tries no more than 16 session topics for a message")
    func candidatesAreBounded() throws {
        let devices = try (0..<100).map { number in try Device.make("n\(number)") }
        let profile = try Profile.make(publish: ["data"], sessionTopic: "s/%d", seal: .v1)
        let registry = DeviceRegistry(gateway: "attic")
        _ = registry.replace(devices: devices, profiles: [profile])
        #expect(registry.candidates(publish: try TopicName("data"), clientID: "n99").count == 16)
        #expect(registry.candidates(publish: try TopicName("data"), clientID: "n99").first?.description == "s/n99")
    }

    @Test("a device's own seal goes before its profile's")
    func seals() throws {
        var own = try Device.make("own")
        own.seal = .v2
        let registry = try Self.registry([own, .make("kitchen"), .make("porch", "plain")])
        #expect(registry.seal(of: try DeviceID("own")) == .v2)
        #expect(registry.seal(of: try DeviceID("kitchen")) == .v1)
        #expect(registry.seal(of: try DeviceID("porch")) == SealForm.none)
        #expect(registry.seal(of: try DeviceID("nobody")) == nil)
    }

    @Test("a password that is set, changed or taken away makes its device another one to prove")
    func passwords() throws {
        var device = try Device.make("hass")
        let registry = try Self.registry([device, .make("other")])
        for salt in [1, 2, nil] as [UInt8?] {
            device.password = salt.flatMap {
                PasswordHash(
                    logN: 14,
                    r: 8,
                    p: 1,
                    salt: [UInt8](repeating: $0, count: 16),
                    digest: [UInt8](repeating: 0, count: 32)
                )
            }
            let changes = registry.replace(devices: [device, try .make("other")], profiles: try Self.profiles())
            #expect(changes.rekeyed.map(\.text) == ["hass"])
            let again = registry.replace(devices: [device, try .make("other")], profiles: try Self.profiles())
            #expect(again.isEmpty)
        }
    }

    @Test("says what a new set of devices changed")
    func changes() throws {
        let registry = try Self.registry(
            ["kept", "gone", "stolen", "moved", "rolled"].map { id in try Device.make(id) }
        )
        let generation = registry.generation
        var stolen = try Device.make("stolen")
        stolen.isRevoked = true
        var rolled = try Device.make("rolled")
        rolled.epoch = 2
        let devices = [try .make("kept"), stolen, try .make("moved", "plain"), rolled, try Device.make("new")]
        let changes = registry.replace(devices: devices, profiles: try Self.profiles())
        #expect(changes.added.map(\.text) == ["new"])
        #expect(changes.removed.map(\.text) == ["gone"])
        #expect(changes.revoked.map(\.text) == ["stolen"])
        #expect(changes.reprofiled.map(\.text) == ["moved"])
        #expect(changes.rekeyed.map(\.text) == ["rolled"])
        #expect(changes.lost.map(\.text).sorted() == ["gone", "stolen"])
        #expect(registry.generation == generation + 1)
        #expect(registry.policy(for: stolen.id)?.decide(publish: try TopicName("nodes/stolen/x")).reason == .revoked)
        #expect(registry.replace(devices: devices, profiles: try Self.profiles()).isEmpty)
        stolen.isRevoked = false
        #expect(registry.replace(devices: [stolen], profiles: try Self.profiles()).restored.map(\.text) == ["stolen"])
    }

    @Test("a changed profile changes the policy of its devices, and of no others")
    func reprofiled() throws {
        let registry = try Self.registry([.make("kitchen"), .make("porch", "plain")])
        var profiles = try Self.profiles()
        profiles[0].publish = []
        let devices = [try Device.make("kitchen"), try .make("porch", "plain")]
        let changes = registry.replace(devices: devices, profiles: profiles)
        #expect(changes.reprofiled.map(\.text) == ["kitchen"])
        let policy = try #require(registry.policy(for: try DeviceID("kitchen")))
        #expect(policy.decide(publish: try TopicName("nodes/kitchen/temp")).reason == .notListed)
        #expect(registry.claimedDevice(publish: try TopicName("nodes/kitchen/temp"), clientID: nil) == nil)
    }

    @Test("a profile that vanished takes all rights with it")
    func profileGone() throws {
        let registry = try Self.registry([.make("kitchen")])
        let changes = registry.replace(devices: [try .make("kitchen")], profiles: [])
        #expect(changes.reprofiled.map(\.text) == ["kitchen"])
        let policy = try #require(registry.policy(for: try DeviceID("kitchen")))
        #expect(policy.decide(publish: try TopicName("nodes/kitchen/temp")).reason == .unknownProfile)
    }

    @Test("devices with keys of their own, of another, or of a group that shares them become members of a receiver")
    func members() throws {
        let keys = V1Keys.random()
        var one = try Device.make("one", "article")
        one.v1Keys = keys
        one.nodeID = "11242238"
        var two = try Device.make("two", "article")
        two.keysOf = one.id
        var ring = try Device.make("ring", "article")
        ring.keysOf = ring.id
        var long = try Device.make("toolong", "article")
        long.v1Keys = keys
        long.nodeID = String(repeating: "9", count: 65)
        var other = try Device.make("other", "article")
        other.seal = .v2
        let registry = try Self.registry([one, two, ring, long, other, .make("bare", "article")])
        let group = try #require(registry.sessionGroups().first)
        let (members, incomplete) = registry.v1Members(of: group)
        #expect(members.map(\.device) == ["one", "two"])
        #expect(members.map(\.nodeID) == [Array("11242238".utf8), Array("two".utf8)])
        #expect(members.allSatisfy { $0.keys == keys })
        #expect(incomplete.map(\.text) == ["bare", "ring", "toolong"])

        one.v1Keys = V1Keys.random()
        let changes = registry.replace(devices: [one, two, ring, long, other], profiles: try Self.profiles())
        #expect(changes.rekeyed.map(\.text).sorted() == ["one", "two"])
    }

    @Test("the guest's policy follows its profile")
    func guest() throws {
        let registry = try Self.registry([])
        let topic = try TopicName("mytopic/x")
        #expect(registry.guestPolicy(profile: "article")?.decide(publish: topic).isAllowed == true)
        #expect(registry.guestPolicy(profile: "nowhere") == nil)
        _ = registry.replace(devices: [], profiles: [try .make("article")])
        #expect(registry.guestPolicy(profile: "article")?.decide(publish: topic).isAllowed == false)
    }

    /// What this thread has had.
    private static var processorTime: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    @Test("finds one device among 5,000 without asking the others")
    func scale() throws {
        let devices = try (0..<5_000).map { number in try Device.make("node-\(number)") }
        let registry = try Self.registry(devices)
        #expect(registry.count == 5_000)
        #expect(registry.sessionGroups().count == 5_000)
        let topics = try (0..<5_000).map { number in try TopicName("nodes/node-\(number)/temp") }
        var found = 0
        let start = Self.processorTime
        for (topic, device) in zip(topics, devices) {
            let id = registry.claimedDevice(publish: topic, clientID: nil)
            guard id == device.id, let policy = registry.policy(for: device.id) else { continue }
            if policy.decide(publish: topic).isAllowed { found += 1 }
        }
        #expect(found == 5_000)
        // A scan would take 25 million steps, tens of seconds in a debug build, however busy the machine is.
        #expect(Self.processorTime - start < .seconds(10))
    }
}
