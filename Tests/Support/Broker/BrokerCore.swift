import Foundation
import Synchronization

/// The sockets and the thread of a ``ScriptedBroker``.
final class BrokerCore: Sendable {
    struct State: Sendable {
        var machine: BrokerMachine
        var listener: Int32?
        /// Connections to be reset.
        var doomed: Set<Int32> = []
        var isOver = false

        mutating func stopListening() {
            guard let listener = self.listener.take() else { return }
            // The thread may be waiting for it, and would keep it listening.
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
        }
    }

    private let state: Mutex<State>
    private let wakeReading: Int32
    private let wakeWriting: Int32

    init(_ machine: BrokerMachine) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw POSIXError(.EMFILE) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (self.wakeReading, self.wakeWriting) = (ends[0], ends[1])
        self.state = Mutex(State(machine: machine))
    }

    deinit {
        close(self.wakeReading)
        close(self.wakeWriting)
    }

    func machine<Value: Sendable>(_ body: (BrokerMachine) -> Value) -> Value {
        self.state.withLock { body($0.machine) }
    }

    /// Changes something, and has the thread look at it.
    func change(_ body: (inout State) -> Void) {
        self.state.withLock { body(&$0) }
        var byte: UInt8 = 0
        _ = Glibc.write(self.wakeWriting, &byte, 1)
    }

    func listen(on port: Int) throws {
        let socket = try FreePort.bound(to: port, isReused: true)
        guard Glibc.listen(socket, 64) == 0 else { throw POSIXError(.EADDRINUSE) }
        _ = fcntl(socket, F_SETFL, O_NONBLOCK)
        self.change { state in
            state.stopListening()
            state.listener = socket
        }
    }

    // MARK: The thread

    func run() {
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while var polls = self.plan() {
            while poll(&polls, nfds_t(polls.count), -1) < 0, errno == EINTR {}
            self.state.withLock { state in
                for poll in polls where poll.revents != 0 {
                    if poll.fd == self.wakeReading {
                        _ = Glibc.read(self.wakeReading, &buffer, buffer.count)
                    } else if poll.fd == state.listener {
                        Self.accept(poll.fd, &state)
                    } else if state.machine.links[poll.fd] != nil {
                        Self.serve(poll, &state, &buffer)
                    }
                }
            }
        }
    }

    /// What to wait for; nil at the end.
    private func plan() -> [pollfd]? {
        self.state.withLock { state in
            for key in state.doomed where state.machine.links[key] != nil { Self.end(key, &state, isReset: true) }
            state.doomed = []
            if state.isOver {
                for key in state.machine.links.keys { Self.end(key, &state, isReset: false) }
                state.stopListening()
                return nil
            }
            var polls = [pollfd(fd: self.wakeReading, events: Int16(POLLIN), revents: 0)]
            if let listener = state.listener { polls.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0)) }
            for (key, link) in state.machine.links where !link.isFrozen {
                if link.isEnding, link.output.isEmpty { shutdown(key, Int32(SHUT_WR)) }
                let events = POLLIN | (link.output.isEmpty ? 0 : POLLOUT)
                polls.append(pollfd(fd: key, events: Int16(events), revents: 0))
            }
            return polls
        }
    }

    private static func accept(_ listener: Int32, _ state: inout State) {
        let socket = Glibc.accept(listener, nil, nil)
        guard socket >= 0 else { return }
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        _ = fcntl(socket, F_SETFL, O_NONBLOCK)
        var yes: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        state.machine.accepted(socket)
    }

    private static func serve(_ poll: pollfd, _ state: inout State, _ buffer: inout [UInt8]) {
        if poll.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
            let count = recv(poll.fd, &buffer, buffer.count, 0)
            if count > 0 {
                state.machine.received(buffer[..<count], on: poll.fd)
            } else if count == 0 || errno != EAGAIN {
                return self.end(poll.fd, &state, isReset: false)
            }
        }
        self.write(poll.fd, &state)
    }

    private static func write(_ key: Int32, _ state: inout State) {
        guard let link = state.machine.links[key], !link.isFrozen, !link.output.isEmpty else { return }
        let count = send(key, link.output, link.output.count, Int32(MSG_NOSIGNAL))
        if count > 0 { state.machine.links[key]?.output.removeFirst(count) }
    }

    private static func end(_ key: Int32, _ state: inout State, isReset: Bool) {
        if isReset {
            var now = linger(l_onoff: 1, l_linger: 0)
            setsockopt(key, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        }
        close(key)
        state.machine.closed(key)
    }
}
