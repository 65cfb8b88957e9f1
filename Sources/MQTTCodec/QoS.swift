/// Quality of service of a message or the most that a subscription asks for (MQTT 5.0 §4.3).
public enum QoS: UInt8, Comparable, Hashable, Sendable, CaseIterable {
    case atMostOnce = 0
    case atLeastOnce = 1
    case exactlyOnce = 2

    /// Ordered by strength, so that `min` gives what a subscriber gets.
    public static func < (left: QoS, right: QoS) -> Bool { left.rawValue < right.rawValue }
}
