package import NIOCore

/// One measurement of a SenML pack, resolved: nothing in it needs another record (RFC 8428 §4.6).
package struct SenMLRecord: Sendable, Equatable {
    /// What was measured.
    package enum Value: Sendable, Equatable {
        case number(SenMLNumber)
        case text(String)
        case bool(Bool)
        case data(ByteBuffer)
    }

    /// With the base name before it. ASCII letters, digits and `- : . / _`, beginning with a letter or a digit; no part between
    /// slashes is empty, `.` or `..`, so that it can be the end of a topic.
    package var name: String
    package var unit: String?
    /// `nil` only if there is a ``sum``.
    package var value: Value?
    package var sum: SenMLNumber?
    /// In seconds: since 1970, or if less than 2²⁸ from now (RFC 8428 §4.5.3). `nil`: now.
    package var time: SenMLNumber?
    /// In seconds: when the next measurement is to be expected, at the latest.
    package var updateTime: SenMLNumber?
    /// Of the format; 10 as a rule.
    package var version: Int64

    /// The topic of a message for it: that of the pack, with ``name`` below. Slashes in the name separate levels, all else is
    /// kept as it is.
    ///
    /// - Parameter topic: That of the pack, not empty; what comes of both has to be checked as any topic.
    package func topic(below topic: ByteBuffer) -> ByteBuffer {
        var joined = ByteBuffer()
        joined.writeImmutableBuffer(topic)
        joined.writeInteger(UInt8(ascii: "/"))
        joined.writeString(self.name)
        return joined
    }

    /// The payload of a message for it.
    ///
    /// - Parameter rule: With `.values` the value alone: a number in its shortest form, text as it is, `true` or `false`, data
    ///   as bytes; of a record without one, the sum. Otherwise a pack of this record in JSON.
    package func payload(as rule: SenMLRule) -> ByteBuffer {
        switch (rule, self.value) {
        case (.values, .number(let number)?): ByteBuffer(string: number.description)
        case (.values, .text(let text)?): ByteBuffer(string: text)
        case (.values, .bool(let value)?): ByteBuffer(string: value ? "true" : "false")
        case (.values, .data(let data)?): data
        case (.values, nil): ByteBuffer(string: self.sum?.description ?? "")
        case (.records, _), (.keep, _): self.pack()
        }
    }

    private func pack() -> ByteBuffer {
        var text = "[{\"n\":\"\(self.name)\""
        func add(_ label: SenMLLabel, _ value: String) { text += ",\"\(label.rawValue)\":\(value)" }
        if self.version != SenMLLimits.version { text = "[{\"bver\":\(self.version),\"n\":\"\(self.name)\"" }
        if let unit = self.unit { add(.u, Self.quoted(unit)) }
        if let time = self.time { add(.t, time.description) }
        if let updateTime = self.updateTime { add(.ut, updateTime.description) }
        switch self.value {
        case .number(let number)?: add(.v, number.description)
        case .text(let value)?: add(.vs, Self.quoted(value))
        case .bool(let value)?: add(.vb, value ? "true" : "false")
        case .data(let data)?:
            add(.vd, "\"\(String(decoding: Base64URL.encode(data.readableBytesView), as: UTF8.self))\"")
        case nil: break
        }
        if let sum = self.sum { add(.s, sum.description) }
        return ByteBuffer(string: text + "}]")
    }

    /// As a string of JSON (RFC 8259 §7).
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
