import CLinux
import Flow

/// What a classifier says about a rule: a number that the caller chose, such as the rule's place in an array.
public typealias RuleIndex = UInt32

/// The index over the rules of one OpenFlow table.
///
/// Not synchronised: either one thread changes it, or any number of threads look up, each with its own scratch.
public final class Classifier {
    private var linear = LinearClassifier()

    public init() {}

    /// Number of rules.
    public var count: Int { linear.count }

    /// Adds a rule. The caller has made sure that there is none with the same match and priority (`find`).
    ///
    /// - Parameter conjunctions: not empty if the actions of the rule are `conjunction`; such a rule is never the result
    ///   of a lookup.
    public func insert(_ match: Match, priority: UInt16, rule: RuleIndex, conjunctions: [Conjunction] = []) {
        linear.insert(match, priority: priority, rule: rule, conjunctions: conjunctions)
    }

    /// Removes the rule with exactly this match and priority; nil if there is none.
    @discardableResult
    public func remove(_ match: Match, priority: UInt16) -> RuleIndex? { linear.remove(match, priority: priority) }

    /// The rule with exactly this match and priority.
    public func find(_ match: Match, priority: UInt16) -> RuleIndex? { linear.find(match, priority: priority) }

    /// The rule of the highest priority that matches `key`; any of them if several rules of that priority do. Adds to
    /// `mask` the bits that were looked at: every key that agrees with `key` in them has the same result.
    public func lookup(
        _ key: UnsafePointer<FlowKey>, mask: UnsafeMutablePointer<FlowMask>, scratch: inout ClassifierScratch
    ) -> RuleIndex? {
        for entry in linear.entries {
            for i in 0..<FlowKey.wordCount { mask.pointee.bits.words[i] |= entry.match.mask.bits.words[i] }
        }
        return linear.lookup(key.pointee)
    }

    /// Every rule, in no particular order.
    public func forEachRule(_ body: (RuleIndex) -> Void) { linear.forEachRule(body) }

    /// Every rule that is at least as specific as `match`, whatever its priority: what a non-strict modify, delete or
    /// dump selects (OpenFlow 1.5.1, 6.4 "Flow Table Modification Messages").
    public func forEachLooseMatch(of match: Match, _ body: (RuleIndex) -> Void) {
        linear.forEachLooseMatch(of: match, body)
    }

    /// Whether some packet could match both `match` and a rule of the same priority (`check_overlap`).
    public func overlaps(_ match: Match, priority: UInt16) -> Bool { linear.overlaps(match, priority: priority) }
}
