import CoAPCodec
import NIOCore

/// Any datagram as a CoAP message: read alike wherever it lies, written as it came.
enum CoAPTarget {
    static func check(_ input: FuzzInput) {
        var input = input
        let datagram = ByteBuffer(bytes: input.remaining())
        do {
            let message = try CoAPMessage(decoding: datagram.moved(by: 5), maxBytes: 2048)
            Tally.count("taken")
            Self.check(message, datagram)
        } catch {
            Tally.count("refused")
            expect((0...datagram.readableBytes).contains(error.offset), "a refusal beyond the datagram")
            let type = datagram.getInteger(at: datagram.readerIndex, as: UInt8.self).map { $0 >> 4 }
            expect(error.answer == .ignore || type == 4, "an answer to something that is no CON")
            expect(!error.description.isEmpty, "no words")
        }
    }

    private static func check(_ message: CoAPMessage, _ datagram: ByteBuffer) {
        let written = message.encoded()
        expect(Array(written.readableBytesView) == Array(datagram.readableBytesView), "written as other bytes")
        expect(written.readableBytes == message.encodedSize, "another size")
        var rebuilt = CoAPOptions()
        for option in message.options.reversed() { rebuilt.append(option.number, option.value) }
        expect(rebuilt.count == message.options.count, "options lost")
        expect(rebuilt.encodedSize == message.options.encodedSize, "options of another size")
        expect(message.options.compacted() == message.options, "a copy is not the same")

        let read = CoAPRequestOptions(message.options)
        if read.problem == nil { Tally.count("served") }
        let definitions = message.options.map { ($0.number, $0.number.definition, $0.value.readableBytes) }
        for (number, definition, length) in definitions where number.isCritical {
            let isGood = definition?.length.contains(length) == true
            expect(isGood || read.problem != nil, "option \(number) of \(length) bytes is taken")
        }
        if let block = read.block1 { expect(CoAPBlock(value: block.value) == block, "another block") }

        if let topic = try? CoAPPath.topic(of: message.options, maxBytes: 512) {
            Tally.count("path")
            expect(topic.readableBytes <= 512, "a topic over the limit")
            expect(!topic.readableBytesView.contains(0), "a null character in a topic")
            let text = String(buffer: topic)
            expect(Array(text.utf8) == Array(topic.readableBytesView), "a topic that is no UTF-8")
            var again = CoAPOptions()
            if topic.readableBytes > 0 {
                do { try CoAPPath.append(topic, to: &again) } catch { fatalError("a topic that no path is: \(error)") }
                let path = message.options.filtered { $0.number == .uriPath && $0.value.readableBytes > 0 }
                expect(again == path, "another path")
            }
        }
        let filter = CoRELinkFilter(message.options)
        _ = filter.matches(CoRELink(path: "/ps", [.init("rt", "core.ps"), .init("obs")]))
    }
}
