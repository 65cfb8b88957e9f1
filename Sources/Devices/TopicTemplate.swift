package import MQTTCodec
import NIOCore

/// A topic filter, or a topic, with placeholders: `%d` for a device id, `%g` for the gateway's name, `%%` for a percent sign.
///
/// A placeholder may fill a level or stand inside one (`node-%d/+`). A level holds at most one `%d`, so that the id can be
/// told from a topic without guessing; further levels may hold it too, and then it is the same id in all of them.
/// Compared as bytes, like the topics that it stands for.
///
/// The templates of a route may name what a `+` matched: a level `+name`, of `A-Z a-z 0-9 _`, is a capture. Elsewhere it is as
/// wrong as any other `+` that does not fill its level.
package struct TopicTemplate: Sendable, Hashable, CustomStringConvertible {
    enum Part: Hashable, Sendable {
        case literal([UInt8])
        case device
        case gateway
    }

    /// As written in gateway.conf.
    package let text: String
    /// Whether it holds `%d`: it then stands for another filter for each device.
    package let hasDevice: Bool
    /// Whether it holds `+` or `#`.
    package let hasWildcards: Bool

    /// The names of the `+` levels, in order; nil for a `+` without one.
    let captures: [String?]
    /// One list of parts for each level; a capture is `+` here.
    let levels: [[Part]]

    /// Reads a template.
    ///
    /// - Parameter hasCaptures: Whether a `+` may have a name.
    /// - Throws: ``TopicTemplateError`` if a placeholder is unknown, cut off, or stands twice in a level, or if no topic
    ///   filter can come of it, whatever is put for the placeholders.
    package init(_ text: String, hasCaptures: Bool = false) throws(TopicTemplateError) {
        var levels = try Self.parse(text)
        self.captures = hasCaptures ? try Self.takeCaptures(from: &levels) : levels.filter(Self.isPlus).map { _ in nil }
        self.text = text
        self.levels = levels
        self.hasDevice = levels.contains { $0.contains(.device) }
        // The longest values: what is a filter with them is one with all others.
        let longest = String(repeating: "x", count: DeviceID.maxBytes)
        do {
            let bytes = Self.render(levels, device: longest, gateway: longest)
            self.hasWildcards = try TopicFilter(validating: ByteBuffer(bytes: bytes)).hasWildcards
        } catch {
            throw .topic(error)
        }
    }

    /// The filter for one device.
    ///
    /// With no device, each level that holds `%d` becomes `+`: a filter that covers those of all devices.
    ///
    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    package func expand(device: DeviceID?, gateway: String) -> TopicFilter {
        Self.checkGateway(gateway)
        let bytes = Self.render(self.levels, device: device?.text, gateway: gateway)
        do {
            return try TopicFilter(validating: ByteBuffer(bytes: bytes))
        } catch {
            preconditionFailure("the checked template \(self.text) does not expand to a filter: \(error)")
        }
    }

    /// The topic for one device, for templates that name a topic to publish on; nil if this one has wildcards, or holds `%d`
    /// and there is no device.
    ///
    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    package func expandTopic(device: DeviceID?, gateway: String) -> TopicName? {
        guard !self.hasWildcards, device != nil || !self.hasDevice else { return nil }
        return TopicName(unchecked: self.expand(device: device, gateway: gateway).buffer)
    }

    /// The id that, put for `%d`, makes this template match `topic`; nil if none does, or if there is no `%d`.
    ///
    /// For a template that many topics are held against, ``pattern(gateway:)`` does the preparation once.
    package func device(in topic: TopicName, gateway: String) -> DeviceID? {
        self.pattern(gateway: gateway).device(in: topic)
    }

    /// The template made ready for matching.
    ///
    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    package func pattern(gateway: String) -> TopicPattern {
        Self.checkGateway(gateway)
        return TopicPattern(levels: self.levels, gateway: gateway)
    }

    /// As written in gateway.conf.
    package var description: String { self.text }

    package static func == (left: TopicTemplate, right: TopicTemplate) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        for byte in self.text.utf8 { hasher.combine(byte) }
    }

    private static func checkGateway(_ name: String) {
        do {
            try DeviceID.check(name)
        } catch {
            preconditionFailure("the gateway's name was not checked: it \(error)")
        }
    }

    private static func parse(_ text: String) throws(TopicTemplateError) -> [[Part]] {
        var levels: [[Part]] = [[]]
        var literal: [UInt8] = []
        func endLiteral() {
            if !literal.isEmpty { levels[levels.count - 1].append(.literal(literal)) }
            literal.removeAll()
        }
        var characters = text.unicodeScalars.makeIterator()
        while let character = characters.next() {
            switch character {
            case "/":
                endLiteral()
                levels.append([])
            case "%":
                switch characters.next() {
                case "%": literal.append(UInt8(ascii: "%"))
                case "d":
                    endLiteral()
                    guard !levels[levels.count - 1].contains(.device) else { throw .deviceTwiceInLevel(levels.count) }
                    levels[levels.count - 1].append(.device)
                case "g":
                    endLiteral()
                    levels[levels.count - 1].append(.gateway)
                case .some(let other): throw .unknownPlaceholder(other)
                case nil: throw .unfinishedPlaceholder
                }
            default: literal.append(contentsOf: UTF8.encode(character).map(Array.init) ?? [])
            }
        }
        endLiteral()
        return levels
    }

    private static func isPlus(_ level: [Part]) -> Bool { level == [.literal([UInt8(ascii: "+")])] }

    /// Leaves `+` of each level that is a capture; the names of all `+`, in order.
    private static func takeCaptures(from levels: inout [[Part]]) throws(TopicTemplateError) -> [String?] {
        var names: [String?] = []
        for index in levels.indices {
            guard case .literal(let first)? = levels[index].first, first.first == UInt8(ascii: "+") else { continue }
            if Self.isPlus(levels[index]) {
                names.append(nil)
                continue
            }
            let name = first.dropFirst()
            guard levels[index].count == 1, !name.isEmpty, name.allSatisfy(Self.isOfName) else {
                throw .capture(level: index + 1)
            }
            names.append(String(decoding: name, as: UTF8.self))
            levels[index] = [.literal([UInt8(ascii: "+")])]
        }
        return names
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func render(_ levels: [[Part]], device: String?, gateway: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, level) in levels.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "/")) }
            if device == nil, level.contains(.device) {
                bytes.append(UInt8(ascii: "+"))
                continue
            }
            for part in level {
                switch part {
                case .literal(let literal): bytes.append(contentsOf: literal)
                case .device: bytes.append(contentsOf: device.map { Array($0.utf8) } ?? [])
                case .gateway: bytes.append(contentsOf: gateway.utf8)
                }
            }
        }
        return bytes
    }
}

/// Why some text is no ``TopicTemplate``.
package enum TopicTemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A percent sign and a character that means nothing there.
    case unknownPlaceholder(Unicode.Scalar)
    /// A percent sign at the very end.
    case unfinishedPlaceholder
    /// `%d` twice in one level, counted from 1: no id could be told from it.
    case deviceTwiceInLevel(Int)
    /// A level, counted from 1, that starts with `+` and is neither that alone nor a capture.
    case capture(level: Int)
    /// What comes of it is no topic filter.
    case topic(TopicError)

    /// In words that follow the template.
    package var description: String {
        switch self {
        case .unknownPlaceholder(let character):
            "has the placeholder %\(character.escaped(asASCII: true)), which does not exist: "
                + "there are %d (device id), %g (gateway name) and %% (a percent sign)"
        case .unfinishedPlaceholder: "ends in a single %: write %% for a percent sign"
        case .deviceTwiceInLevel(let level): "has %d twice in level \(level): no device id could be told from it"
        case .capture(let level):
            "has a + in level \(level) that is no capture: behind + comes nothing, or a name of letters, digits and _"
        case .topic(let error): error.description
        }
    }
}
