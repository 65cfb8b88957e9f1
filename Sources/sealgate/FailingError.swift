import Gateway
import OpenSSL
import Store

/// An error of a lower layer that knows how a command ends by it; ``Sealgate/main()`` asks.
protocol FailingError: Error {
    var commandFailure: CommandFailure { get }
}

extension StoreError: FailingError {
    /// "No" where the question was wrong, a fault where disk, rights or keys are.
    var commandFailure: CommandFailure {
        switch self.kind {
        case .deviceExists, .noSuchDevice, .keysInUse, .notReady:
            CommandFailure(.no, "\(self.detail). \(self.cure)")
        case .diskFull, .damaged, .busy, .permission, .schemaTooNew, .inUse, .inputOutput, .masterKey, .tooManyLanes,
            .closed, .other:
            CommandFailure(.fault, "\(self)")
        }
    }
}

extension FileError: FailingError {
    /// The command line named the file.
    var commandFailure: CommandFailure { CommandFailure(.usage, "\(self)") }
}

extension TLSError: FailingError {
    var commandFailure: CommandFailure { CommandFailure(self.kind == .configuration ? .usage : .fault, "\(self)") }
}
