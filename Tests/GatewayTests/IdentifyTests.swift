import Devices
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import Store
import TestSupport
import Testing

@testable import Gateway

/// Who a CONNECT is taken for, by what it proves and claims.
@Suite("Who connects", .timeLimit(.minutes(5)))
struct IdentifyTests {
    private static let password = "correct horse battery"

    /// A core with the devices kitchen and lost (revoked), who have that password, and bare, who has none.
    private final class Site: Sendable {
        private let directory: TemporaryDirectory
        private let store: Store
        private let loop = MultiThreadedEventLoopGroup.singleton.next()
        private let core: NIOLoopBound<GatewayCore>
        let devices: [Device]

        init() async throws {
            let directory = try TemporaryDirectory()
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let configuration = try GatewayConfiguration.parse(
                "[gateway]\nname = \"attic\"\n[limits]\nfailure_rate = \"10/d\"\n[[listener]]\nprotocol = \"mqtt\"\nbind = \"127.0.0.1:0\"\n"
                    + "password = true\n[profile.plain]\npublish = [\"nodes/%d/#\"]\n",
                directory: directory.path
            )
            let store = try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
            var kitchen = Device(id: try DeviceID("kitchen"), profile: "plain")
            kitchen.password = try PasswordHash.make(of: Array(IdentifyTests.password.utf8))
            var lost = Device(id: try DeviceID("lost"), profile: "plain", isRevoked: true)
            lost.password = kitchen.password
            let devices = [kitchen, lost, Device(id: try DeviceID("bare"), profile: "plain")]
            let loop = self.loop
            self.core = try await loop.submit {
                let registry = DeviceRegistry(gateway: "attic")
                _ = registry.replace(devices: devices, profiles: configuration.profiles.values.map(\.self))
                let core = GatewayCore(
                    configuration: configuration,
                    registry: registry,
                    routes: try RouteTable(routes: [], uplinks: [], gateway: "attic", reserved: registry.reserved),
                    store: store,
                    loop: loop,
                    logger: logger
                )
                return NIOLoopBound(core, eventLoop: loop)
            }.get()
            self.directory = directory
            self.store = store
            self.devices = devices
        }

        /// - Parameter meanwhile: Called on the loop while the password is being hashed.
        func identify(
            _ peer: TLSPeer? = nil,
            user: String? = nil,
            password: String? = nil,
            anonymous: ListenerConfiguration.Anonymous = .refused,
            usesPassword: Bool = true,
            clientID: String? = nil,
            accepted: NIODeadline = .distantFuture,
            address: String = "192.0.2.1",
            meanwhile: @escaping @Sendable (GatewayCore) -> Void = { _ in }
        ) async throws -> Result<Client.Identity, ConnectRefusal> {
            let connect = Connect(
                version: .v5,
                clientID: try clientID.map { try MQTTString($0) } ?? .empty,
                userName: try user.map { try MQTTString($0) },
                password: password.map { Password(ByteBuffer(string: $0)) }
            )
            return try await self.loop.flatSubmit {
                let promise = self.loop.makePromise(of: Result<Client.Identity, ConnectRefusal>.self)
                self.core.value.identify(
                    peer,
                    connect: connect,
                    anonymous: anonymous,
                    usesPassword: usesPassword,
                    clientID: clientID,
                    accepted: accepted,
                    address: address
                ) { promise.succeed($0) }
                meanwhile(self.core.value)
                return promise.futureResult
            }.get()
        }

        var hashed: Int {
            get async throws { try await self.loop.submit { self.core.value.passwords.hashed }.get() }
        }

        func replace(_ devices: [Device]) async throws {
            try await self.loop.submit { self.core.value.replaceDevices(devices) }.get()
        }

        func stop() async throws {
            try await self.loop.flatSubmit { self.core.value.passwords.stop() }.get()
            self.store.close()
        }
    }

    private func with(_ body: (Site) async throws -> Void) async throws {
        let site = try await Site()
        do {
            try await body(site)
        } catch {
            try await site.stop()
            throw error
        }
        try await site.stop()
    }

    private static func key(_ identity: String) -> TLSPeer {
        TLSPeer(preSharedKeyIdentity: Array(identity.utf8), version: .tls13, cipher: "x", hasForwardSecrecy: true)
    }

    private static func certificate(_ name: String?) -> TLSPeer {
        let certificate = TLSPeer.Certificate(commonName: "anything", clientName: name, notAfter: "")
        return TLSPeer(certificate: certificate, version: .tls13, cipher: "x", hasForwardSecrecy: true)
    }

    @Test("the right password of the device that the user name names")
    func right() async throws {
        try await self.with { site in
            let found = try await site.identify(user: "kitchen", password: Self.password)
            #expect(try found.get() == .device(DeviceID("kitchen")))
        }
    }

    @Test("whatever is wrong with a login, the answer is the same, after the same work")
    func wrong() async throws {
        try await self.with { site in
            let logins: [(String?, String?)] = [
                ("kitchen", "wrong password"), ("kitchen", ""), ("kitchen", nil), ("kitchen", Self.password + " "),
                ("nobody", Self.password), ("bare", Self.password), ("bare", ""), ("lost", Self.password),
                ("KITCHEN", Self.password), ("", Self.password), (nil, Self.password), ("kitchen ", Self.password),
                ("kitchen/#", Self.password), ("+", Self.password), ("#", Self.password), ("kit/chen", Self.password),
                ("%d", Self.password), ("$SYS", Self.password), (String(repeating: "k", count: 65), Self.password),
                (String(repeating: "k", count: 65_535), String(repeating: "p", count: 65_535)),
            ]
            for (index, (user, password)) in logins.enumerated() {
                let found = try await site.identify(user: user, password: password, address: "192.0.2.\(index)")
                let refusal = #expect(throws: ConnectRefusal.self) { try found.get() }
                #expect(refusal?.code == .badUserNameOrPassword, "\(String(describing: refusal))")
                #expect(refusal.flatMap { ConnectReturnCode($0.code) } == .badUserNameOrPassword)
                #expect(try await site.hashed == index + 1)
                #expect(refusal?.detail.contains(Self.password) == false)
            }
        }
    }

    @Test("the operator is told what was wrong")
    func details() async throws {
        try await self.with { site in
            for (user, password, detail) in [
                ("kitchen", "wrong password", "wrong password for the user name kitchen"),
                ("kitchen", nil, "no password for the user name kitchen"),
                ("nobody", "x", "the user name nobody is no device's"),
                ("bare", "x", "device bare has no password; see: sealgate device password"),
                ("lost", Self.password, "device lost is revoked"),
            ] as [(String, String?, String)] {
                let found = try await site.identify(user: user, password: password)
                #expect(#expect(throws: ConnectRefusal.self) { try found.get() }?.detail == detail)
            }
        }
    }

    @Test("a login that fails never becomes an anonymous connection; without one the rules for those hold")
    func failsClosed() async throws {
        try await self.with { site in
            for anonymous in [ListenerConfiguration.Anonymous.allowed, .guest] {
                for (user, password) in [("kitchen", "wrong password"), ("kitchen", nil), (nil, "x")] {
                    let found = try await site.identify(user: user, password: password, anonymous: anonymous)
                    #expect(#expect(throws: ConnectRefusal.self) { try found.get() }?.code == .badUserNameOrPassword)
                }
            }
            #expect(try await site.identify(anonymous: .guest).get() == .guest)
            #expect(try await site.identify(anonymous: .allowed).get() == .unproven)
            let refused = try await site.identify(anonymous: .refused)
            #expect(#expect(throws: ConnectRefusal.self) { try refused.get() }?.code == .notAuthorized)
        }
    }

    @Test("on a listener without passwords a user name is no proof and nothing is hashed")
    func unused() async throws {
        try await self.with { site in
            for (anonymous, identity) in [
                (ListenerConfiguration.Anonymous.allowed, Client.Identity.unproven), (.guest, .guest),
            ] {
                let found = try await site.identify(
                    user: "kitchen",
                    password: Self.password,
                    anonymous: anonymous,
                    usesPassword: false
                )
                #expect(try found.get() == identity)
            }
            #expect(try await site.hashed == 0)
        }
    }

    @Test("failures of an address are counted; when they are used up nothing is hashed, nor taken from memory")
    func budget() async throws {
        try await self.with { site in
            _ = try await site.identify(user: "kitchen", password: Self.password).get()
            for _ in 0..<10 { _ = try await site.identify(user: "nobody", password: "x") }
            let hashed = try await site.hashed
            for password in ["x", Self.password] {
                let found = try await site.identify(user: "kitchen", password: password)
                let refusal = #expect(throws: ConnectRefusal.self) { try found.get() }
                #expect(refusal?.code == .serverBusy)
                #expect(refusal.flatMap { ConnectReturnCode($0.code) } == .serverUnavailable)
            }
            #expect(try await site.hashed == hashed)
            let other = try await site.identify(user: "kitchen", password: Self.password, address: "192.0.2.99")
            #expect(try other.get() == .device(DeviceID("kitchen")))
        }
    }

    @Test("a password that was changed or taken away is worth nothing, also while it is being checked")
    func changed() async throws {
        try await self.with { site in
            _ = try await site.identify(user: "kitchen", password: Self.password).get()
            var kitchen = site.devices[0]
            kitchen.password = try PasswordHash.make(of: Array("another one".utf8))
            try await site.replace([kitchen])
            let old = try await site.identify(user: "kitchen", password: Self.password)
            #expect(#expect(throws: ConnectRefusal.self) { try old.get() }?.code == .badUserNameOrPassword)
            #expect(try await site.identify(user: "kitchen", password: "another one").get() == .device(kitchen.id))

            try await site.replace(site.devices)
            let revoked = Device(id: kitchen.id, profile: "plain", isRevoked: true, password: site.devices[0].password)
            // The memory of the first login was of another salt, but is still good for this one: so another one it is.
            kitchen.password = try PasswordHash.make(of: Array(Self.password.utf8))
            for devices in [[], [revoked], site.devices] {
                try await site.replace([kitchen])
                let found = try await site.identify(user: "kitchen", password: Self.password) {
                    $0.replaceDevices(devices)
                }
                #expect(#expect(throws: ConnectRefusal.self) { try found.get() }?.code == .badUserNameOrPassword)
                kitchen.password = try PasswordHash.make(of: Array(Self.password.utf8))
            }
        }
    }

    @Test("what TLS proves decides: another user name is refused, and a password is not looked at")
    func tls() async throws {
        try await self.with { site in
            for peer in [Self.key("kitchen"), Self.certificate("kitchen")] {
                #expect(try await site.identify(peer).get() == .device(DeviceID("kitchen")))
                let same = try await site.identify(peer, user: "kitchen", password: "wrong password")
                #expect(try same.get() == .device(DeviceID("kitchen")))
                for user in ["bare", "nobody", "Kitchen", "", "#"] {
                    let found = try await site.identify(peer, user: user, password: Self.password)
                    #expect(#expect(throws: ConnectRefusal.self) { try found.get() }?.code == .notAuthorized)
                }
            }
            #expect(try await site.hashed == 0)
        }
    }

    @Test("what TLS proved before the device was re-keyed, revoked or removed is worth nothing at a later CONNECT")
    func provenBefore() async throws {
        try await self.with { site in
            for peer in [Self.key("kitchen"), Self.certificate("kitchen")] {
                func expectStale(_ accepted: NIODeadline) async throws {
                    let late = try await site.identify(peer, anonymous: .guest, accepted: accepted)
                    let refusal = #expect(throws: ConnectRefusal.self) { try late.get() }
                    #expect(refusal?.code == .notAuthorized)
                    #expect(refusal?.detail.contains("was changed since it proved itself") == true)
                    let anew = try await site.identify(peer, accepted: .now())
                    #expect(try anew.get() == .device(DeviceID("kitchen")))
                }
                let accepted = NIODeadline.now()
                let early = try await site.identify(peer, accepted: accepted)
                #expect(try early.get() == .device(DeviceID("kitchen")))
                var kitchen = site.devices[0]
                kitchen.epoch += 1
                try await site.replace([kitchen] + site.devices[1...])
                try await expectStale(accepted)

                let second = NIODeadline.now()
                try await site.replace(Array(site.devices[1...]))
                try await site.replace(site.devices)
                try await expectStale(second)

                let third = NIODeadline.now()
                kitchen = site.devices[0]
                kitchen.isRevoked = true
                try await site.replace([kitchen] + site.devices[1...])
                try await site.replace(site.devices)
                try await expectStale(third)
            }
        }
    }

    @Test("a change of a device is remembered for as long as a connection may wait for its CONNECT, and no longer")
    func recentChanges() throws {
        let start = NIODeadline.now()
        let kitchen = try DeviceID("kitchen")
        var changes = RecentChanges()
        changes.note([kitchen], now: start)
        #expect(changes.holds(kitchen, since: start - .seconds(1)) && changes.holds(kitchen, since: start))
        #expect(!changes.holds(kitchen, since: start + .nanoseconds(1)))
        #expect(!changes.holds(try DeviceID("bare"), since: start))
        changes.forget(now: start + .seconds(61))
        #expect(changes.holds(kitchen, since: start))
        changes.note([], now: start + .minutes(2))
        #expect(!changes.holds(kitchen, since: start))
    }

    @Test("a certificate that names nobody, or no device, is no anonymous connection either")
    func certificateOfNobody() async throws {
        try await self.with { site in
            for name in [nil, "nobody", "lost", "kitchen/#", "#", "", "KITCHEN"] {
                let found = try await site.identify(Self.certificate(name), anonymous: .guest)
                #expect(#expect(throws: ConnectRefusal.self) { try found.get() }?.code == .notAuthorized)
            }
        }
    }

    // [MQTT-3.1.3-8]
    @Test("a proven device may not take another device's name for its client id, whatever proved it")
    func clientID() async throws {
        try await self.with { site in
            func found(_ clientID: String, _ peer: TLSPeer?) async throws -> Result<Client.Identity, ConnectRefusal> {
                try await site.identify(
                    peer,
                    user: peer == nil ? "kitchen" : nil,
                    password: peer == nil ? Self.password : nil,
                    clientID: clientID
                )
            }
            for peer in [nil, Self.key("kitchen"), Self.certificate("kitchen")] {
                for clientID in ["bare", "lost"] {
                    let refused = try await found(clientID, peer)
                    let refusal = #expect(throws: ConnectRefusal.self) { try refused.get() }
                    #expect(refusal?.code == .clientIdentifierNotValid)
                }
                for clientID in ["kitchen", "something", "bare/#", "Bare"] {
                    #expect(try await found(clientID, peer).get() == .device(DeviceID("kitchen")))
                }
            }
        }
    }
}
