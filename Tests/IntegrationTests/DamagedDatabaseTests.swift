import Foundation
import TestSupport
import Testing

/// A database that a power cut or a dying card has damaged: set aside, named, what can be read of it saved, and running again.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct DamagedDatabaseTests {
    /// What happens to the file while the gateway is away.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// How many of the 300 messages must have been saved at least.
        let saved: Int
        let apply: @Sendable (inout Data) -> Void

        init(_ name: String, saved: Int, _ apply: @escaping @Sendable (inout Data) -> Void) {
            self.testDescription = name
            self.saved = saved
            self.apply = apply
        }
    }

    private static let page = 4_096

    static let damages: [Damage] = [
        Damage("a page in the middle overwritten", saved: 250) { data in
            let start = data.count / 2 / Self.page * Self.page
            data.replaceSubrange(start..<start + Self.page, with: Data(repeating: 0xA5, count: Self.page))
        },
        Damage("cut", saved: 50) { $0.removeLast($0.count * 2 / 5) },
        Damage("its last third filled with zeros", saved: 80) { data in
            let start = data.count * 2 / 3
            data.replaceSubrange(start..., with: Data(count: data.count - start))
        },
        Damage("its header overwritten", saved: 290) { data in
            data.replaceSubrange(0..<100, with: Data(repeating: 0xA5, count: 100))
        },
        Damage("filled with zeros", saved: 0) { $0 = Data(count: $0.count) },
    ]

    @Test(
        "a damaged database is set aside, what can be read is saved and delivered in order, and new messages pass",
        arguments: damages
    )
    func damaged(_ damage: Damage) async throws {
        let broker = try ScriptedBroker()
        broker.stop()
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: broker.port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        var gateway = try await home.start()
        var node = PatientNode()
        for number in 1...300 { try node.publish(number, to: gateway, padding: 300) }
        node.leave()
        #expect(try await gateway.stop() == .status(0))
        let file = URL(fileURLWithPath: home.directory.file("state/sealgate.db"))
        var data = try Data(contentsOf: file)
        damage.apply(&data)
        try data.write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)

        try broker.start()
        gateway = try await home.start()
        try await gateway.logged(" error ", "sealgate.db", "damaged")
        let names = try FileManager.default.contentsOfDirectory(atPath: home.directory.file("state"))
        #expect(names.contains { $0.hasPrefix("sealgate.db") && $0.contains("damaged") }, "\(names)")
        if damage.saved == 0 { try await home.importDevices(SiteDevices.plain("lamp")) }
        try await gateway.logged("uplink connected")
        try node.publish(301, to: gateway)
        try await broker.taken(payload: "301")
        let numbers = broker.taken.compactMap { Int($0.text.prefix { $0 != " " }) }
        #expect(numbers == numbers.sorted())
        #expect(Set(numbers).count == numbers.count)
        #expect(numbers.count > damage.saved, "\(numbers.count - 1) of 300 messages were saved")
        #expect(try await gateway.stop() == .status(0))
    }
}
