import NIOCore

/// A filter of the form `$share/group/filter` taken apart (MQTT 5.0 §4.8.2).
public struct SharedSubscription: Hashable, Sendable {
    /// Why a filter that starts with `$share/` is no shared subscription.
    public enum SyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
        /// `$share//a`: the ShareName has at least one character `[MQTT-4.8.2-1]`.
        case emptyGroup
        /// `$share/+/a`: nor may it hold wildcards `[MQTT-4.8.2-2]`.
        case wildcardInGroup
        /// `$share/group` or `$share/group/`: a filter follows `[MQTT-4.8.2-2]`.
        case missingFilter

        /// In words, for the operator.
        public var description: String {
            switch self {
            case .emptyGroup: "is a shared subscription without a group name"
            case .wildcardInGroup: "is a shared subscription with a wildcard in its group name"
            case .missingFilter: "is a shared subscription without a topic filter"
            }
        }
    }

    private static let prefix: StaticString = "$share/"

    /// The ShareName.
    public let group: MQTTString
    /// What is matched against topics, and what access decisions are about.
    public let filter: TopicFilter

    /// Takes `filter` apart; nil if it is an ordinary one, which starts with anything but `$share/`.
    public static func parse(_ filter: TopicFilter) throws(SyntaxError) -> SharedSubscription? {
        guard Self.hasPrefix(filter) else { return nil }
        var rest = filter.buffer
        rest.moveReaderIndex(forwardBy: Self.prefix.utf8CodeUnitCount)
        let bytes = rest.readableBytesView
        let groupLength = bytes.firstIndex(of: UInt8(ascii: "/")).map { $0 - bytes.startIndex } ?? bytes.count
        guard groupLength > 0 else { throw .emptyGroup }
        let wildcards = bytes.prefix(groupLength).contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
        guard !wildcards else { throw .wildcardInGroup }
        guard let group = rest.readSlice(length: groupLength), rest.readInteger(as: UInt8.self) != nil else {
            throw .missingFilter
        }
        // Both were checked as parts of the whole; only an empty filter can still be refused.
        guard let inner = try? TopicFilter(validating: rest.slice()), let name = try? MQTTString(validating: group)
        else {
            throw .missingFilter
        }
        return SharedSubscription(group: name, filter: inner)
    }

    private static func hasPrefix(_ filter: TopicFilter) -> Bool {
        filter.buffer.readableBytesView.starts(
            with: UnsafeBufferPointer(
                start: Self.prefix.utf8Start,
                count: Self.prefix.utf8CodeUnitCount
            )
        )
    }
}
