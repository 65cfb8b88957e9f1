package import MQTTCodec
import NIOCore

/// A ``TopicTemplate`` of one gateway, ready to be held against many topics: `%g` is filled in, `%d` stands for any id.
///
/// Matching is linear in the length of the topic, with no allocation and no recursion.
package struct TopicPattern: Sendable {
    enum Kind: UInt8 { case literal, device, plus, hash }

    /// One level, by offsets into `bytes`. A device level is `start..<middle`, the id, `middle..<end`.
    struct Level: Sendable {
        var kind: Kind
        var start: Int
        var middle: Int
        var end: Int
    }

    /// Where in a topic the placeholders and wildcards were found.
    struct Match {
        var device: Range<Int>?
        /// What `#` stands for; nil if there is none, or if the topic is its parent ("a" for "a/#").
        var rest: Range<Int>?
    }

    /// The literal bytes of all levels, one after the other.
    let bytes: [UInt8]
    let levels: [Level]
    /// How many levels are `+`.
    let plusCount: Int
    /// Whether a level is, or holds, `%d`.
    let hasDevice: Bool
    /// Whether the first level is `+` or `#`.
    let startsWithWildcard: Bool

    /// Whether the last level is `#`.
    var hasHash: Bool { self.levels.last?.kind == .hash }

    init(levels parts: [[TopicTemplate.Part]], gateway: String) {
        var bytes: [UInt8] = []
        self.levels = parts.map { parts in
            let start = bytes.count
            var middle: Int?
            for part in parts {
                switch part {
                case .literal(let literal): bytes.append(contentsOf: literal)
                case .gateway: bytes.append(contentsOf: gateway.utf8)
                case .device: middle = bytes.count
                }
            }
            let kind: Kind =
                switch bytes[start...].elementsEqual([UInt8(ascii: "+")]) {
                case _ where middle != nil: .device
                case true: .plus
                case false: bytes[start...].elementsEqual([UInt8(ascii: "#")]) ? .hash : .literal
                }
            return Level(kind: kind, start: start, middle: middle ?? start, end: bytes.count)
        }
        self.bytes = bytes
        self.plusCount = self.levels.count { $0.kind == .plus }
        self.hasDevice = self.levels.contains { $0.kind == .device }
        self.startsWithWildcard = self.levels[0].kind == .plus || self.levels[0].kind == .hash
    }

    /// Whether `topic` matches, with any device id for `%d`.
    package func matches(_ topic: TopicName) -> Bool {
        topic.buffer.withUnsafeReadableBytes { self.match($0) != nil }
    }

    /// The id that stands in `topic` for `%d`; nil if the topic does not match, or there is no `%d`.
    package func device(in topic: TopicName) -> DeviceID? {
        self.hasDevice ? topic.buffer.withUnsafeReadableBytes(self.device) : nil
    }

    /// The id that makes this pattern cover all of `filter`; nil if there is none.
    package func device(in filter: TopicFilter) -> DeviceID? {
        self.hasDevice ? filter.buffer.withUnsafeReadableBytes(self.device) : nil
    }

    private func device(in name: UnsafeRawBufferPointer) -> DeviceID? {
        guard let range = self.match(name)?.device else { return nil }
        return DeviceID(bytes: UnsafeRawBufferPointer(rebasing: name[range]))
    }

    /// Holds the pattern against the bytes of a topic, or of a filter that it must cover as a whole.
    ///
    /// - Parameter pluses: Gets what each `+` stands for, in order; room for ``plusCount`` ranges, or nil.
    func match(
        _ name: UnsafeRawBufferPointer,
        pluses: UnsafeMutableBufferPointer<Range<Int>>? = nil
    ) -> Match? {
        // A wildcard at the first level never stands for a topic that starts with $ [MQTT-4.7.2-1].
        if self.startsWithWildcard, name.first == UInt8(ascii: "$") { return nil }
        var match = Match()
        let isMatch = self.bytes.withUnsafeBytes { bytes in
            self.levels.withUnsafeBufferPointer { levels in
                Self.match(levels, bytes, name, &match, pluses)
            }
        }
        return isMatch ? match : nil
    }

    private static func match(
        _ levels: UnsafeBufferPointer<Level>,
        _ bytes: UnsafeRawBufferPointer,
        _ name: UnsafeRawBufferPointer,
        _ match: inout Match,
        _ pluses: UnsafeMutableBufferPointer<Range<Int>>?
    ) -> Bool {
        var position = 0  // One past the end when the name's last level has been taken.
        var plus = 0
        for level in levels {
            if level.kind == .hash {
                if position <= name.count { match.rest = position..<name.count }
                return true
            }
            guard position <= name.count else { return false }
            let end = Self.endOfLevel(name, from: position)
            switch level.kind {
            case .literal:
                guard Self.equal(bytes, level.start..<level.end, name, position..<end) else { return false }
            case .device:
                let prefixCount = level.middle - level.start
                let suffixCount = level.end - level.middle
                guard end - position > prefixCount + suffixCount else { return false }
                let id = position + prefixCount..<end - suffixCount
                guard Self.equal(bytes, level.start..<level.middle, name, position..<id.lowerBound),
                    Self.equal(bytes, level.middle..<level.end, name, id.upperBound..<end)
                else { return false }
                if let first = match.device {
                    guard Self.equal(name, first, name, id) else { return false }
                } else {
                    guard DeviceID.isID(UnsafeRawBufferPointer(rebasing: name[id])) else { return false }
                    match.device = id
                }
            case .plus, .hash:
                // In a filter, + does not cover #. A topic has no such level.
                if end == position + 1, name[position] == UInt8(ascii: "#") { return false }
                pluses?[plus] = position..<end
                plus += 1
            }
            position = end + 1
        }
        return position == name.count + 1
    }

    private static func endOfLevel(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "/") { end += 1 }
        return end
    }

    private static func equal(
        _ left: UnsafeRawBufferPointer,
        _ leftRange: Range<Int>,
        _ right: UnsafeRawBufferPointer,
        _ rightRange: Range<Int>
    ) -> Bool {
        guard leftRange.count == rightRange.count else { return false }
        var (leftAt, rightAt) = (leftRange.lowerBound, rightRange.lowerBound)
        while leftAt < leftRange.upperBound {
            guard left[leftAt] == right[rightAt] else { return false }
            leftAt += 1
            rightAt += 1
        }
        return true
    }
}
