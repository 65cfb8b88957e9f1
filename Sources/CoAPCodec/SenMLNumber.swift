/// A number of SenML: whole as long as it can be told, otherwise a double (RFC 8428 §5.1). Always finite.
package enum SenMLNumber: Sendable, Equatable, CustomStringConvertible {
    case integer(Int64)
    case double(Double)

    /// Up to here every whole double is the number that was meant.
    private static let exactIntegers = 9_007_199_254_740_992.0

    /// `nil` if it is not finite.
    package init?(_ double: Double) {
        guard double.isFinite else { return nil }
        if abs(double) <= Self.exactIntegers, double == double.rounded(.towardZero) {
            self = .integer(Int64(double))
        } else {
            self = .double(double)
        }
    }

    /// The sum; `nil` if it is not finite.
    package func adding(_ other: SenMLNumber) -> SenMLNumber? {
        if case .integer(let left) = self, case .integer(let right) = other {
            let (sum, isOver) = left.addingReportingOverflow(right)
            if !isOver { return .integer(sum) }
        }
        return SenMLNumber(self.double + other.double)
    }

    /// The nearest double.
    package var double: Double {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value): value
        }
    }

    /// The shortest form that reads as the same number, in JSON's syntax.
    package var description: String {
        switch self {
        case .integer(let value): return "\(value)"
        case .double(let value):
            let text = value.description
            return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
        }
    }
}
