import MQTTCodec
import NIOCore
import Store

/// Records for the tests of an uplink's queues.
enum SpoolRecords {
    static func make(_ sequence: Int64, topic: String = "t", bytes: Int = 1, retain: Bool = false) -> SpoolRecord {
        SpoolRecord(
            sequence: sequence,
            uplink: 1,
            topic: ByteBuffer(string: topic),
            payload: ByteBuffer(repeating: 0, count: bytes),
            qos: .atLeastOnce,
            retain: retain,
            device: nil,
            storedAt: 0
        )
    }

    static func make(_ sequences: some Sequence<Int64>) -> [SpoolRecord] {
        sequences.map { Self.make($0) }
    }
}
