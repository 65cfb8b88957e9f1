/// How much is lost when a request that was answered is forgotten before its time. The lowest goes first.
enum HistoryRank: Int, CaseIterable {
    /// Nothing was carried out: a GET, an error, a block that is not the last. The same again does no harm.
    case idle
    /// Carried out, whoever it came from.
    case unproven
    /// Carried out for somebody who receives at his address.
    case proven
    /// Sent by somebody who has a key: opened by OSCORE, where the same again would be refused as a replay, or carried
    /// out for a DTLS session.
    case keyed

    // Once, for they are looked at with each request.
    /// All, the lowest first.
    static let all = Self.allCases[...]
    /// The share of a peer's requests that have no key.
    static let withoutKey = Self.all.dropLast()
    /// That of the others.
    static let withKey = Self.all.suffix(1)
}

/// A number for each rank.
struct RankTally {
    private var numbers = SIMD4<Int>.zero

    subscript(rank: HistoryRank) -> Int {
        get { self.numbers[rank.rawValue] }
        set { self.numbers[rank.rawValue] = newValue }
    }

    var total: Int { self.numbers.wrappedSum() }

    static func -= (left: inout RankTally, right: RankTally) { left.numbers &-= right.numbers }

    /// The rank that has to give something when all of `ranks` together are over a limit: the lowest that has more than
    /// an eighth of it. So much is left to each, or much that is of a high rank would leave no room for anything else.
    func first(of ranks: ArraySlice<HistoryRank>, over limit: Int) -> HistoryRank? {
        let total = ranks.reduce(0) { $0 + self[$1] }
        return total > limit ? ranks.first { self[$0] > limit / 8 } : nil
    }
}
