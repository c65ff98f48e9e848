import Base
import Classifier
import Flow

/// What the control thread alone knows about the rules of a bridge: who has which place, which rules can time out, which
/// use a group, which were learned. There is one, not two; it follows the copy behind while a plan runs.
///
/// Every operation is constant time but for rules with groups or `delete_learned`, so loading a hundred thousand rules does not
/// slow down with their number.
final class RuleBook {
    struct Learned: Hashable {
        let table: UInt8
        let cookie: UInt64
    }

    private struct Record {
        // Rules with one cookie form a ring.
        var previous: RuleIndex
        var next: RuleIndex
        /// Place + 1 in `expirable`; 0 is not in it.
        var expirable: UInt32
    }

    private var records: [Record] = []
    private var free: [RuleIndex] = []
    /// A rule of each cookie that there is.
    private var cookies: [UInt64: RuleIndex] = [:]
    /// Rules that can time out, in no particular order.
    private(set) var expirable: [RuleIndex] = []
    private(set) var groupUsers: [UInt32: Set<RuleIndex>] = [:]
    private(set) var meterUsers: [UInt32: Set<RuleIndex>] = [:]
    /// Number of `learn` actions with `delete_learned` that make such rules.
    private var learners: [Learned: Int] = [:]
    /// Rules in each table.
    private(set) var counts = [Int](repeating: 0, count: 255)
    /// Most rules that each table takes.
    var limits = [Int](repeating: RuleBook.defaultLimit, count: 255)
    /// Where the look for expired rules goes on.
    var sweep = 0

    /// `max_entries` that Open vSwitch reports for a table.
    static var defaultLimit: Int { 1_000_000 }

    func takePlace() -> RuleIndex {
        if let place = free.popLast() { return place }
        let place = RuleIndex(records.count)
        records.append(Record(previous: place, next: place, expirable: 0))
        return place
    }

    func givePlaceBack(_ place: RuleIndex) { free.append(place) }

    func insert(_ rule: Rule, at place: RuleIndex) {
        counts[Int(rule.table)] += 1
        join(rule.cookie, place)
        if rule.canExpire {
            expirable.append(place)
            records[Int(place)].expirable = UInt32(expirable.count)
        }
        if rule.traits.contains(.usesGroups) {
            for group in rule.actions.groups { groupUsers[group, default: []].insert(place) }
        }
        if rule.traits.contains(.usesMeters) {
            for meter in rule.actions.meters { meterUsers[meter, default: []].insert(place) }
        }
        if rule.traits.contains(.ownsLearned) {
            rule.forEachLearned { learners[$0, default: 0] += 1 }
        }
    }

    /// Adds to `orphans` what no rule learns any more.
    func remove(_ rule: Rule, at place: RuleIndex, orphans: inout [Learned]) {
        counts[Int(rule.table)] -= 1
        leave(rule.cookie, place)
        let number = records[Int(place)].expirable
        if number != 0 {
            let last = expirable.removeLast()
            if last != place {
                expirable[Int(number) - 1] = last
                records[Int(last)].expirable = number
            }
            records[Int(place)].expirable = 0
        }
        if rule.traits.contains(.usesGroups) {
            for group in rule.actions.groups {
                groupUsers[group]?.remove(place)
                if groupUsers[group]?.isEmpty == true { groupUsers[group] = nil }
            }
        }
        if rule.traits.contains(.usesMeters) {
            for meter in rule.actions.meters {
                meterUsers[meter]?.remove(place)
                if meterUsers[meter]?.isEmpty == true { meterUsers[meter] = nil }
            }
        }
        if rule.traits.contains(.ownsLearned) {
            rule.forEachLearned { learned in
                let left = (learners[learned] ?? 0) - 1
                learners[learned] = left > 0 ? left : nil
                if left <= 0 { orphans.append(learned) }
            }
        }
    }

    func isLearned(_ learned: Learned) -> Bool { learners[learned] != nil }

    /// Places of all rules with this cookie.
    func places(cookie: UInt64) -> [RuleIndex] {
        guard let first = cookies[cookie] else { return [] }
        var found: [RuleIndex] = []
        var place = first
        repeat {
            found.append(place)
            place = records[Int(place)].next
        } while place != first
        return found
    }

    private func join(_ cookie: UInt64, _ place: RuleIndex) {
        guard let first = cookies[cookie] else {
            cookies[cookie] = place
            records[Int(place)].previous = place
            records[Int(place)].next = place
            return
        }
        let last = records[Int(first)].previous
        records[Int(place)].previous = last
        records[Int(place)].next = first
        records[Int(last)].next = place
        records[Int(first)].previous = place
    }

    private func leave(_ cookie: UInt64, _ place: RuleIndex) {
        let (previous, next) = (records[Int(place)].previous, records[Int(place)].next)
        if next == place {
            cookies[cookie] = nil
            return
        }
        records[Int(previous)].next = next
        records[Int(next)].previous = previous
        if cookies[cookie] == place { cookies[cookie] = next }
    }
}

extension Rule {
    var canExpire: Bool { idleTimeout != 0 || hardTimeout != 0 || traits.contains(.lowersTimeouts) }

    func forEachLearned(_ body: (RuleBook.Learned) -> Void) {
        actions.forEachFlattened { action in
            if case .learn(let learn) = action, learn.deleteLearned {
                body(RuleBook.Learned(table: learn.table, cookie: learn.cookie))
            }
        }
    }
}
