import ArgumentParser

/// Why a command ends with another status than 0, and what it says on standard error.
struct CommandFailure: Error {
    /// The statuses of the contract.
    enum Status: Int32 {
        /// The answer is no: it does not open, is not allowed, is not there.
        case no = 1
        /// The command line or gateway.conf has to be mended.
        case usage = 2
        /// The program's fault, or the machine's: a full disk, no rights.
        case fault = 70

        var exitCode: ExitCode { ExitCode(self.rawValue) }
    }

    let status: Status
    /// Nil if all was said already.
    let message: String?

    init(_ status: Status, _ message: String? = nil) {
        self.status = status
        self.message = message
    }

    /// Says it and ends the process.
    func exit() -> Never {
        if let message { Output.error("sealgate: " + message) }
        Sealgate.exit(withError: self.status.exitCode)
    }
}
