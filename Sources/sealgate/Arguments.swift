import ArgumentParser
import Devices

extension DeviceID {
    /// Takes an argument as an id, and says what is wrong with one that is none.
    static func argument(_ text: String) throws -> DeviceID {
        do {
            return try DeviceID(text)
        } catch {
            throw ValidationError("the id \(error)")
        }
    }
}

/// `--seal`: the forms that this version has.
enum SealChoice: String, ExpressibleByArgument, CaseIterable {
    case v1, none

    var form: SealForm {
        switch self {
        case .v1: .v1
        case .none: .none
        }
    }
}
