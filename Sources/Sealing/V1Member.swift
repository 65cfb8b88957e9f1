/// A device that may send v1 messages under a session topic.
package struct V1Member: Sendable {
    /// Most bytes of a node id.
    package static let maxNodeIDBytes = 64

    /// The device's name in the store.
    package let device: String
    /// The secrets that it shares with the gateway, perhaps with other devices too.
    package let keys: V1Keys
    /// What the node writes inside its messages, by default its chip id in decimal; 1 to 64 bytes, none of them zero.
    package let nodeID: [UInt8]

    /// - Throws: ``V1KeysError`` when `nodeID` is empty, too long or holds a zero byte.
    package init(device: String, keys: V1Keys, nodeID: String) throws(V1KeysError) {
        let bytes = Array(nodeID.utf8)
        try Self.check(nodeID: bytes)
        self.device = device
        self.keys = keys
        self.nodeID = bytes
    }

    /// Refuses what no node id can be.
    package static func check(nodeID: [UInt8]) throws(V1KeysError) {
        guard !nodeID.isEmpty else { throw V1KeysError(field: "node_id", problem: .empty) }
        guard nodeID.count <= self.maxNodeIDBytes else {
            throw V1KeysError(field: "node_id", problem: .tooLong(nodeID.count, limit: self.maxNodeIDBytes))
        }
        guard !nodeID.contains(0) else { throw V1KeysError(field: "node_id", problem: .zeroByte) }
    }
}
