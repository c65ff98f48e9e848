import Flow

/// The same answers as `Classifier`, from an array that is scanned from end to end.
///
/// It exists as the plain twin that the fast one is compared with, here as well as in the tests of other modules that look
/// rules up; nothing that runs in a switch uses it.
public struct LinearClassifier {
    struct Entry {
        let match: Match
        let priority: UInt16
        let rule: RuleIndex
        let conjunctions: [Conjunction]

        func matches(_ key: FlowKey) -> Bool {
            for i in 0..<FlowKey.wordCount {
                if (key.words[i] ^ match.key.words[i]) & match.mask.bits.words[i] != 0 { return false }
            }
            return true
        }
    }

    /// Highest priority first, and of one priority the oldest first.
    private(set) var entries: [Entry] = []

    public init() {}

    public var count: Int { entries.count }

    public mutating func insert(
        _ match: Match, priority: UInt16, rule: RuleIndex, conjunctions: [Conjunction] = []
    ) {
        let entry = Entry(match: match, priority: priority, rule: rule, conjunctions: conjunctions)
        entries.insert(entry, at: entries.firstIndex { $0.priority < priority } ?? entries.endIndex)
    }

    public mutating func remove(_ match: Match, priority: UInt16) -> RuleIndex? {
        guard let at = entries.firstIndex(where: { $0.priority == priority && $0.match == match }) else { return nil }
        return entries.remove(at: at).rule
    }

    public func find(_ match: Match, priority: UInt16) -> RuleIndex? {
        entries.first { $0.priority == priority && $0.match == match }?.rule
    }

    /// Every rule that a lookup may return: several if rules of the same priority overlap or complete several
    /// conjunctions, none if nothing matches.
    public func candidates(_ key: FlowKey) -> [RuleIndex] {
        let matching = entries.filter { $0.matches(key) }
        var rest = matching[...]
        while let priority = rest.first?.priority {
            let level = rest.prefix { $0.priority == priority }
            rest = rest.dropFirst(level.count)
            let plain = level.filter { $0.conjunctions.isEmpty }
            if !plain.isEmpty { return plain.map(\.rule) }
            var found: [RuleIndex] = []
            for id in Self.satisfied(level) {
                var copy = key
                copy[.conjID] = UInt64(id)
                found += unconditional(copy)
            }
            if !found.isEmpty { return found }
        }
        return []
    }

    /// The first of the candidates.
    public func lookup(_ key: FlowKey) -> RuleIndex? { candidates(key).first }

    /// Rules of the highest priority among those that match and are not part of a conjunction. As in OVS, a rule of a
    /// conjunction hides what has the same match and a lower priority.
    private func unconditional(_ key: FlowKey) -> [RuleIndex] {
        let matching = entries.filter { $0.matches(key) }
        var found: [Entry] = []
        for (i, entry) in matching.enumerated() where entry.conjunctions.isEmpty {
            if let best = found.first, best.priority > entry.priority { break }
            if !matching[..<i].contains(where: { $0.match == entry.match }) { found.append(entry) }
        }
        return found.map(\.rule)
    }

    /// Conjunctions of which these rules satisfy all clauses, lowest id first.
    private static func satisfied(_ level: ArraySlice<Entry>) -> [UInt32] {
        var progress: [UInt32: (clauses: UInt64, count: UInt8)] = [:]
        for conjunction in level.flatMap(\.conjunctions) where Int(conjunction.count) <= level.count {
            let old = progress[conjunction.id] ?? (0, 0)
            progress[conjunction.id] = (old.clauses | conjunction.clauseBit, max(old.count, conjunction.count))
        }
        return progress.filter {
            $0.value.clauses & Conjunction.complete($0.value.count)
                == Conjunction.complete($0.value.count)
        }.keys.sorted()
    }

    public func forEachRule(_ body: (RuleIndex) -> Void) { for entry in entries { body(entry.rule) } }

    /// Rules that are at least as specific as `match` (the meaning of a non-strict delete).
    public func forEachLooseMatch(of match: Match, _ body: (RuleIndex) -> Void) {
        for entry in entries {
            let isLoose = (0..<FlowKey.wordCount).allSatisfy { i in
                let mask = match.mask.bits.words[i]
                return mask & ~entry.match.mask.bits.words[i] == 0
                    && (entry.match.key.words[i] ^ match.key.words[i]) & mask == 0
            }
            if isLoose { body(entry.rule) }
        }
    }

    /// Whether a packet could match both `match` and a rule of the same priority.
    public func overlaps(_ match: Match, priority: UInt16) -> Bool {
        entries.contains { entry in
            entry.priority == priority
                && (0..<FlowKey.wordCount).allSatisfy { i in
                    (entry.match.key.words[i] ^ match.key.words[i])
                        & entry.match.mask.bits.words[i] & match.mask.bits.words[i] == 0
                }
        }
    }
}
