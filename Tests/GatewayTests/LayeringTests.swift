import Foundation
import Testing

/// What the manifest can't say: that one target alone knows a heavy dependency, and that nothing of a layer above is known.
@Suite("Layering")
struct LayeringTests {
    private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources").standardizedFileURL

    /// Lowest first: a target imports only targets before it.
    private static let layers = [
        "COpenSSL", "OpenSSL", "MQTTCodec", "CoAPCodec", "Sealing", "Devices", "Broker", "CoAPEndpoint", "Store",
        "Uplink", "Transport", "Gateway", "sealgate",
    ]

    /// The modules that each Swift file of a target imports.
    private static func imports(of target: String) throws -> [(file: String, module: String)] {
        let directory = Self.sources.appending(path: target)
        let files = FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil)
        var found: [(String, String)] = []
        while let file = files?.nextObject() as? URL {
            guard file.pathExtension == "swift" else { continue }
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                let words = line.split(separator: " ")
                guard let keyword = words.firstIndex(of: "import"), keyword <= 1, words.count > keyword + 1 else {
                    continue
                }
                found.append((file.lastPathComponent, String(words[keyword + 1])))
            }
        }
        return found
    }

    @Test("a target imports only targets below it", arguments: layers.indices)
    func downwards(_ index: Int) throws {
        let above = Self.layers[index...]
        for (file, module) in try Self.imports(of: Self.layers[index]) {
            #expect(!above.contains(module), "\(Self.layers[index])/\(file) imports \(module)")
        }
    }

    @Test(
        "each heavy dependency has one importer",
        arguments: [
            ("COpenSSL", "OpenSSL"), ("GRDB", "Store"), ("GRDBSQLite", "Store"), ("TOMLKit", "Gateway"),
            ("ArgumentParser", "sealgate"),
        ]
    )
    func oneImporter(module: String, target: String) throws {
        for other in Self.layers where other != target {
            for (file, imported) in try Self.imports(of: other) {
                #expect(imported != module, "\(other)/\(file) imports \(module)")
            }
        }
        #expect(try Self.imports(of: target).contains { $0.module == module })
    }

    @Test("codecs, machines and sealing know no sockets")
    func machinesWithoutSockets() throws {
        let machines = [
            "OpenSSL", "MQTTCodec", "CoAPCodec", "Sealing", "Devices", "Broker", "CoAPEndpoint", "Uplink",
        ]
        for target in machines {
            for (file, module) in try Self.imports(of: target) {
                #expect(module != "NIOPosix", "\(target)/\(file) imports \(module)")
            }
        }
    }
}
