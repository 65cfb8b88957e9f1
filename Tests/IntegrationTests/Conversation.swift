import Foundation
import TestSupport

/// One of the conversations under Conversations, as its README.md describes them.
struct Conversation: Sendable, CustomStringConvertible {
    /// One line of it.
    struct Step: Sendable {
        enum Kind: Sendable {
            case send(Pattern)
            /// As often as the variable or number says, counting in `{i}`.
            case sendEach(upTo: String, Pattern)
            /// The next packet is one of these.
            case expect([Pattern])
            case mayExpect([Pattern])
            /// Next to others of its kind: in any order.
            case expectAmong([Pattern])
            case skip(UInt8)
            case quiet
            case close
            case cut
            /// Seconds that have to pass.
            case wait(Int)
            case open(Int)
            case on(Int)
        }

        let line: Int
        let text: String
        let kind: Kind
    }

    /// What is wrong with a file.
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    var name: String
    var file: String
    var section = ""
    var steps: [Step] = []

    var description: String { self.name }

    /// All of them, in the order of the files' names.
    static let all: [Conversation] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Conversations")
        do {
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            return try files.filter { $0.pathExtension == "txt" }.sorted { $0.path() < $1.path() }.flatMap {
                try read($0)
            }
        } catch {
            preconditionFailure("\(error)")
        }
    }()

    private static func read(_ file: URL) throws -> [Conversation] {
        var found: [Conversation] = []
        let lines = try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        for (index, line) in lines.enumerated() {
            if let name = self.field("conversation", of: line) {
                found.append(Conversation(name: name, file: file.lastPathComponent))
                continue
            }
            if let section = self.field("section", of: line) {
                found[found.count - 1].section = section
                continue
            }
            let text = Pattern.withoutComment(line)
            if text.isEmpty || line.hasPrefix("differs: ") { continue }
            do {
                let kind = try self.step(text)
                found[found.count - 1].steps.append(Step(line: index + 1, text: text, kind: kind))
            } catch {
                throw Mistake(description: "\(file.lastPathComponent):\(index + 1): \(error)")
            }
        }
        return found
    }

    private static func field(_ name: String, of line: Substring) -> String? {
        line.hasPrefix(name + ": ") ? String(line.dropFirst(name.count + 2)) : nil
    }

    private static func step(_ text: String) throws -> Step.Kind {
        let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
        let rest = parts.count > 1 ? parts[1] : ""
        func number() throws -> Int {
            guard let number = Int(rest) else { throw Mistake(description: "no number: \(text)") }
            return number
        }
        switch parts[0] {
        case ">": return .send(try Pattern(rest))
        case "<": return .expect(try Pattern.alternatives(rest))
        case "<?": return .mayExpect(try Pattern.alternatives(rest))
        case "<*": return .expectAmong(try Pattern.alternatives(rest))
        case "skip":
            guard let byte = UInt8(rest, radix: 16) else { throw Mistake(description: "no byte: \(text)") }
            return .skip(byte)
        case "quiet": return .quiet
        case "close": return .close
        case "cut": return .cut
        case "wait": return .wait(try number())
        case "open": return .open(try number())
        case "on": return .on(try number())
        case "each":
            guard rest.hasPrefix("1.."), let end = rest.firstIndex(of: ">") else {
                throw Mistake(description: "not 1..N > bytes: \(text)")
            }
            let limit = rest[rest.index(rest.startIndex, offsetBy: 3)..<end].trimmingCharacters(in: .whitespaces)
            return .sendEach(upTo: limit, try Pattern(String(rest[rest.index(after: end)...])))
        default: throw Mistake(description: "not understood: \(text)")
        }
    }
}
