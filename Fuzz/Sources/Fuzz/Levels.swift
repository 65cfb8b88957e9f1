import MQTTCodec
import NIOCore

/// A topic or filter cut into its levels the plain way, to compare with.
struct Levels {
    enum Level: Equatable {
        case single
        case multi
        case name([UInt8])
    }

    private var levels: [Level]

    init(_ buffer: ByteBuffer) {
        let bytes = Array(buffer.readableBytesView)
        self.levels = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { level in
            switch Array(level) {
            case [UInt8(ascii: "+")]: .single
            case [UInt8(ascii: "#")]: .multi
            case let name: .name(name)
            }
        }
    }

    var count: Int { self.levels.count }

    subscript(_ index: Int) -> Level { self.levels[index] }

    var startsWithDollar: Bool {
        guard case .name(let name)? = self.levels.first else { return false }
        return name.first == UInt8(ascii: "$")
    }

    /// A name that stands in no filter but by chance.
    private static let fresh = Array("\u{1}fresh\u{2}".utf8)

    /// Topics that the filter matches, such that another filter of `depth` levels which matches them all matches all that
    /// this one does. Nil if one of them would be longer or deeper than topics may be.
    func witnesses(deeperThan depth: Int) -> [TopicName]? {
        var names = self.levels.map { level in
            if case .name(let name) = level { name } else { Self.fresh }
        }
        guard self.levels.last == .multi else { return Self.topic(names).map { [$0] } }
        names.removeLast()
        var topics: [TopicName] = []
        // "a/#" matches "a"; "#" alone has no such parent.
        let counts = (names.isEmpty ? 1 : 0)...max(1, depth - names.count + 1)
        for count in counts {
            guard let topic = Self.topic(names + Array(repeating: Self.fresh, count: count)) else { return nil }
            topics.append(topic)
        }
        return topics
    }

    /// The topic that two overlapping filters have in common.
    func merged(with other: Levels) -> TopicName? {
        var names: [[UInt8]] = []
        for index in 0..<max(self.count, other.count) {
            let pair = [self, other].map { $0.levels.count > index ? $0.levels[index] : .multi }
            if pair == [.multi, .multi] { break }
            let name = pair.compactMap { level in if case .name(let name) = level { name } else { nil } }.first
            names.append(name ?? Self.fresh)
        }
        if names.isEmpty { names = [Self.fresh] }
        // One may be the parent that the other's "/#" stands for as well.
        return Self.topic(names)
    }

    private static func topic(_ names: [[UInt8]]) -> TopicName? {
        try? TopicName(validating: ByteBuffer(bytes: Array(names.joined(separator: [UInt8(ascii: "/")]))))
    }
}
