/// Finds what a person probably meant.
package enum NearestName {
    /// The one of `candidates` that `name` was probably meant to be: the fewest slips away (two at most, and fewer than
    /// half the length of the name), or the only one that starts with `name`.
    package static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
        let typed = Array(name.lowercased().unicodeScalars)
        guard !typed.isEmpty, typed.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        var extensions: [String] = []
        for candidate in candidates.sorted() {
            let known = Array(candidate.lowercased().unicodeScalars)
            if typed.count >= 3, known.starts(with: typed) { extensions.append(candidate) }
            guard abs(known.count - typed.count) <= 2 else { continue }
            let distance = Self.distance(typed, known)
            guard distance <= 2, distance * 2 < max(typed.count, known.count) else { continue }
            if distance < best?.distance ?? 3 { best = (candidate, distance) }
        }
        return best?.name ?? (extensions.count == 1 ? extensions.first : nil)
    }

    /// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
    static func distance(_ first: [Unicode.Scalar], _ second: [Unicode.Scalar]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...second.count)
        for row in 1..<(first.count + 1) {
            var current = [row]
            for column in 1..<(second.count + 1) {
                let replaced = last[column - 1] + (first[row - 1] == second[column - 1] ? 0 : 1)
                var cost = min(replaced, last[column] + 1, current[column - 1] + 1)
                if row > 1, column > 1, first[row - 1] == second[column - 2], first[row - 2] == second[column - 1] {
                    cost = min(cost, beforeLast[column - 2] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[second.count]
    }
}
