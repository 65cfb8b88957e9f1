package import MQTTCodec
import NIOCore

/// A ``Route`` ready for use. Made by ``Route/compile(gateway:)``, which checks what is assumed here. Never changes.
///
/// A class, so that a table of them is walked without copying their parts.
package final class CompiledRoute: Sendable {
    /// The route as configured.
    package let route: Route
    /// All topics that can be `from`, as one filter: each level with `%d` is `+`. For a route in, what to subscribe to at the
    /// outside broker. It may be wider than the route (`node-%d` becomes `+`): ``map(_:)`` decides.
    package let subscription: TopicFilter
    /// All topics that can be `to`, as one filter.
    package let target: TopicFilter

    private let from: TopicPattern
    private let to: TopicPattern
    /// For each `+` of `to`, which `+` of `from` it stands for.
    private let sources: [Int]

    init(
        route: Route,
        from: TopicPattern,
        to: TopicPattern,
        sources: [Int],
        subscription: TopicFilter,
        target: TopicFilter
    ) {
        self.route = route
        self.from = from
        self.to = to
        self.sources = sources
        self.subscription = subscription
        self.target = target
    }

    /// The topic on the other side, and the device that `%d` of `from` named; nil if the route does not take `topic`.
    ///
    /// A topic that would be empty, too long or too deep on the other side is not taken, nor one that would start with `$`
    /// there because of what a wildcard stands for.
    package func map(_ topic: TopicName) -> (topic: TopicName, device: DeviceID?)? {
        self.mapping(topic) { name, match, mapped in
            let id = match.device.flatMap { DeviceID(bytes: UnsafeRawBufferPointer(rebasing: name[$0])) }
            return (mapped, id)
        }
    }

    /// What the captures of `from` matched in a topic that it takes, by their names.
    package func captures(in topic: TopicName) -> [String: String] {
        topic.buffer.withUnsafeReadableBytes { name in
            withUnsafeTemporaryAllocation(of: Range<Int>.self, capacity: self.from.plusCount) { pluses in
                pluses.initialize(repeating: 0..<0)
                guard self.from.match(name, pluses: pluses) != nil else { return [:] }
                var found: [String: String] = [:]
                for (capture, range) in zip(self.route.from.captures, pluses) {
                    if let capture { found[capture] = String(decoding: name[range], as: UTF8.self) }
                }
                return found
            }
        }
    }

    /// The topic on the other side alone; see ``map(_:)``. The new topic is the only allocation.
    package func mapTopic(_ topic: TopicName) -> TopicName? {
        self.mapping(topic) { _, _, mapped in mapped }
    }

    private func mapping<Result>(
        _ topic: TopicName,
        _ body: (UnsafeRawBufferPointer, TopicPattern.Match, TopicName) -> Result
    ) -> Result? {
        topic.buffer.withUnsafeReadableBytes { name in
            withUnsafeTemporaryAllocation(of: Range<Int>.self, capacity: self.from.plusCount) { pluses in
                pluses.initialize(repeating: 0..<0)
                guard let match = self.from.match(name, pluses: pluses) else { return nil }
                guard let mapped = self.write(name, match, pluses) else { return nil }
                return body(name, match, mapped)
            }
        }
    }

    /// Puts the new topic together; nil if it is none.
    private func write(
        _ name: UnsafeRawBufferPointer,
        _ match: TopicPattern.Match,
        _ pluses: UnsafeMutableBufferPointer<Range<Int>>
    ) -> TopicName? {
        let idCount = match.device?.count ?? 0
        var size = self.to.bytes.count + self.to.levels.count - 1
        for level in self.to.levels where level.kind == .device { size += idCount }
        for source in self.sources { size += pluses[source].count - 1 }
        // Of "a/#", the # and, where it stands for nothing, its separator as well.
        if self.to.hasHash { size += match.rest.map { $0.count - 1 } ?? (self.to.levels.count > 1 ? -2 : -1) }
        guard size > 0, size <= 0xFFFF else { return nil }

        var result = ByteBufferAllocator().buffer(capacity: size)
        var levels = 1
        result.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            var writer = Writer(target: target)
            self.to.bytes.withUnsafeBytes { bytes in
                self.write(to: &writer, bytes, name, match, pluses)
            }
            levels = writer.levels
            return writer.count
        }
        let mapped = TopicName(unchecked: result)
        guard levels <= TopicName.maxLevels else { return nil }
        return self.to.startsWithWildcard && mapped.startsWithDollar ? nil : mapped
    }

    private func write(
        to writer: inout Writer,
        _ bytes: UnsafeRawBufferPointer,
        _ name: UnsafeRawBufferPointer,
        _ match: TopicPattern.Match,
        _ pluses: UnsafeMutableBufferPointer<Range<Int>>
    ) {
        var plus = 0
        for (index, level) in self.to.levels.enumerated() {
            if level.kind == .hash, match.rest == nil { return }
            if index > 0 { writer.writeSeparator() }
            switch level.kind {
            case .literal: writer.write(bytes[level.start..<level.end])
            case .device:
                writer.write(bytes[level.start..<level.middle])
                if let id = match.device { writer.write(name[id]) }
                writer.write(bytes[level.middle..<level.end])
            case .plus:
                writer.write(name[pluses[self.sources[plus]]])
                plus += 1
            case .hash:
                if let rest = match.rest { writer.write(name[rest]) }
            }
        }
    }

    /// Fills the memory of the new topic, whose size was worked out before, and counts its levels.
    private struct Writer {
        let target: UnsafeMutableRawBufferPointer
        var count = 0
        var levels = 1

        mutating func write(_ bytes: Slice<UnsafeRawBufferPointer>) {
            let bytes = UnsafeRawBufferPointer(rebasing: bytes)
            UnsafeMutableRawBufferPointer(rebasing: self.target[self.count...]).copyMemory(from: bytes)
            for byte in bytes where byte == UInt8(ascii: "/") { self.levels += 1 }
            self.count += bytes.count
        }

        mutating func writeSeparator() {
            self.target[self.count] = UInt8(ascii: "/")
            self.count += 1
            self.levels += 1
        }
    }
}
