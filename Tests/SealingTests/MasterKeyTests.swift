import Foundation
import TestSupport
import Testing

@testable import Sealing

@Suite struct MasterKeyTests {
    /// A directory that goes away with the test.
    final class Directory {
        let path: String

        init() throws {
            let url = FileManager.default.temporaryDirectory.appending(path: "sealgate-key-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
            self.path = url.path()
        }

        deinit { try? FileManager.default.removeItem(atPath: self.path) }

        var key: String { self.path + "/master.key" }

        func write(_ text: String, mode: Int = 0o600) throws {
            try Data(text.utf8).write(to: URL(filePath: self.key))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self.key)
        }
    }

    @Test("creates a file of 64 hex digits and a line break, for its owner alone, and loads it")
    func creation() throws {
        let directory = try Directory()
        let key = try MasterKey.create(directory.key)
        let text = try String(contentsOfFile: directory.key, encoding: .utf8)
        #expect(text == hexText(key.bytes) + "\n")
        let mode = try FileManager.default.attributesOfItem(atPath: directory.key)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(try MasterKey.load(directory.key).bytes == key.bytes)
    }

    @Test("never overwrites a key")
    func exclusive() throws {
        let directory = try Directory()
        let key = try MasterKey.create(directory.key)
        #expect(throws: MasterKeyError(path: directory.key, problem: .exists)) { try MasterKey.create(directory.key) }
        #expect(try MasterKey.load(directory.key).bytes == key.bytes)
    }

    @Test("refuses modes wider than 0600, and says the cure", arguments: [0o640, 0o604, 0o644, 0o660, 0o610, 0o601])
    func modes(mode: Int) throws {
        let directory = try Directory()
        try directory.write(String(repeating: "0a", count: 32), mode: mode)
        let error = #expect(throws: MasterKeyError(path: directory.key, problem: .mode(UInt32(mode)))) {
            try MasterKey.load(directory.key)
        }
        #expect(error?.description.contains("chmod 600 \(directory.key)") == true)
        #expect(error?.description.contains(String(mode, radix: 8)) == true)
    }

    @Test("takes narrower modes, upper case, and both kinds of line break", arguments: ["", "\n", "\r\n"])
    func spellings(ending: String) throws {
        let directory = try Directory()
        try directory.write(String(repeating: "0A", count: 32) + ending, mode: 0o400)
        #expect(try MasterKey.load(directory.key).bytes == [UInt8](repeating: 10, count: 32))
    }

    @Test(
        "refuses other content, and quotes none of it",
        arguments: [
            "", "\n", String(repeating: "ab", count: 31), String(repeating: "ab", count: 33),
            String(repeating: "ab", count: 31) + "zz", String(repeating: "ab", count: 32) + "\n\n",
            " " + String(repeating: "ab", count: 32),
        ]
    )
    func contents(text: String) throws {
        let directory = try Directory()
        try directory.write(text)
        let error = #expect(throws: MasterKeyError(path: directory.key, problem: .content)) {
            try MasterKey.load(directory.key)
        }
        #expect(error?.description.contains("abab") == false)
    }

    @Test("of many that make one at once, one does, all others find it whole, and nothing else is left")
    func race() async throws {
        let directory = try Directory()
        let path = directory.key
        let keys = await withTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<16 {
                group.addTask { (try? MasterKey.create(path)).map(\.bytes) ?? (try? MasterKey.load(path).bytes) }
            }
            var keys: [[UInt8]?] = []
            for await key in group { keys.append(key) }
            return keys
        }
        #expect(keys.count == 16 && Set(keys).count == 1 && keys[0] != nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["master.key"])
    }

    @Test("refuses what is missing, a directory, and a link")
    func kinds() throws {
        let directory = try Directory()
        #expect(throws: MasterKeyError(path: directory.key, problem: .missing)) { try MasterKey.load(directory.key) }
        #expect(throws: MasterKeyError(path: directory.path, problem: .notAFile)) { try MasterKey.load(directory.path) }
        let link = directory.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: directory.key)
        #expect(throws: MasterKeyError(path: link, problem: .notAFile)) { try MasterKey.load(link) }
        #expect(throws: MasterKeyError.self) { try MasterKey.create(directory.path + "/none/master.key") }
    }

    @Test("takes 32 bytes and no other number", arguments: [0, 16, 31, 33])
    func lengths(count: Int) {
        #expect(MasterKey([UInt8](repeating: 1, count: count)) == nil)
        #expect(MasterKey([UInt8](repeating: 1, count: 32)) != nil)
    }
}
