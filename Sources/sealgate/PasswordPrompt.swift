import Foundation

/// Reads one line that nobody else shall see: on a terminal without showing it, otherwise as it comes.
struct PasswordPrompt {
    /// More than any password has; what is longer is cut off, and too long then.
    private static let maxBytes = 1_024

    private let input: Int32
    private let output: Int32

    /// - Parameters:
    ///   - input: Where it is typed.
    ///   - output: Where the question goes if `input` is a terminal.
    init(input: Int32 = STDIN_FILENO, output: Int32 = STDERR_FILENO) {
        self.input = input
        self.output = output
    }

    /// Whether somebody types.
    var isTerminal: Bool { isatty(self.input) == 1 }

    /// Asks `question` on a terminal, and takes the bytes of one line without its end.
    ///
    /// - Throws: ``CommandFailure`` with status 2 if there is no line, or Ctrl-C was typed.
    func read(_ question: String) throws(CommandFailure) -> [UInt8] {
        guard self.isTerminal else { return try self.readLine() }
        var settings = termios()
        guard tcgetattr(self.input, &settings) == 0 else { throw CommandFailure(.fault, "the terminal can't be set") }
        let former = settings
        // Byte by byte and without signals, so that the terminal is never left as it is now.
        settings.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        settings.c_iflag |= tcflag_t(ICRNL)
        withUnsafeMutableBytes(of: &settings.c_cc) { keys in
            keys[Int(VMIN)] = 1
            keys[Int(VTIME)] = 0
        }
        guard tcsetattr(self.input, TCSAFLUSH, &settings) == 0 else {
            throw CommandFailure(.fault, "the terminal can't be set")
        }
        defer {
            var former = former
            _ = tcsetattr(self.input, TCSAFLUSH, &former)
            self.write("\n")
        }
        // Not before: what is typed until the terminal hides it is thrown away.
        self.write(question)
        return try self.readTyped()
    }

    /// What is typed up to Return, with the keys that mend it.
    private func readTyped() throws(CommandFailure) -> [UInt8] {
        var line: [UInt8] = []
        while let byte = self.nextByte() {
            switch byte {
            case 0x0A: return line
            case 0x03: throw CommandFailure(.usage, "nothing was changed")
            case 0x04:
                guard line.isEmpty else { continue }
                throw CommandFailure(.usage, "no password was typed")
            case 0x08, 0x7F:
                // A whole character: its last byte, and those in the middle of UTF-8 before its first.
                while let last = line.popLast(), last & 0xC0 == 0x80 {}
            case 0x15: line.removeAll()
            default: if line.count < Self.maxBytes { line.append(byte) }
            }
        }
        throw CommandFailure(.usage, "no password was typed")
    }

    private func readLine() throws(CommandFailure) -> [UInt8] {
        var line: [UInt8] = []
        var isEnded = false
        while line.count < Self.maxBytes, !isEnded, let byte = self.nextByte() {
            if byte == 0x0A { isEnded = true } else { line.append(byte) }
        }
        guard isEnded || !line.isEmpty else {
            throw CommandFailure(.usage, "standard input has no line with a password")
        }
        if line.last == 0x0D { line.removeLast() }
        return line
    }

    private func nextByte() -> UInt8? {
        var byte: UInt8 = 0
        while true {
            let count = Foundation.read(self.input, &byte, 1)
            if count < 0, errno == EINTR { continue }
            return count == 1 ? byte : nil
        }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Foundation.write(self.output, bytes, bytes.count)
    }
}
