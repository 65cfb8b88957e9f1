import CoAPCodec
import NIOCore
import OpenSSL

@testable import Sealing

/// A node's side of a context, for tests: seals requests, opens responses.
struct OSCOREClient {
    let context: OSCOREContext
    var sequence: UInt64 = 0

    func seal(_ request: CoAPMessage, sequence: UInt64, kid: [UInt8]? = nil) -> CoAPMessage {
        let partialIV = OSCOREOption.partialIV(sequence)
        let sealed = self.context.algorithm.aead.seal(
            OSCOREMessage.plaintext(of: request),
            key: self.context.senderKey,
            nonce: self.context.nonce(partialIV: partialIV, id: self.context.senderID),
            aad: self.context.associatedData(requestKID: self.context.senderID, requestPIV: partialIV)
        )
        let option = OSCOREOption(
            partialIV: partialIV,
            kid: kid ?? self.context.senderID,
            kidContext: self.context.idContext
        )
        var outer = request
        outer.options = request.options.filtered { OSCOREMessage.isOuterOnly($0.number) || $0.number == .observe }
        outer.code = outer.options.first(.observe) == nil ? .post : .fetch
        outer.options.append(.oscore, option.encoded())
        outer.payload = ByteBuffer(bytes: sealed)
        return outer
    }

    func open(_ response: CoAPMessage, to sequence: UInt64) -> CoAPMessage? {
        guard let option = response.options.first(.oscore).flatMap(OSCOREOption.init(decoding:)) else { return nil }
        let requestPIV = OSCOREOption.partialIV(sequence)
        let nonce =
            option.partialIV.isEmpty
            ? self.context.nonce(partialIV: requestPIV, id: self.context.senderID)
            : self.context.nonce(partialIV: option.partialIV, id: self.context.recipientID)
        let plaintext = self.context.algorithm.aead.open(
            Array(response.payload.readableBytesView),
            key: self.context.recipientKey,
            nonce: nonce,
            aad: self.context.associatedData(requestKID: self.context.senderID, requestPIV: requestPIV)
        )
        return plaintext.flatMap { OSCOREMessage.message(of: $0, outer: response) }
    }
}
