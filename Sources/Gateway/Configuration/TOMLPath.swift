import Devices

/// The way from the root of a TOML document to one value: `listener[2].bind`.
package struct TOMLPath: Hashable, Sendable, CustomStringConvertible {
    /// One step down.
    package enum Step: Hashable, Sendable {
        /// A key of a table, unquoted and unescaped.
        case key(String)
        /// An element of an array, the first being 0.
        case element(Int)
    }

    /// From the root down; empty for the document itself.
    package var steps: [Step]

    /// The document itself.
    package static let root = TOMLPath(steps: [])

    package init(steps: [Step]) {
        self.steps = steps
    }

    /// This path and a key of the table there.
    package func key(_ name: String) -> TOMLPath {
        TOMLPath(steps: self.steps + [.key(name)])
    }

    /// This path and an element of the array there, the first being 0.
    package func element(_ index: Int) -> TOMLPath {
        TOMLPath(steps: self.steps + [.element(index)])
    }

    /// For people: elements count from 1, as one would say it, and keys are quoted only if they must be.
    package var description: String {
        var text = ""
        for step in self.steps {
            switch step {
            case .key(let name):
                if !text.isEmpty { text += "." }
                text += Self.quoted(name)
            case .element(let index):
                text += "[\(index + 1)]"
            }
        }
        return text
    }

    /// A key as it would be written: bare if it can be, or in quotes; cut, so that a hostile file can't fill the screen.
    package static func quoted(_ name: String) -> String {
        let isBare = !name.isEmpty && name.utf8.count <= 64 && name.utf8.allSatisfy(Self.isBareKeyByte)
        return isBare ? name : Self.printable(name)
    }

    /// Text of the file in quotes, safe to print, at most 64 characters of it.
    package static func printable(_ text: String) -> String {
        "\"\(Printable.text(text, limit: 64))\""
    }

    static func isBareKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
