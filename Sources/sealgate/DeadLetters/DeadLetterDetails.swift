import Devices
import Foundation
import Gateway
import MQTTCodec
import NIOCore
import Store

/// What `dead list` and `dead show` tell of a dead letter.
struct DeadLetterDetails: Encodable {
    /// Bytes of a payload that are shown; `--raw` gives all.
    static let shownBytes = 4096

    let id: Int64
    /// Nil: the store does not know it any more.
    let uplink: String?
    /// `high`, `normal` or `low`.
    let priority: String?
    /// Nil: a guest, or the gateway itself.
    let device: String?
    /// At the outside broker.
    let topic: String
    /// Of the payload, in bytes.
    let size: Int
    let qos: UInt8
    let retain: Bool
    /// A word for programs.
    let reason: String
    /// For people.
    let because: String
    /// The broker's words, or which limit.
    let detail: String
    /// The broker's reason code; 0: none.
    let code: UInt8
    /// When it was given up, ISO 8601; nil: the clock was not set.
    let died: String?
    /// When it was taken from its sender.
    let taken: String?
    /// It is about to be sent again.
    let resend: Bool
    /// The payload, if asked for: as text if it is some.
    var payload: String?
    var payloadBase64: String?

    private enum CodingKeys: String, CodingKey {
        case id, uplink, priority, device, topic, size, qos, retain, reason, because, detail, code, died, taken, resend
        case payload
        case payloadBase64 = "payload_base64"
    }

    init(_ stored: StoredDeadLetter) {
        let record = stored.letter.record
        self.id = stored.id
        self.uplink = stored.lane?.uplink
        self.priority = stored.lane.map { "\($0.lane)" }
        self.device = record.device?.text
        self.topic = String(buffer: record.topic)
        self.size = stored.payloadBytes
        self.qos = record.qos.rawValue
        self.retain = record.retain
        self.reason = stored.letter.reason.name
        self.because = stored.letter.reason.words
        self.detail = stored.letter.detail
        self.code = stored.letter.code
        self.died = Self.time(stored.letter.diedAt)
        self.taken = record.isClockless ? nil : Self.time(record.storedAt)
        self.resend = stored.isToBeResent
    }

    /// Adds the payload, for JSON.
    mutating func add(payload: ByteBuffer) {
        if let text = String(validating: payload.readableBytesView, as: UTF8.self) {
            self.payload = text
        } else {
            self.payloadBase64 = Data(payload.readableBytesView).base64EncodedString()
        }
    }

    private static func time(_ milliseconds: Int64) -> String? {
        guard milliseconds >= Version.notBefore, milliseconds < StoredTime.range.upperBound else { return nil }
        return Date(timeIntervalSince1970: TimeInterval(milliseconds / 1000)).formatted(.iso8601)
    }

    /// One line of "dead list".
    var row: [String] {
        [
            "\(self.id)", self.died ?? "(no clock)", self.uplink.map { Printable.text($0) } ?? "?",
            self.device ?? "-", Printable.text(self.topic), "\(self.size)",
            Printable.text(self.because) + (self.detail.isEmpty ? "" : " (\(Printable.text(self.detail)))")
                + (self.resend ? "; about to be sent again" : ""),
        ]
    }

    static let heads = ["ID", "GIVEN UP", "UPLINK", "DEVICE", "TOPIC", "BYTES", "BECAUSE"]

    /// Names and values for people.
    var lines: [(name: String, value: String)] {
        var lines = [("dead letter", "\(self.id)")]
        lines.append(
            (
                "uplink",
                (self.uplink.map { Printable.text($0) } ?? "?") + (self.priority.map { ", priority \($0)" } ?? "")
            )
        )
        lines.append(("device", self.device ?? "none: a guest, or the gateway itself"))
        lines.append(("topic", Printable.text(self.topic)))
        lines.append(("qos, retain", "\(self.qos), \(self.retain)"))
        lines.append(("taken", self.taken ?? "while the clock was not set"))
        lines.append(("given up", self.died ?? "while the clock was not set"))
        lines.append(("because", self.because))
        if !self.detail.isEmpty { lines.append(("detail", Printable.text(self.detail))) }
        if self.code != 0 { lines.append(("code", "0x" + String(self.code, radix: 16, uppercase: true))) }
        if self.resend { lines.append(("state", "about to be sent again")) }
        lines.append(("bytes", "\(self.size)"))
        return lines
    }

    /// A payload for people: text if it is some, otherwise sixteen bytes a line.
    static func show(_ payload: ByteBuffer) -> String {
        let shown = payload.readableBytesView.prefix(Self.shownBytes)
        let rest = payload.readableBytes - shown.count
        let more = rest > 0 ? "… \(rest) more bytes; --raw writes all of them\n" : ""
        let isText = shown.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A || $0 == 0x09 }
        // What is cut may end inside a character.
        if isText, let text = (0..<4).lazy.compactMap({ String(validating: shown.dropLast($0), as: UTF8.self) }).first,
            rest > 0 || String(validating: shown, as: UTF8.self) != nil
        {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
                Printable.text(String($0), limit: .max)
            }
            return lines.joined(separator: "\n") + "\n" + more
        }
        let bytes = Array(shown)
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)]
            text += line.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ") + "\n"
        }
        return text + more
    }
}

extension DeadReason {
    /// A word for programs.
    fileprivate var name: String {
        switch self {
        case .other: "other"
        case .payloadTooLarge: "payload-too-large"
        case .topicTooLong: "topic-too-long"
        case .topicTooDeep: "topic-too-deep"
        case .packetTooLarge: "packet-too-large"
        case .refused: "refused"
        case .closedOn: "closed-on"
        case .malformed: "malformed"
        }
    }
}
