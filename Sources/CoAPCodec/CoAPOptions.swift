package import NIOCore

/// One option of a message.
package struct CoAPOption: Equatable, Sendable {
    package let number: CoAPOptionNumber
    /// As sent. A slice of what was read.
    package let value: ByteBuffer

    package init(_ number: CoAPOptionNumber, _ value: ByteBuffer) {
        self.number = number
        self.value = value
    }

    /// The same number with the same bytes.
    package static func == (left: CoAPOption, right: CoAPOption) -> Bool {
        left.number == right.number && left.value.readableBytesView.elementsEqual(right.value.readableBytesView)
    }

    /// The value as a number; `nil` if it has more than eight bytes. Leading zeroes are accepted (RFC 7252 §3.2).
    package var uint: UInt64? {
        self.value.readableBytes <= 8 ? self.value.readableBytesView.reduce(0) { $0 << 8 | UInt64($1) } : nil
    }
}

/// The options of a message, in the order of their numbers, as bytes in the form of the wire.
///
/// Options have one form only, so equal options are equal bytes; and a message is read and written without a collection
/// of its options ever being made.
package struct CoAPOptions: Sendable, Sequence {
    /// Delta, length and value of each (RFC 7252 §3.1); well-formed.
    private var encoded: ByteBuffer
    /// How many there are.
    package private(set) var count: Int
    /// Number of the last; 0: there is none.
    private var last: UInt16

    /// None.
    package init() {
        self.init(checked: ByteBuffer(), count: 0, last: 0)
    }

    /// `encoded` is well-formed, without a payload marker.
    init(checked encoded: ByteBuffer, count: Int, last: UInt16) {
        self.encoded = encoded
        self.count = count
        self.last = last
    }

    package var isEmpty: Bool { self.count == 0 }

    /// Bytes that ``write(into:)`` appends.
    package var encodedSize: Int { self.encoded.readableBytes }

    /// Appends them as they are sent.
    package func write(into buffer: inout ByteBuffer) { buffer.writeImmutableBuffer(self.encoded) }

    /// Writes them where there is room for them.
    ///
    /// - Returns: How many bytes they are.
    func write(to bytes: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        self.encoded.withUnsafeReadableBytes { options in
            if options.isEmpty { return 0 }
            UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyMemory(from: options)
            return options.count
        }
    }

    /// The same options in storage of their own, so that keeping them does not keep a datagram.
    package func compacted() -> CoAPOptions {
        CoAPOptions(checked: ByteBuffer(bytes: self.encoded.readableBytesView), count: self.count, last: self.last)
    }

    /// Calls `body` for each, without retaining anything; the bytes are valid within the call.
    @inline(__always)
    package func forEachRaw(_ body: (CoAPOptionNumber, UnsafeRawBufferPointer) -> Void) {
        self.encoded.withUnsafeReadableBytes { bytes in
            var cursor = OptionCursor()
            // Well-formed, so nothing is thrown and nothing else ends the loop.
            while case .option(let number, let value)? = try? cursor.next(in: bytes) {
                body(CoAPOptionNumber(rawValue: number), UnsafeRawBufferPointer(rebasing: bytes[value]))
            }
        }
    }

    /// One after the other, values as slices.
    package struct Iterator: IteratorProtocol {
        private let encoded: ByteBuffer
        private var cursor = OptionCursor()

        init(_ encoded: ByteBuffer) { self.encoded = encoded }

        package mutating func next() -> CoAPOption? {
            var cursor = self.cursor
            let found = self.encoded.withUnsafeReadableBytes { bytes -> (UInt16, Range<Int>)? in
                guard case .option(let number, let value)? = try? cursor.next(in: bytes) else { return nil }
                return (number, value)
            }
            self.cursor = cursor
            guard let (number, value) = found,
                let slice = self.encoded.getSlice(
                    at: self.encoded.readerIndex + value.lowerBound,
                    length: value.count
                )
            else { return nil }
            return CoAPOption(CoAPOptionNumber(rawValue: number), slice)
        }
    }

    package func makeIterator() -> Iterator { Iterator(self.encoded) }

    /// The values of one option, in order.
    package func values(_ number: CoAPOptionNumber) -> [ByteBuffer] {
        self.compactMap { $0.number == number ? $0.value : nil }
    }

    /// The first value of an option.
    package func first(_ number: CoAPOptionNumber) -> ByteBuffer? {
        for option in self {
            if option.number == number { return option.value }
            if option.number > number { return nil }
        }
        return nil
    }
}

extension CoAPOptions: Equatable {
    /// The same options with the same values in the same order.
    package static func == (left: CoAPOptions, right: CoAPOptions) -> Bool {
        left.encoded.readableBytesView.elementsEqual(right.encoded.readableBytesView)
    }
}

// MARK: - Writing

extension CoAPOptions {
    /// Most bytes of a value that can be written down (RFC 7252 §3.1).
    package static let maxValueBytes = 65_804

    /// Adds an option behind those of the same number. Cheapest in the order of the numbers.
    package mutating func append(_ number: CoAPOptionNumber, _ value: ByteBuffer) {
        self.insert(number, length: value.readableBytes) { $0.writeImmutableBuffer(value) }
    }

    /// Adds an option without a value.
    package mutating func append(_ number: CoAPOptionNumber) {
        self.insert(number, length: 0) { _ in }
    }

    /// Adds a string of our own.
    package mutating func append(_ number: CoAPOptionNumber, _ value: String) {
        self.insert(number, length: value.utf8.count) { $0.writeString(value) }
    }

    /// Adds an option whose value `write` appends, in exactly `length` bytes.
    package mutating func append(_ number: CoAPOptionNumber, length: Int, write: (inout ByteBuffer) -> Void) {
        self.insert(number, length: length, write: write)
    }

    /// Adds a number in as few bytes as do: leading zeroes are never sent (RFC 7252 §3.2).
    package mutating func append(_ number: CoAPOptionNumber, uint value: some FixedWidthInteger & UnsignedInteger) {
        let value = UInt64(value)
        let length = (64 - value.leadingZeroBitCount + 7) / 8
        self.insert(number, length: length) { buffer in
            for byte in (0..<length).reversed() {
                buffer.writeInteger(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)))
            }
        }
    }

    /// Takes away all options of this number.
    package mutating func remove(_ number: CoAPOptionNumber) {
        guard self.first(number) != nil else { return }
        self = self.filtered { $0.number != number }
    }

    /// Those for which `isIncluded` is true.
    package func filtered(_ isIncluded: (CoAPOption) -> Bool) -> CoAPOptions {
        var result = CoAPOptions()
        for option in self where isIncluded(option) { result.append(option.number, option.value) }
        return result
    }

    private mutating func insert(_ number: CoAPOptionNumber, length: Int, write: (inout ByteBuffer) -> Void) {
        precondition(length <= Self.maxValueBytes, "option \(number) of \(length) bytes")
        self.count += 1
        if number.rawValue >= self.last {
            self.encoded.writeOptionHeader(delta: Int(number.rawValue - self.last), length: length)
            write(&self.encoded)
            self.last = number.rawValue
            return
        }
        // Before the first of a higher number, whose delta changes; what is behind that one stays as it is.
        let old = self.encoded
        let place = old.withUnsafeReadableBytes {
            bytes -> (before: Int, next: UInt16, value: Range<Int>, last: UInt16) in
            var cursor = OptionCursor()
            var last: UInt16 = 0
            var start = 0
            while case .option(let next, let value)? = try? cursor.next(in: bytes) {
                if next > number.rawValue { return (start, next, value, last) }
                last = next
                start = cursor.index
            }
            return (bytes.count, 0, bytes.count..<bytes.count, last)
        }
        let start = old.readerIndex
        var rewritten = ByteBuffer()
        rewritten.reserveCapacity(old.readableBytes + length + 8)
        rewritten.writeBytes(old.readableBytesView.prefix(place.before))
        rewritten.writeOptionHeader(delta: Int(number.rawValue - place.last), length: length)
        write(&rewritten)
        rewritten.writeOptionHeader(delta: Int(place.next - number.rawValue), length: place.value.count)
        rewritten.writeBytes(old.readableBytesView[(start + place.value.lowerBound)...])
        self.encoded = rewritten
    }
}

extension ByteBuffer {
    /// First byte of an option and what extends it.
    fileprivate mutating func writeOptionHeader(delta: Int, length: Int) {
        func nibble(_ value: Int) -> UInt8 { value < 13 ? UInt8(value) : value < 269 ? 13 : 14 }
        self.writeInteger(nibble(delta) << 4 | nibble(length))
        self.writeExtension(delta)
        self.writeExtension(length)
    }

    /// What did not fit into the half byte.
    private mutating func writeExtension(_ value: Int) {
        if value >= 269 {
            self.writeInteger(UInt16(value - 269))
        } else if value >= 13 {
            self.writeInteger(UInt8(value - 13))
        }
    }
}
