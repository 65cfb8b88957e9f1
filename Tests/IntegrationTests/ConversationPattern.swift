import Foundation
import TestSupport

extension Conversation {
    /// The bytes of a packet, some of them left open.
    struct Pattern: Sendable {
        enum Token: Equatable, Sendable {
            case bytes([UInt8])
            /// `..`: any byte, or any Remaining Length in its place.
            case any
            case variable(String)
            case properties
            case ok
            case rest
        }

        private let tokens: [Token]

        /// What stands before a `#` outside of quotes.
        static func withoutComment(_ line: Substring) -> String {
            var quote: Character?
            for index in line.indices {
                let character = line[index]
                if let open = quote {
                    if character == open { quote = nil }
                } else if character == "\"" || character == "'" {
                    quote = character
                } else if character == "#" {
                    return line[..<index].trimmingCharacters(in: .whitespaces)
                }
            }
            return line.trimmingCharacters(in: .whitespaces)
        }

        /// Patterns with `|` between them.
        static func alternatives(_ text: String) throws -> [Pattern] {
            try text.split(separator: "|").map { try Pattern(String($0)) }
        }

        init(_ text: String) throws {
            var tokens: [Token] = []
            var rest = text[...]
            /// What stands up to `end`, which is passed as well.
            func take(to end: Character) throws -> String {
                guard let index = rest.firstIndex(of: end) else { throw Mistake(description: "no \(end) in: \(text)") }
                defer { rest = rest[rest.index(after: index)...] }
                return String(rest[..<index])
            }
            while let character = rest.first {
                rest = rest.dropFirst()
                switch character {
                case " ", ";": continue
                case "\"": tokens.append(.bytes(Array(try take(to: "\"").utf8)))
                case "'":
                    let string = Array(try take(to: "'").utf8)
                    tokens.append(.bytes([UInt8(string.count >> 8), UInt8(string.count & 0xFF)] + string))
                case "{": tokens.append(.variable(try take(to: "}")))
                case "*": tokens.append(.rest)
                case ".":
                    guard rest.popFirst() == "." else { throw Mistake(description: "one dot in: \(text)") }
                    tokens.append(.any)
                case "p" where rest.hasPrefix("rops"):
                    rest = rest.dropFirst(4)
                    tokens.append(.properties)
                case "o" where rest.hasPrefix("k"):
                    rest = rest.dropFirst()
                    tokens.append(.ok)
                default:
                    guard let high = character.hexDigitValue, let low = rest.popFirst()?.hexDigitValue else {
                        throw Mistake(description: "not understood: \(character) in: \(text)")
                    }
                    tokens.append(.bytes([UInt8(high << 4 | low)]))
                }
            }
            self.tokens = tokens
        }

        /// The bytes to send.
        func bytes(_ variables: [String: UInt16]) throws -> [UInt8] {
            try self.tokens.flatMap { token -> [UInt8] in
                switch token {
                case .bytes(let bytes): return bytes
                case .variable(let name):
                    guard let value = variables[name] else { throw Mistake(description: "{\(name)} is not known") }
                    return [UInt8(value >> 8), UInt8(value & 0xFF)]
                case .any, .properties, .ok, .rest: throw Mistake(description: "a pattern can't be sent")
                }
            }
        }

        /// The variables with those that this packet gives a value; nil if it is not as the pattern says.
        func match(_ packet: [UInt8], _ variables: [String: UInt16]) -> [String: UInt16]? {
            var variables = variables
            var position = 0
            for token in self.tokens {
                switch token {
                case .rest: return variables
                case .any where position == 1: position = Self.integerEnd(packet, at: 1)
                case .any: position += 1
                case .bytes(let bytes):
                    guard packet.dropFirst(position).starts(with: bytes) else { return nil }
                    position += bytes.count
                case .variable(let name):
                    guard position + 2 <= packet.count else { return nil }
                    let value = UInt16(packet[position]) << 8 | UInt16(packet[position + 1])
                    guard variables[name, default: value] == value else { return nil }
                    variables[name] = value
                    position += 2
                case .properties:
                    guard position < packet.count else { return nil }
                    position = Self.propertiesEnd(packet, at: position)
                case .ok: return Self.isOK(packet, at: position) ? variables : nil
                }
                if position > packet.count { return nil }
            }
            return position == packet.count ? variables : nil
        }

        /// Reason code 0x00 (of PUBACK and PUBREC also 0x10), with or without properties, or neither.
        private static func isOK(_ packet: [UInt8], at position: Int) -> Bool {
            guard position < packet.count else { return position == packet.count }
            let isFirst = packet[0] == 0x40 || packet[0] == 0x50
            guard packet[position] == 0 || (isFirst && packet[position] == 0x10) else { return false }
            return position + 1 == packet.count || self.propertiesEnd(packet, at: position + 1) == packet.count
        }

        /// Where the Variable Byte Integer ends that begins there.
        static func integerEnd(_ packet: [UInt8], at position: Int) -> Int {
            (packet[min(position, packet.count)...].firstIndex { $0 < 0x80 } ?? packet.count) + 1
        }

        /// Where the properties end whose length begins there.
        static func propertiesEnd(_ packet: [UInt8], at position: Int) -> Int {
            let end = min(self.integerEnd(packet, at: position), packet.count)
            let length = packet[min(position, end)..<end].reversed().reduce(0) { $0 << 7 | Int($1 & 0x7F) }
            return end + length
        }
    }
}
