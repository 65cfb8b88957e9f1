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
        var match = Match()
        var position = 0  // One past the end when the name's last level has been taken.
        var plus = 0
        let isMatch = self.bytes.withUnsafeBytes { bytes in
            for (index, level) in self.levels.enumerated() {
                // A wildcard at the first level never stands for a topic that starts with $ [MQTT-4.7.2-1].
                let isWildcard = level.kind == .plus || level.kind == .hash
                if index == 0, isWildcard, name.first == UInt8(ascii: "$") { return false }
                if level.kind == .hash {
                    guard position <= name.count else { return true }
                    match.rest = position..<name.count
                    return true
                }
                guard position <= name.count else { return false }
                let end = name[position...].firstIndex(of: UInt8(ascii: "/")) ?? name.count
                switch level.kind {
                case .literal:
                    guard Self.equal(bytes[level.start..<level.end], name[position..<end]) else { return false }
                case .device:
                    let prefix = bytes[level.start..<level.middle]
                    let suffix = bytes[level.middle..<level.end]
                    guard end - position > prefix.count + suffix.count else { return false }
                    let id = position + prefix.count..<end - suffix.count
                    guard Self.equal(prefix, name[position..<id.lowerBound]) else { return false }
                    guard Self.equal(suffix, name[id.upperBound..<end]) else { return false }
                    if let first = match.device {
                        guard Self.equal(name[first], name[id]) else { return false }
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
        return isMatch ? match : nil
    }

    private static func equal(_ left: Slice<UnsafeRawBufferPointer>, _ right: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard left.count == right.count else { return false }
        for offset in 0..<left.count where left[left.startIndex + offset] != right[right.startIndex + offset] {
            return false
        }
        return true
    }
}
