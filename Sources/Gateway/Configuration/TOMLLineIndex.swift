/// Where each key of a TOML document stands.
///
/// TOMLKit decides whether a document is valid, but does not say on which line a value stands. This index is another look
/// at the same text that only keeps lines. It is a tree, and a path that it does not know falls back to the nearest table
/// above it.
///
/// It is made before TOMLKit sees the text, and tells what TOMLKit does not survive, or gets wrong without a word.
package struct TOMLLineIndex: Sendable {
    private struct Node {
        /// 0 until something defines it.
        var line: Int
        /// Steps from the document.
        var depth: Int
        var children: [String: Int] = [:]
        var elements: [Int] = []
    }

    private var nodes: [Node] = [Node(line: 1, depth: 0)]
    /// Lines of strings and keys with an escaped U+0000, which TOMLKit would cut there without a word.
    package private(set) var nullEscapeLines: [Int] = []
    /// The first line on which something is deeper than ``maxDepth``, where indexing ends. TOMLKit takes dotted keys of any
    /// depth, and overflows the stack on them.
    package private(set) var tooDeepLine: Int?

    /// Most steps from the document to a value.
    package static let maxDepth = 64

    /// Scans `text`, valid or not. What is not understood is skipped to the end of its line.
    package init(_ text: String) {
        var scanner = TOMLScanner(text)
        self.scanDocument(&scanner)
        self.nullEscapeLines = scanner.nullEscapeLines
    }

    /// The line of the value at `path`, counted from 1; of the nearest table or array above it if it has none.
    package func line(of path: TOMLPath) -> Int {
        var node = 0
        var line = 1
        for step in path.steps {
            let next: Int? =
                switch step {
                case .key(let name): self.nodes[node].children[name]
                case .element(let index):
                    self.nodes[node].elements.indices.contains(index) ? self.nodes[node].elements[index] : nil
                }
            guard let next else { break }
            node = next
            if self.nodes[node].line > 0 { line = self.nodes[node].line }
        }
        return line
    }

    // MARK: Scanning

    private mutating func scanDocument(_ scanner: inout TOMLScanner) {
        var table = 0
        while true {
            scanner.skipBlank(newlines: true)
            guard let byte = scanner.peek() else { return }
            let line = scanner.line
            if byte == UInt8(ascii: "[") {
                scanner.advance()
                let isElement = scanner.skip(UInt8(ascii: "["))
                guard let key = scanner.readKey() else {
                    scanner.skipLine()
                    continue
                }
                table = self.descend(&scanner, from: 0, key, line: line, lastIsElement: isElement)
                scanner.skipLine()
            } else if let key = scanner.readKey(), scanner.skipEquals() {
                let node = self.descend(&scanner, from: table, key, line: line, lastIsElement: false)
                self.scanValue(&scanner, node: node)
                scanner.skipLine()
            } else {
                scanner.skipLine()
            }
        }
    }

    /// Indexes what is inside the value that starts here, and stands behind it afterwards.
    private mutating func scanValue(_ scanner: inout TOMLScanner, node: Int) {
        switch scanner.peek() {
        case UInt8(ascii: "["):
            scanner.advance()
            while true {
                scanner.skipBlank(newlines: true)
                guard let byte = scanner.peek() else { return }
                if byte == UInt8(ascii: "]") { return scanner.advance() }
                if byte == UInt8(ascii: ",") {
                    scanner.advance()
                    continue
                }
                let element = self.append(&scanner, to: node, line: scanner.line)
                let before = scanner.position
                self.scanValue(&scanner, node: element)
                if scanner.position == before { scanner.advance() }
            }
        case UInt8(ascii: "{"):
            scanner.advance()
            while true {
                scanner.skipBlank(newlines: true)
                guard let byte = scanner.peek() else { return }
                if byte == UInt8(ascii: "}") { return scanner.advance() }
                let line = scanner.line
                guard byte != UInt8(ascii: ","), let key = scanner.readKey(), scanner.skipEquals() else {
                    scanner.advance()
                    continue
                }
                let child = self.descend(&scanner, from: node, key, line: line, lastIsElement: false)
                self.scanValue(&scanner, node: child)
            }
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            scanner.skipString()
        default:
            scanner.skipScalar()
        }
    }

    /// The node of a dotted key, made on the way. A table that is an array of tables stands for its last element.
    private mutating func descend(
        _ scanner: inout TOMLScanner,
        from start: Int,
        _ key: [String],
        line: Int,
        lastIsElement: Bool
    ) -> Int {
        var node = start
        for (index, name) in key.enumerated() {
            if let child = self.nodes[node].children[name] {
                node = child
            } else {
                guard let child = self.add(&scanner, below: node, line: line) else { return node }
                self.nodes[node].children[name] = child
                node = child
            }
            let isLast = index == key.count - 1
            if isLast, lastIsElement { return self.append(&scanner, to: node, line: line) }
            if !isLast, let last = self.nodes[node].elements.last { node = last }
        }
        return node
    }

    private mutating func append(_ scanner: inout TOMLScanner, to node: Int, line: Int) -> Int {
        guard let element = self.add(&scanner, below: node, line: line) else { return node }
        self.nodes[node].elements.append(element)
        return element
    }

    /// A new node; `nil`, and the scanner at the end, if it would be too deep.
    private mutating func add(_ scanner: inout TOMLScanner, below node: Int, line: Int) -> Int? {
        guard self.nodes[node].depth < Self.maxDepth else {
            if self.tooDeepLine == nil { self.tooDeepLine = line }
            scanner.skipAll()
            return nil
        }
        self.nodes.append(Node(line: line, depth: self.nodes[node].depth + 1))
        return self.nodes.count - 1
    }
}
