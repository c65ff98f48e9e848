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
    /// By place; each holds one reference.
    private var rules: UnsafeMutablePointer<Unmanaged<Rule>?>
    private var capacity = 0

    public init(number: UInt8) {
        self.number = number
        rules = .allocate(capacity: 1)
    }

    deinit {
        for i in 0..<capacity { rules[i]?.release() }
        rules.deallocate()
    }

    /// Number of rules.
    public var count: Int { classifier.count }

    /// The rule that `key` hits, nil for a table miss. Adds to `mask` every bit that was looked at. The rule is not
    /// retained: it stays until the reader leaves the state.
    public func lookup(
        _ key: UnsafePointer<FlowKey>, mask: UnsafeMutablePointer<FlowMask>, scratch: inout ClassifierScratch
    ) -> Unmanaged<Rule>? {
        guard let place = classifier.lookup(key, mask: mask, scratch: &scratch) else { return nil }
        return rules[Int(place)]
    }

    // MARK: Control thread

    func rule(at place: RuleIndex) -> Rule? {
        place < capacity ? rules[Int(place)]?.takeUnretainedValue() : nil
    }

    /// The rule with exactly this match and priority.
    func find(_ match: Match, priority: UInt16) -> (place: RuleIndex, rule: Rule)? {
        guard let place = classifier.find(match, priority: priority), let rule = rule(at: place) else { return nil }
        return (place, rule)
    }

    /// Every rule, in no particular order.
    public func forEachRule(_ body: (Rule) -> Void) {
        for i in 0..<capacity { if let rule = rules[i] { body(rule.takeUnretainedValue()) } }
    }

    /// Rules at least as specific as `match`.
    func looseMatches(_ match: Match) -> [(place: RuleIndex, rule: Rule)] {
        var found: [(place: RuleIndex, rule: Rule)] = []
        classifier.forEachLooseMatch(of: match) { place in
            if let rule = rule(at: place) { found.append((place, rule)) }
        }
        return found
    }

    func insert(_ rule: Rule, at place: RuleIndex) {
        reserve(Int(place) + 1)
        rules[Int(place)] = .passRetained(rule)
        classifier.insert(rule.match, priority: rule.priority, rule: place, conjunctions: rule.conjunctions)
    }

    func remove(_ rule: Rule, at place: RuleIndex) {
        classifier.remove(rule.match, priority: rule.priority)
        rules[Int(place)]?.release()
        rules[Int(place)] = nil
    }

    /// Puts `new` in the place of `old`, which has the same match and priority.
    func replace(_ old: Rule, by new: Rule, at place: RuleIndex) {
        let conjunctions = new.conjunctions
        if old.conjunctions != conjunctions {
            classifier.remove(old.match, priority: old.priority)
            classifier.insert(new.match, priority: new.priority, rule: place, conjunctions: conjunctions)
        }
        let reference = Unmanaged.passRetained(new)
        rules[Int(place)]?.release()
        rules[Int(place)] = reference
    }

    private func reserve(_ count: Int) {
        guard count > capacity else { return }
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
        var found: [Conjunction] = []
        for case .conjunction(let id, let clause, let count) in actions {
            found.append(Conjunction(id: id, clause: clause, of: count))
        }
        return found
    }
}
