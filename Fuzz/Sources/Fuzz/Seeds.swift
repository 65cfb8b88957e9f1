import Glibc
import MQTTCodec
import NIOCore

/// Makes what the fuzzer begins with: the packets of the test vectors, the topics of the matching tests, sealed
/// payloads.
enum Seeds {
    static func write(to directory: String, from files: [String]) {
        for target in FuzzTarget.all { Self.makeDirectory("\(directory)/\(target.name)") }
        var number = 0
        func add(_ bytes: [UInt8], to target: String) {
            number += 1
            Self.write(bytes, to: "\(directory)/\(target)/seed-\(number)")
        }
        // CONNECT of 5.0, messages by name and alias, their ends, a subscription, DISCONNECT: all of them good packets.
        add([0, 0, 0x22, 0x17, 2, 0x15, 2, 0x23, 2, 0x12, 3, 1, 6, 1, 10, 1, 2, 0, 12, 13, 1], to: "connection")
        add([1, 1, 0x32, 2, 0x05, 1, 2, 0x06, 2, 6, 1, 11, 0, 0, 7, 3, 9, 3, 13, 0], to: "connection")
        // Accepted, messages at each QoS and their answers, a cut, the same again; one of the broker's at QoS 2.
        add([0, 0x10, 0, 0x20, 1, 0x21, 2, 0x22, 3, 0x51, 0, 0x61, 0, 0x30, 0x71, 0x40, 0x10, 1, 0x20], to: "uplink")
        add([1, 0x10, 7, 2, 2, 0x22, 1, 0x22, 2, 0x61, 0, 0x30, 0x71, 0x82, 5, 0x30, 0x91, 5, 0x30], to: "uplink")
        // A registration, an answer with an observer, changes, their acknowledgements, a copy, blocks, an Echo.
        add([1, 4, 0, 0, 1, 3, 9, 5, 1, 5, 2, 2, 0, 4, 9, 6, 100, 2, 1], to: "coap-server")
        add([1, 3, 2, 1, 0, 0, 1, 3, 2, 1, 1, 1, 3, 9, 1, 0, 0, 4, 2, 7, 1, 0, 0, 5, 3, 8, 6, 255], to: "coap-server")
        // An observation, notifications and their acknowledgement, blocks, silence, another address, the end.
        add([1, 0, 48, 2, 1, 1, 48, 4, 5, 0, 2, 2, 48, 6, 8, 1, 7, 60, 1, 0, 16, 9, 9, 3, 9, 0], to: "coap-observer")
        add([1, 0, 208, 3, 1, 0, 208, 3, 1, 0, 80, 3, 4, 0, 6, 200, 10, 0, 1, 1, 176, 7, 5, 1], to: "coap-observer")
        for file in files {
            let name = file.split(separator: "/").last.map(String.init) ?? file
            let text = Self.read(file)
            if name.hasSuffix(".json") {
                for payload in Self.payloads(text) { add(payload, to: "sealed") }
            } else if name.hasPrefix("SenML") {
                for literal in Self.literals(text) {
                    if literal.hasPrefix("[{") { add([0] + literal.utf8, to: "senml") }
                    if let bytes = wireBytes(literal), bytes.count >= 4 { add([1] + bytes, to: "senml") }
                }
                for pack in Self.packs(text) { add([0] + pack.utf8, to: "senml") }
            } else if file.contains("CoAPCodecTests/") {
                for bytes in Self.literals(text).compactMap(wireBytes) where bytes.count >= 4 {
                    add(bytes, to: "coap")
                    add([3, 9, 0x14, 7, bytes[1]] + bytes.dropFirst(4), to: "oscore")
                }
            } else if name.hasPrefix("Topic") {
                let literals = Self.literals(text)
                for (first, second) in zip(literals, literals.dropFirst()) {
                    add(Array("\(first)\0\(second)\0\(second)".utf8), to: "topics")
                    // Subscribed by one, shared by all, looked up, taken away, looked up.
                    let name = Array(second.utf8) + [0]
                    let filter = Array(first.utf8) + [0]
                    let shared = Array("$share/g/".utf8) + filter
                    add([0] + filter + [0x80] + shared + [3] + name + [0x82] + shared + [3] + name, to: "tree")
                }
            } else {
                for (version, packet) in Self.packets(text) {
                    guard let type = MQTTPacketType(rawValue: packet[0] >> 4) else { continue }
                    add([UInt8(version)] + [packet[0]] + Self.body(packet), to: "\(type)")
                    add([0, 0xFF, 0xFF, UInt8(truncatingIfNeeded: number)] + packet, to: "frames")
                    add([0xF0] + Self.connect(version) + packet + [0xC0, 0x00], to: "connection")
                }
            }
        }
    }

    /// String literals of a test's source that are packets, each with the version that stands before it.
    private static func packets(_ text: String) -> [(version: Int, bytes: [UInt8])] {
        var version = 1
        var packets: [(version: Int, bytes: [UInt8])] = []
        for (index, part) in text.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            if index.isMultiple(of: 2) {
                let versions = [".v311": 1, ".v31,": 0, ".v5": 2]
                let last = versions.keys.compactMap { key in part.lastRange(of: key).map { ($0, versions[key] ?? 1) } }
                if let last = last.max(by: { $0.0 < $1.0 }) { version = last.1 }
            } else if let bytes = wireBytes(String(part)), bytes.count >= 2 {
                packets.append((version, bytes))
            }
        }
        return packets
    }

    private static func literals(_ text: String) -> [String] {
        text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .compactMap { $0.offset.isMultiple(of: 2) ? nil : String($0.element) }
    }

    /// The packs of JSON in a test's source, which are between `[{` and `}]`.
    private static func packs(_ text: String) -> [String] {
        text.split(separator: "[{").dropFirst().compactMap { part in
            let pack = part.split(separator: "}]", maxSplits: 1, omittingEmptySubsequences: false)
            return pack.count == 2 ? "[{\(pack[0])}]" : nil
        }
    }

    /// The values of "payload" in the vectors of sealed messages.
    private static func payloads(_ text: String) -> [[UInt8]] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\"")
            guard parts.count >= 4, parts[1] == "payload" else { return nil }
            return wireBytes(String(parts[3]))
        }
    }

    /// What is behind the fixed header of a packet.
    private static func body(_ packet: [UInt8]) -> [UInt8] {
        let digits = packet.dropFirst().prefix { $0 >= 0x80 }.count + 1
        return Array(packet.dropFirst(1 + digits))
    }

    private static func connect(_ version: Int) -> [UInt8] {
        let text = [
            "10 0F 0006'MQIsdp' 03 02 0000 0001'n'", "10 0D 0004'MQTT' 04 02 0000 0001'n'",
            "10 0E 0004'MQTT' 05 02 0000 00 0001'n'",
        ]
        return wireBytes(text[version]) ?? []
    }

    private static func makeDirectory(_ path: String) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            fatalError("\(path): \(String(cString: strerror(errno)))")
        }
    }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "rb") else { fatalError("\(path): \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&block, 1, block.count, file), count > 0 { bytes += block[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func write(_ bytes: [UInt8], to path: String) {
        guard let file = fopen(path, "wb") else { fatalError("\(path): \(String(cString: strerror(errno)))") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}

/// The notation of the tests' tables: hex digits, blanks for the eye, text between single quotes. Nil if it is something else.
func wireBytes(_ notation: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var isText = false
    var half: UInt8?
    for byte in notation.utf8 {
        if byte == UInt8(ascii: "'") {
            isText.toggle()
        } else if isText {
            bytes.append(byte)
        } else if let digit = Character(UnicodeScalar(byte)).hexDigitValue {
            if let high = half { bytes.append(high << 4 | UInt8(digit)) }
            half = half == nil ? UInt8(digit) : nil
        } else if byte != UInt8(ascii: " ") {
            return nil
        }
    }
    return half == nil && !isText ? bytes : nil
}

extension StringProtocol {
    /// Where `text` stands for the last time, as an offset in bytes.
    fileprivate func lastRange(of text: String) -> Int? {
        let bytes = Array(self.utf8)
        let sought = Array(text.utf8)
        guard bytes.count >= sought.count else { return nil }
        return (0...(bytes.count - sought.count)).last { bytes[$0...].starts(with: sought) }
    }
}
