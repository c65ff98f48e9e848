import Classifier
import Flow

/// The rules of one OpenFlow table, in one of the two copies of the state: the classifier and the rules that its answers
/// stand for.
///
/// Only lookups and three elementary changes happen here. What a flow mod means, and which rule has which place, is
/// decided once, in `FlowPlan`; its steps are then applied to both copies.
public final class FlowTable {
    public let number: UInt8
    let classifier = Classifier()
    private let slab: RuleSlab

    init(number: UInt8, slab: RuleSlab) {
        self.number = number
        self.slab = slab
    }

    /// Number of rules.
    public var count: Int { classifier.count }

    /// The rule that `key` hits, nil for a table miss. Adds to `mask` every bit that was looked at. The rule is not
    /// retained: it stays until the reader leaves the state.
    @inline(__always)
    public func lookup(
        _ key: UnsafePointer<FlowKey>, mask: UnsafeMutablePointer<FlowMask>, scratch: inout ClassifierScratch
    ) -> Unmanaged<Rule>? {
        guard let place = classifier.lookup(key, mask: mask, scratch: &scratch) else { return nil }
        return slab.rules[Int(place)]
    }

    /// The rule with exactly this match and priority.
    public func rule(_ match: Match, priority: UInt16) -> Rule? { find(match, priority: priority)?.rule }

    /// Every rule, in no particular order.
    public func forEachRule(_ body: (Rule) -> Void) {
        classifier.forEachRule { if let rule = slab.rules[Int($0)] { body(rule.takeUnretainedValue()) } }
    }

    /// Number of rules with this cookie: what the `limit` of a `learn` action counts. Looks at every rule of the table.
    public func count(cookie: UInt64) -> Int {
        var count = 0
        forEachRule { if $0.cookie == cookie { count += 1 } }
        return count
    }

    // MARK: Control thread

    /// The rule with exactly this match and priority.
    func find(_ match: Match, priority: UInt16) -> (place: RuleIndex, rule: Rule)? {
        guard let place = classifier.find(match, priority: priority), let rule = slab.rule(at: place) else {
            return nil
        }
        return (place, rule)
    }

    /// Rules at least as specific as `match`.
    func looseMatches(_ match: Match) -> [(place: RuleIndex, rule: Rule)] {
        var found: [(place: RuleIndex, rule: Rule)] = []
        classifier.forEachLooseMatch(of: match) { place in
            if let rule = slab.rule(at: place) { found.append((place, rule)) }
        }
        return found
    }

    func insert(_ rule: Rule, at place: RuleIndex) {
        slab.set(place, rule)
        classifier.insert(rule.match, priority: rule.priority, rule: place, conjunctions: rule.conjunctions)
    }

    func remove(_ rule: Rule, at place: RuleIndex) {
        classifier.remove(rule.match, priority: rule.priority)
        slab.set(place, nil)
    }

    /// Puts `new` in the place of `old`, which has the same match and priority.
    func replace(_ old: Rule, by new: Rule, at place: RuleIndex) {
        let conjunctions = new.conjunctions
        if old.conjunctions != conjunctions {
            let match = new.match
            classifier.remove(match, priority: old.priority)
            classifier.insert(match, priority: new.priority, rule: place, conjunctions: conjunctions)
        }
        slab.set(place, new)
    }
}

/// The rules of all tables of a bridge, by place, in one of the two copies.
final class RuleSlab {
    /// Each holds one reference.
    private(set) var rules: UnsafeMutablePointer<Unmanaged<Rule>?> = .allocate(capacity: 1)
    private var capacity = 0

    deinit {
        for i in 0..<capacity { rules[i]?.release() }
        rules.deallocate()
    }

    func rule(at place: RuleIndex) -> Rule? {
        place < capacity ? rules[Int(place)]?.takeUnretainedValue() : nil
    }

    func set(_ place: RuleIndex, _ rule: Rule?) {
        if place >= capacity {
            guard rule != nil else { return }
            reserve(Int(place) + 1)
        }
        let old = rules[Int(place)]
        rules[Int(place)] = rule.map { .passRetained($0) }
        old?.release()
    }

    private func reserve(_ count: Int) {
        let grown = max(count, capacity * 2, 64)
        let larger = UnsafeMutablePointer<Unmanaged<Rule>?>.allocate(capacity: grown)
        larger.initialize(repeating: nil, count: grown)
        larger.update(from: rules, count: capacity)
        rules.deallocate()
        rules = larger
        capacity = grown
    }
}

extension Rule {
    /// What the rule contributes to conjunctive matches; empty for a rule that acts by itself.
    var conjunctions: [Conjunction] {
        guard traits.contains(.conjunctive) else { return [] }
        var found: [Conjunction] = []
        for case .conjunction(let id, let clause, let count) in actions {
            found.append(Conjunction(id: id, clause: clause, of: count))
        }
        return found
    }
}
