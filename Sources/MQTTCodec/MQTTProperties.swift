/// Whether a payload is text (MQTT 5.0 §3.3.2.3.2). A promise of the publisher: it is not checked here.
public enum PayloadFormat: UInt8, Sendable, Hashable {
    case unspecified = 0
    case utf8 = 1
}

/// A name and a value that applications may add to any packet, as often as they like (MQTT 5.0 §3.1.2.11.8).
public struct UserProperty: Hashable, Sendable {
    /// May occur more than once.
    public var name: MQTTString
    /// May be empty.
    public var value: MQTTString

    /// A pair as it is sent `[MQTT-1.5.7-1]`.
    public init(name: MQTTString, value: MQTTString) {
        self.name = name
        self.value = value
    }
}

/// The properties of a packet or will (MQTT 5.0 §2.2.2); always empty in MQTT 3.x.
///
/// Empty properties are a nil reference: they cost nothing to make, to copy or to keep. Others are one allocation, shared by
/// copies until one of them changes. Which packets may have which property is checked in decoding; whoever makes packets
/// sets only what belongs there.
public struct MQTTProperties: Equatable, Sendable {
    /// Default for the most user properties that a packet may have.
    public static let defaultMaxUserProperties = 64

    /// Copied before it changes if it is shared, and never changed by two at once.
    private final class Box: @unchecked Sendable {
        var values: Values
        init(_ values: Values) { self.values = values }
    }

    private var box: Box?

    /// No properties.
    public init() {}

    /// Nothing is allocated if there are no values.
    init(_ values: Values) {
        if values != Values() { self.box = Box(values) }
    }

    /// Whether there are none.
    public var isEmpty: Bool {
        guard let box = self.box else { return true }
        return box.values == Values()
    }

    /// Whether nothing was ever set, at no cost: what nearly every packet has.
    package var isAbsent: Bool { self.box == nil }

    /// The values; nil if there is none.
    var values: Values? { self.box?.values }

    /// The same properties with the same values, user properties in the same order.
    public static func == (left: MQTTProperties, right: MQTTProperties) -> Bool {
        if left.box === right.box { return true }
        return (left.values ?? Values()) == (right.values ?? Values())
    }

    /// Changes the values; an empty box is not made only to say that something is absent.
    mutating func change(absent: Bool, _ body: (inout Values) -> Void) {
        if absent, self.box == nil { return }
        if !isKnownUniquelyReferenced(&self.box) { self.box = Box(self.values ?? Values()) }
        if let box = self.box { body(&box.values) }
    }
}
