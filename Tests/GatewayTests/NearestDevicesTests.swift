import Devices
import NIOCore
import Testing

@testable import Gateway

@Suite struct NearestDevicesTests {
    private func registry(_ ids: [String]) throws -> DeviceRegistry {
        let registry = DeviceRegistry(gateway: "attic")
        _ = registry.replace(devices: try ids.map { Device(id: try DeviceID($0), profile: "plain") }, profiles: [])
        return registry
    }

    @Test("an id is told from what it was meant to be")
    func finds() throws {
        let registry = try self.registry(["hall", "kitchen"])
        var nearest = NearestDevices()
        #expect(nearest.find(try DeviceID("kitchne"), in: registry, now: .now()) == "kitchen")
        #expect(nearest.find(try DeviceID("xyz"), in: registry, now: .now()) == nil)
    }

    @Test("whoever names many ids has few of them looked for, and none among many devices")
    func bounds() throws {
        let registry = try self.registry(["kitchen"])
        var nearest = NearestDevices()
        let now = NIODeadline.now() + .seconds(60)
        let found = try (0..<100).count { _ in nearest.find(try DeviceID("kitchne"), in: registry, now: now) != nil }
        #expect(found == 8)
        #expect(nearest.find(try DeviceID("kitchne"), in: registry, now: now + .seconds(2)) == "kitchen")

        let many = try self.registry(["kitchen"] + (0..<NearestDevices.maxDevices).map { "node\($0)" })
        #expect(nearest.find(try DeviceID("kitchne"), in: many, now: now + .seconds(10)) == nil)
    }
}
