import Devices
import MQTTCodec
import NIOCore
import Store

/// What outlives a restart: retained session IDs, which ones were used, and that the device proves itself.
///
/// `ids` is a row of entries: a topic and a session ID, each after its length (two bytes, one byte). One without a topic, which
/// no node can have published, is the gateway's own: ``proof``. Earlier versions neither wrote it nor fall over it.
extension DeviceCommands {
    /// The device proves itself.
    private static let proof = ByteBuffer(string: "proven")

    /// As the store takes it.
    var record: CommandSessionRecord {
        var ids = ByteBuffer()
        if self.provesItself {
            ids.writeInteger(UInt16(0))
            ids.writeInteger(UInt8(Self.proof.readableBytes))
            ids.writeImmutableBuffer(Self.proof)
        }
        for topic in self.topics {
            guard let id = topic.sessionID, id.isRetained else { continue }
            ids.writeInteger(UInt16(topic.topic.buffer.readableBytes))
            ids.writeImmutableBuffer(topic.topic.buffer)
            ids.writeInteger(UInt8(id.bytes.count))
            ids.writeBytes(id.bytes)
        }
        var used = ByteBuffer()
        for digest in self.used { used.writeInteger(digest) }
        return CommandSessionRecord(device: self.device.text, ids: ids, used: used)
    }

    /// What was written in an earlier run; what nobody can have written is passed over.
    convenience init(_ record: CommandSessionRecord, device: DeviceID, topicLimit: Int) {
        self.init(device: device)
        var used = record.used
        while let digest = used.readInteger(as: UInt64.self) { self.remember(used: digest) }
        var ids = record.ids
        while let length = ids.readInteger(as: UInt16.self), let name = ids.readSlice(length: Int(length)),
            let count = ids.readInteger(as: UInt8.self), let id = ids.readSlice(length: Int(count))
        {
            if length == 0, id == Self.proof { self.restoreProof() }
            guard self.topics.count < topicLimit, let topic = try? TopicName(validating: name),
                CommandSessionID.problem(with: id) == nil, self.topic(topic) == nil
            else { continue }
            let entry = CommandTopic(topic: topic.compacted(), device: device)
            entry.sessionID = CommandSessionID(id, isRetained: true, isProven: false, source: nil)
            self.topics.append(entry)
        }
    }
}
