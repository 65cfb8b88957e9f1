import CoAPCodec
import NIOCore

/// Bytes in the notation of the tables: hex digits, spaces for the eye, and text between single quotes as it is.
func wire(_ notation: String) -> ByteBuffer {
    var buffer = ByteBuffer()
    var isText = false
    var half: UInt8?
    for scalar in notation.unicodeScalars {
        if scalar == "'" {
            isText.toggle()
        } else if isText {
            buffer.writeString(String(scalar))
        } else if let digit = Character(scalar).hexDigitValue {
            if let high = half {
                buffer.writeInteger(high << 4 | UInt8(digit))
                half = nil
            } else {
                half = UInt8(digit)
            }
        }
    }
    precondition(half == nil && !isText, "odd notation: \(notation)")
    return buffer
}

/// The bytes as hex digits, for messages of failed tests.
func hex(_ buffer: ByteBuffer) -> String { buffer.hexDump(format: .compact) }

/// A token for tests.
func token(_ notation: String) -> CoAPToken {
    guard let token = CoAPToken(Array(wire(notation).readableBytesView)) else { preconditionFailure("no token") }
    return token
}

/// Options for tests: numbers with values in the notation of the tables, in any order.
func options(_ pairs: (CoAPOptionNumber, String)...) -> CoAPOptions {
    var options = CoAPOptions()
    for (number, value) in pairs { options.append(number, wire(value)) }
    return options
}
