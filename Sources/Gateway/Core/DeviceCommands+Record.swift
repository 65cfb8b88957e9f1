import Devices
import MQTTCodec
import NIOCore
import Store

/// What outlives a restart: retained session IDs, and which ones were used.
extension DeviceCommands {
    /// As the store takes it.
    var record: CommandSessionRecord {
        var ids = ByteBuffer()
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
            guard self.topics.count < topicLimit, let topic = try? TopicName(validating: name),
                CommandSessionID.problem(with: id) == nil, self.topic(topic) == nil
            else { continue }
            let entry = CommandTopic(topic: topic.compacted(), device: device)
            entry.sessionID = CommandSessionID(id, isRetained: true, isProven: false, source: nil)
            self.topics.append(entry)
        }
    }
}
