import Devices
import Foundation
import Testing

@testable import Gateway

@Suite("The gateway.conf that is shipped")
struct ConfigurationShippedFileTests {
    private static let path = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("gateway.conf").path

    private func text() throws -> String { try String(contentsOfFile: Self.path, encoding: .utf8) }

    @Test("has nothing wrong but the key of its uplink, which is not there yet")
    func isClean() throws {
        let directory = try TemporaryDirectory()
        let configuration = try GatewayConfiguration.load(path: try directory.write("gateway.conf", try self.text()))
        #expect(configuration.warnings.isEmpty)
        let findings = configuration.checkFiles()
        #expect(findings.map(\.key) == ["uplink.cloud.psk.key_file"])
        #expect(findings.first?.message == "the file \"\(directory.path)/state/cloud.psk\" does not exist")
    }

    @Test("is what run and demo expect")
    func content() throws {
        let configuration = try GatewayConfiguration.parse(try self.text())
        #expect(configuration.listeners.map(\.transport) == [.mqtt, .mqtts])
        #expect(configuration.listeners.map(\.bind.description) == ["0.0.0.0:1883", "0.0.0.0:8883"])
        #expect(configuration.listeners.map(\.anonymous) == [.allowed, .refused])
        #expect(configuration.listeners.map(\.psk) == [false, true])
        #expect(configuration.profiles.keys.sorted() == ["plain", "sensor", "tls"])
        #expect(configuration.profiles["sensor"]?.seal == .v1)
        #expect(configuration.profiles["plain"]?.plaintext == true)
        #expect(configuration.profiles["plain"]?.identifyBy == .topic)
        #expect(configuration.uplinks.map(\.name) == ["cloud"])
        #expect(configuration.uplinks.first?.addresses.map(\.description) == ["mqtts://localhost:8884"])
        #expect(configuration.uplinks.first?.psk?.identity == "attic")
        #expect(configuration.uplinks.first?.psk?.keyFile.path == "state/cloud.psk")
        #expect(configuration.routes.map(\.direction) == [.out, .in])
    }

    @Test("shows the defaults where it says so")
    func defaults() throws {
        let configuration = try GatewayConfiguration.parse(try self.text())
        #expect(configuration.limits == GatewayLimits())
        #expect(configuration.uplinks.first?.spool == SpoolLimits())
        #expect(configuration.uplinks.first?.keepAlive == .seconds(60))
        #expect(configuration.uplinks.first?.inFlight == 100)
    }

    @Test("stays valid with every example in it uncommented, one at a time")
    func examples() throws {
        let lines = try self.text().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var examples = 0
        for (index, line) in lines.enumerated() {
            guard let key = line.wholeMatch(of: /# ([a-z_]+ +=.*)/)?.1 else { continue }
            examples += 1
            var changed = lines
            changed[index] = String(key)
            // Keys that go together, or stand below a commented header, are told as such, never as unknown.
            do throws(ConfigurationError) {
                _ = try GatewayConfiguration.parse(changed.joined(separator: "\n"))
            } catch {
                #expect(!error.description.contains("unknown"), "line \(index + 1): \(error)")
                #expect(!error.description.contains("expected"), "line \(index + 1): \(error)")
            }
        }
        #expect(examples >= 12)
    }

    @Test("explains each of its keys in a line")
    func comments() throws {
        for line in try self.text().split(separator: "\n") where line.first != "#" && line.contains("=") {
            // The spool's line is full; it is explained on the line before.
            #expect(line.contains("# ") || line.hasPrefix("spool"), "\(line)")
        }
    }
}
