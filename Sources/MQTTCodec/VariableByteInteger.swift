/// The numbers of one to four bytes that lengths and some properties are written as (MQTT 5.0 §1.5.5).
enum VariableByteInteger {
    /// The largest that fits in four bytes.
    static let max = 268_435_455

    /// Bytes that `value` takes. `value` is at most ``max``.
    @inline(__always)
    static func size(of value: Int) -> Int {
        switch value {
        case ..<128: 1
        case ..<16_384: 2
        case ..<2_097_152: 3
        default: 4
        }
    }
}
