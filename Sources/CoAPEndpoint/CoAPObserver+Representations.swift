internal import CoAPCodec
internal import NIOCore

// What responses and notifications say (RFC 7641 §3, RFC 7959 §2.4).
extension CoAPObserver {
    /// Bytes of an Echo value (RFC 9175 §2.2).
    private static let echoBytes = 1...40

    /// A response to the target's request, or a notification. It is no copy of one that came before.
    func handle(
        _ message: CoAPMessage,
        _ way: ResponseWay,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let request = target.request
        let isAnswer = request.map { $0.token == message.token && $0.state != .queued } ?? false
        if isAnswer, let request, request.echo == nil, message.code == .unauthorized,
            let echo = message.options.first(.echo), Self.echoBytes ~= echo.readableBytes
        {
            self.acknowledgeAtOnce(message, way, now: now, into: &actions)
            return self.submitAgain(request, echo: echo, of: target, now: now, into: &actions)
        }
        if target.isLeaving { return self.leaving(target, message, way, now: now, into: &actions) }
        let read = CoAPResponseOptions(message.options)
        if let number = read.problem {
            self.reject(way, into: &actions)
            self.endRegistration(of: target, token: message.token)
            return self.fail(target, .badOption(number), now: now, into: &actions)
        }
        guard message.code == .content else {
            self.acknowledgeAtOnce(message, way, now: now, into: &actions)
            self.endRegistration(of: target, token: message.token)
            return self.refused(target, message.code, read, now: now, into: &actions)
        }
        if isAnswer, case .block(let block)? = request?.purpose {
            self.acknowledgeAtOnce(message, way, now: now, into: &actions)
            return self.take(message, read, block, of: target, now: now, into: &actions)
        }
        guard self.isNew(read.observe, of: target, way, isAnswer: isAnswer, now: now) else {
            self.counters.stale += 1
            return self.acknowledgeAtOnce(message, way, now: now, into: &actions)
        }
        // A newer representation makes the one that is being fetched useless, and a request for it needless.
        self.drop(target, now: now, into: &actions)
        self.note(read.observe, of: target, now: now)
        let head = FetchedBody(
            bytes: message.payload,
            eTag: read.eTag,
            contentFormat: read.contentFormat,
            maxAge: read.maxAge ?? CoAPResponseOptions.defaultMaxAge
        )
        guard let block = read.block2, block.number > 0 || block.hasMore else {
            return self.deliver(head, message, way, of: target, now: now, into: &actions)
        }
        self.acknowledgeAtOnce(message, way, now: now, into: &actions)
        guard block.number == 0 else { return self.fail(target, .malformedBlocks, now: now, into: &actions) }
        target.body = FetchedBody(
            bytes: ByteBuffer(),
            eTag: head.eTag,
            contentFormat: head.contentFormat,
            maxAge: head.maxAge
        )
        self.append(message.payload, block, read.size2, of: target, now: now, into: &actions)
    }

    /// The owner does not want the target any more, and the node is being told.
    private func leaving(
        _ target: ObservedTarget,
        _ message: CoAPMessage,
        _ way: ResponseWay,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        // A notification: the node has not heard yet, or has an answer to it to wait for first. It is not stored, so it
        // is not acknowledged; and a RST ends the observation, too.
        let isNotification = CoAPResponseOptions(message.options).observe != nil
        if isNotification {
            self.reject(way, into: &actions)
        } else {
            self.acknowledgeAtOnce(message, way, now: now, into: &actions)
        }
        self.drop(target, now: now, into: &actions)
        self.remove(target)
        self.noteStopped(into: &actions)
    }

    /// Everything but 2.05; from a notification on that says so the node sends no more (RFC 7641 §3.2, §4.2).
    private func refused(
        _ target: ObservedTarget,
        _ code: CoAPCode,
        _ read: CoAPResponseOptions,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        var wait: TimeAmount?
        if code == .serviceUnavailable || code == .tooManyRequests, let maxAge = read.maxAge {
            wait = min(.seconds(Int64(max(maxAge, 1))), self.configuration.maxRetryAfter)
        }
        let isError = code.codeClass == 4 || code.codeClass == 5
        self.fail(target, isError ? .refused(code) : .unexpected(code), retryAfter: wait, now: now, into: &actions)
    }

    // MARK: Order of notifications (RFC 7641 §3.4)

    /// Whether the representation is newer than what is there.
    private func isNew(
        _ sequence: UInt32?,
        of target: ObservedTarget,
        _ way: ResponseWay,
        isAnswer: Bool,
        now: NIODeadline
    ) -> Bool {
        // Made after the request, and while it was under way no notification came, or it would be over.
        if isAnswer, case .piggybacked = way { return true }
        guard let newest = target.newest, let sequence else { return true }
        let elapsed = now - newest.arrival
        if case .apart(_, isRepeated: true) = way, sequence == newest.sequence { return true }
        // A node that has restarted counts from the beginning, so numbers mean nothing in the answer to a registration
        // after some silence.
        if isAnswer, elapsed >= self.configuration.silenceAfterMaxAge.lowerBound { return true }
        return CoAPObserve.isFresh(sequence, after: newest.sequence, elapsed: elapsed)
    }

    private func note(_ sequence: UInt32?, of target: ObservedTarget, now: NIODeadline) {
        target.newest = sequence.map { ($0, now) }
        // Not among the observers, or no longer (RFC 7641 §3.1, §4.2).
        if sequence == nil { target.token = nil }
    }

    // MARK: Blocks (RFC 7959 §2.4)

    /// A block that was asked for.
    private func take(
        _ message: CoAPMessage,
        _ read: CoAPResponseOptions,
        _ asked: CoAPBlock,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        guard let body = target.body, let block = read.block2, block.offset == asked.offset,
            block.sizeExponent <= asked.sizeExponent
        else { return self.fail(target, .malformedBlocks, now: now, into: &actions) }
        let isSame =
            switch (read.eTag, body.eTag) {
            case (nil, nil): true
            case (let left?, let right?): left.readableBytesView.elementsEqual(right.readableBytesView)
            case (nil, _?), (_?, nil): false
            }
        guard isSame else { return self.fail(target, .changedMeanwhile, now: now, into: &actions) }
        self.append(message.payload, block, read.size2, of: target, now: now, into: &actions)
    }

    /// Adds a block, and asks for the next or gives all of them to the owner.
    private func append(
        _ payload: ByteBuffer,
        _ block: CoAPBlock,
        _ size: UInt32?,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let count = payload.readableBytes
        guard var body = target.body, block.hasMore ? count == block.size : count <= block.size else {
            return self.fail(target, .malformedBlocks, now: now, into: &actions)
        }
        let limit = self.configuration.maxBodyBytes
        guard body.bytes.readableBytes + count <= limit, Int(size ?? 0) <= limit else {
            return self.fail(target, .tooLarge(limit: limit), now: now, into: &actions)
        }
        target.body = nil  // So that appending does not copy.
        body.bytes.writeImmutableBuffer(payload)
        self.drop(target, now: now, into: &actions)
        guard block.hasMore else { return self.deliver(body, of: target, receipt: nil, now: now, into: &actions) }
        let number = body.bytes.readableBytes / block.size
        guard number <= CoAPBlock.maxNumber else {
            return self.fail(target, .tooLarge(limit: limit), now: now, into: &actions)
        }
        target.body = body
        let next = CoAPBlock(number: UInt32(number), hasMore: false, sizeExponent: block.sizeExponent)
        self.submit(.block(next), of: target, token: self.newToken(), now: now, into: &actions)
    }

    // MARK: To the owner

    private func deliver(
        _ body: FetchedBody,
        _ message: CoAPMessage,
        _ way: ResponseWay,
        of target: ObservedTarget,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        var receipt: CoAPReceipt?
        if case .apart(let given, _) = way, message.type == .confirmable { receipt = given }
        guard body.bytes.readableBytes <= self.configuration.maxBodyBytes else {
            self.acknowledgeAtOnce(message, way, now: now, into: &actions)
            return self.fail(target, .tooLarge(limit: self.configuration.maxBodyBytes), now: now, into: &actions)
        }
        self.deliver(body, of: target, receipt: receipt, now: now, into: &actions)
    }

    private func deliver(
        _ body: FetchedBody,
        of target: ObservedTarget,
        receipt: CoAPReceipt?,
        now: NIODeadline,
        into actions: inout [CoAPObserverAction]
    ) {
        let isObserved = target.token != nil
        let age = TimeAmount.seconds(Int64(body.maxAge))
        if isObserved {
            let range = self.configuration.silenceAfterMaxAge
            let extra = Int64.random(
                in: range.lowerBound.nanoseconds...range.upperBound.nanoseconds,
                using: &self.generator
            )
            target.wake = now + min(age + .nanoseconds(extra), self.configuration.maxSilence)
        } else {
            target.wake = now + min(max(age, self.configuration.minPollInterval), self.configuration.maxSilence)
        }
        target.failures = 0
        self.arm(target)
        let report: ObservedTarget.Reported = isObserved ? .observed : .polled
        if target.reported != report {
            target.reported = report
            actions.append(.established(target.id, isObserved: isObserved))
        }
        self.counters.representations += 1
        actions.append(
            .representation(
                ObservedRepresentation(
                    target: target.id,
                    payload: body.bytes,
                    contentFormat: body.contentFormat,
                    maxAge: body.maxAge,
                    receipt: receipt
                )
            )
        )
    }
}
