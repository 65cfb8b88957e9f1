import CoAPCodec
import CoAPEndpoint
import NIOCore

/// An observer and a node that is the gateway's own server, with a link between them that loses only what it is told to.
final class ObserverPair {
    static let server = ObserverWatch.node
    static let client = Site.secure

    let site = Site()
    let node = PlugtestServer()
    private(set) var watch = ObserverWatch()
    /// Nothing arrives.
    var isCut = false
    var losesAcknowledgements = false
    /// Types of the notifications that were sent, without the first responses.
    private(set) var notified: [CoAPMessageType] = []
    /// Requests that arrived and ask to be told of changes.
    private(set) var registrations = 0

    init() { self.node.attach(to: self.site) }

    /// The gateway has restarted on the same port.
    func replaceWatch() { self.watch = ObserverWatch(seed: 99, now: self.watch.now) }

    /// Carries datagrams to and fro until there are none.
    func exchange(asNonConfirmable: Bool = false) {
        while true {
            let requests = self.watch.takeSent()
            let responses = self.site.take(for: Self.client)
            if requests.isEmpty, responses.isEmpty { return }
            for (message, _, _) in requests where !self.isCut {
                if message.type == .acknowledgement, self.losesAcknowledgements { continue }
                if message.number(.observe) == 0 { self.registrations += 1 }
                var message = message
                if asNonConfirmable, message.type == .confirmable { message.type = .nonConfirmable }
                self.site.feed(message.encoded(), from: Self.client)
            }
            for message in responses where !self.isCut {
                if message.number(.observe) != nil, message.type != .acknowledgement, !asNonConfirmable {
                    self.notified.append(message.type)
                }
                self.watch.feed(message.encoded())
            }
        }
    }

    /// Time passes on both sides.
    func pass(_ time: TimeAmount) {
        let end = self.watch.now + time
        while self.watch.now < end {
            let next =
                [self.watch.observer.nextDeadline, self.site.server.nextDeadline].compactMap(\.self).min() ?? end
            let step = max(min(next, end) - self.watch.now, .nanoseconds(1))
            self.watch.pass(step)
            self.site.pass(step)
            self.exchange()
        }
    }
}
