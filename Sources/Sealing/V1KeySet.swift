internal import OpenSSL

/// One key set and the devices that use it.
final class V1KeySet {
    let keys: V1Keys
    let cipher: V1Cipher
    /// The lengths that the devices' node ids have, in blocks: the only ways to cut a message that are worth trying.
    /// At most four, by the limit on node ids.
    let idBlocks: [Int]
    private let devices: [V1Device]
    /// Devices by padded node id, where there are several.
    private let index: [[UInt8]: V1Device]

    /// - Parameter devices: All with these keys; no two with the same node id.
    init(keys: V1Keys, devices: [V1Device], cipher: V1Cipher) {
        self.keys = keys
        self.cipher = cipher
        self.devices = devices
        self.idBlocks = devices.isEmpty ? [1] : Set(devices.map { V1Cipher.blocks(for: $0.nodeID.count) }).sorted()
        self.index =
            devices.count > 1 ? Dictionary(uniqueKeysWithValues: devices.map { ($0.paddedNodeID, $0) }) : [:]
    }

    /// The device whose node id this is, padded as in a message; compared as bytes.
    func device(paddedNodeID: UnsafeRawBufferPointer) -> V1Device? {
        if self.devices.count > 1 { return self.index[Array(paddedNodeID)] }
        guard let only = self.devices.first else { return nil }
        return only.paddedNodeID.withUnsafeBytes { ConstantTime.equal($0, paddedNodeID) } ? only : nil
    }

    /// A node id to compute MACs with when the message names none of the devices: of the same length as one that
    /// would be right.
    func anyNodeID(blocks: Int) -> [UInt8] {
        let device = self.devices.first { $0.paddedNodeID.count == blocks * AESCBC.blockBytes }
        return device?.nodeID ?? Self.nobody
    }

    private static let nobody = Array("00000000".utf8)
}

/// One device and what it sent lately.
final class V1Device {
    /// Its name in the store.
    let name: String
    let nodeID: [UInt8]
    let paddedNodeID: [UInt8]
    let keys: V1Keys
    /// Its last accepted messages.
    var accepted: V1Recent<V1Digest>
    /// IVs of its last accepted messages.
    var ivs = V1Recent<V1IV>(capacity: V1Device.rememberedIVs)

    /// How many IVs of a device are remembered.
    static let rememberedIVs = 64

    init(_ member: V1Member, remembersMessages: Int) {
        self.name = member.device
        self.nodeID = member.nodeID
        let blocks = V1Cipher.blocks(for: member.nodeID.count)
        let padding = blocks * AESCBC.blockBytes - member.nodeID.count
        self.paddedNodeID = member.nodeID + [UInt8](repeating: 0, count: padding)
        self.keys = member.keys
        self.accepted = V1Recent(capacity: remembersMessages)
    }

    /// Whether a member's record is still what this device was made of.
    func isSame(as member: V1Member) -> Bool {
        self.name == member.device && self.nodeID == member.nodeID && self.keys == member.keys
    }
}

/// The last few of something, oldest first.
struct V1Recent<Element: Equatable> {
    private let capacity: Int
    private(set) var elements: [Element] = []

    init(capacity: Int) {
        self.capacity = capacity
    }

    func contains(_ element: Element) -> Bool { self.elements.contains(element) }

    /// Adds one, and returns the oldest if it had to go.
    mutating func append(_ element: Element) -> Element? {
        let oldest = self.elements.count == self.capacity ? self.elements.removeFirst() : nil
        self.elements.append(element)
        return oldest
    }

    mutating func remove(_ element: Element) {
        self.elements.removeAll { $0 == element }
    }
}
