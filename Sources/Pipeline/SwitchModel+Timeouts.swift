import Base
import Flow

/// A rule whose time was up.
public struct ExpiredRule: Sendable {
    public enum Reason: Sendable { case idle, hard }
    public let bridge: Int
    public let rule: Rule
    public let reason: Reason
}

extension SwitchModel {
    /// Deletes rules that were not used for longer than their idle timeout or exist, since they were added, modified or
    /// learned again, for longer than their hard timeout. Looks at up to `limit` rules of each bridge and goes on there next
    /// time; what packets did must have been folded into `counters` before.
    @discardableResult
    public func expireRules(now: UInt64, limit: Int = .max) -> [ExpiredRule] {
        var expired: [ExpiredRule] = []
        for case let bridge? in state.bridges {
            let book = books[bridge.number]
            let count = book.expirable.count
            guard count > 0 else { continue }
            if book.sweep >= count { book.sweep = 0 }
            let looked = min(limit, count)
            var due: [(place: UInt32, rule: Rule)] = []
            for i in 0..<looked {
                let place = book.expirable[(book.sweep + i) % count]
                guard let rule = bridge.slab.rule(at: place), let reason = reasonToExpire(rule, now: now) else {
                    continue
                }
                due.append((place, rule))
                expired.append(ExpiredRule(bridge: bridge.number, rule: rule, reason: reason))
            }
            book.sweep += looked
            guard !due.isEmpty else { continue }
            runPlan(on: bridge.number, now: now) { (plan: inout FlowPlan) in
                for (place, rule) in due { plan.expire(rule, at: place) }
            }
        }
        return expired
    }

    private func reasonToExpire(_ rule: Rule, now: UInt64) -> ExpiredRule.Reason? {
        let value = counters.value(rule.counter)
        let (idle, hard) = rule.timeouts(value)
        if hard != 0, now > value.modified &+ UInt64(hard) * 1000 { return .hard }
        if idle != 0, now > value.used &+ UInt64(idle) * 1000 { return .idle }
        return nil
    }
}

extension Rule {
    /// Seconds, with what `fin_timeout` made of them.
    public func timeouts(_ value: CounterValue) -> (idle: UInt16, hard: UInt16) {
        (Self.lower(idleTimeout, value.finIdleTimeout), Self.lower(hardTimeout, value.finHardTimeout))
    }

    private static func lower(_ timeout: UInt16, _ limit: UInt16) -> UInt16 {
        limit != 0 && (timeout == 0 || timeout > limit) ? limit : timeout
    }
}

extension FlowPlan {
    mutating func expire(_ rule: Rule, at place: UInt32) {
        // It may be gone already, along with a rule that had learned it.
        guard bridge.slab.rule(at: place) === rule else { return }
        remove(rule, at: place)
        removeOrphans()
    }
}
