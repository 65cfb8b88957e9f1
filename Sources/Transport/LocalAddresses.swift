/// The addresses of this host that peers have sent to, by number: a peer is answered from the one that it knows, or it would not take the
/// answer for one.
struct LocalAddresses {
    /// More than a host has. Beyond, the system chooses.
    private static let limit = 256

    private var addresses: [DatagramAddress] = []

    /// From 1 on; 0: there are too many.
    mutating func number(of address: DatagramAddress) -> UInt16 {
        let address = DatagramAddress(high: address.high, low: address.low, port: 0)
        if let index = self.addresses.firstIndex(of: address) { return UInt16(index + 1) }
        guard self.addresses.count < Self.limit else { return 0 }
        self.addresses.append(address)
        return UInt16(self.addresses.count)
    }

    subscript(number: UInt16) -> DatagramAddress? {
        number == 0 || Int(number) > self.addresses.count ? nil : self.addresses[Int(number) - 1]
    }
}
