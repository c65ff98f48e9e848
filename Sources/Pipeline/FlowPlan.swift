import Base
import Classifier
import Flow

/// Flow mods on their way into the state.
///
/// A plan runs against the copy that no worker reads. Each mod sees what those before it did, and is broken down into steps
/// that are carried out at once: insert, replace, remove. If a mod is refused, the steps taken so far are undone in reverse
/// order and nothing has happened. Otherwise the copy is published and `repeatSteps` does the same to the other copy.
///
/// The semantics are those of Open vSwitch 3.1: see docs/pipeline-state.md.
struct FlowPlan {
    enum Step {
        case insert(Rule, RuleIndex)
        case replace(Rule, Rule, RuleIndex, resetCounts: Bool)
        case remove(Rule, RuleIndex)
        case group(UInt32, Group?, Group?)
    }

    let bridge: BridgeState
    let book: RuleBook
    let counters: Counters
    /// Milliseconds.
    let now: UInt64
    private(set) var steps: [Step] = []
    private(set) var dependencies: Dependencies = []
    private(set) var change = FlowChange()
    private var orphans: [RuleBook.Learned] = []

    init(bridge: BridgeState, book: RuleBook, counters: Counters, now: UInt64) {
        self.bridge = bridge
        self.book = book
        self.counters = counters
        self.now = now
    }

    // MARK: Steps

    mutating func insert(_ mod: FlowMod, table: FlowTable) throws(StateError) {
        guard book.counts[Int(table.number)] < book.limits[Int(table.number)] else {
            throw StateError(
                .tableFull, "table \(table.number) is full: it takes \(book.limits[Int(table.number)]) flows")
        }
        guard let counter = counters.allocate(now: now) else {
            throw StateError(.exhausted, "no counters left: the switch takes 16,777,216 flows, groups and buckets")
        }
        let rule = Rule(mod, table: table.number, counter: counter, created: now)
        let place = book.takePlace()
        table.insert(rule, at: place)
        book.insert(rule, at: place)
        record(.insert(rule, place), table: table.number)
        change.added += 1
    }

    mutating func replace(_ old: Rule, at place: RuleIndex, with mod: FlowMod, table: FlowTable) {
        let new = Rule(replacing: old, with: mod, created: now)
        table.replace(old, by: new, at: place)
        book.remove(old, at: place, orphans: &orphans)
        book.insert(new, at: place)
        record(
            .replace(old, new, place, resetCounts: mod.flags.contains(.resetCounts)), table: table.number)
        change.modified += 1
    }

    mutating func remove(_ rule: Rule, at place: RuleIndex) {
        bridge.makeTable(rule.table).remove(rule, at: place)
        book.remove(rule, at: place, orphans: &orphans)
        // The place is given back when the plan is done: a step further on must not take it.
        record(.remove(rule, place), table: rule.table)
        change.deleted += 1
    }

    mutating func setGroup(_ id: UInt32, from old: Group?, to new: Group?) {
        bridge.groups[id] = new
        steps.append(.group(id, old, new))
        dependencies.formUnion(.groups)
    }

    private mutating func record(_ step: Step, table: UInt8) {
        steps.append(step)
        dependencies.formUnion(.table(bridge: bridge.number, table))
    }

    mutating func leaveUnchanged() { change.unchanged += 1 }

    /// Deletes what was learned by rules that are gone, if they had `delete_learned`: all rules with the cookie of the
    /// `learn` action in its table (ovs-actions(7), "learn").
    mutating func removeOrphans() {
        while let learned = orphans.popLast() {
            guard !book.isLearned(learned) else { continue }
            for place in book.places(cookie: learned.cookie) {
                guard let rule = bridge.slab.rule(at: place), rule.table == learned.table else { continue }
                remove(rule, at: place)
            }
        }
    }

    // MARK: The end of a plan

    /// Undoes all steps on the copy that they were taken on.
    mutating func rollBack() {
        var ignored: [RuleBook.Learned] = []
        for step in steps.reversed() {
            switch step {
            case .insert(let rule, let place):
                bridge.makeTable(rule.table).remove(rule, at: place)
                book.remove(rule, at: place, orphans: &ignored)
                book.givePlaceBack(place)
                counters.release(rule.counter)
            case .replace(let old, let new, let place, _):
                bridge.makeTable(old.table).replace(new, by: old, at: place)
                book.remove(new, at: place, orphans: &ignored)
                book.insert(old, at: place)
            case .remove(let rule, let place):
                bridge.makeTable(rule.table).insert(rule, at: place)
                book.insert(rule, at: place)
            case .group(let id, let old, let new):
                bridge.groups[id] = old
                if let new { counters.release(new) }
            }
        }
        steps = []
    }

    /// Takes the same steps on the other copy.
    func repeatSteps(on other: BridgeState) {
        for step in steps {
            switch step {
            case .insert(let rule, let place): other.makeTable(rule.table).insert(rule, at: place)
            case .replace(let old, let new, let place, _):
                other.makeTable(old.table).replace(old, by: new, at: place)
            case .remove(let rule, let place): other.makeTable(rule.table).remove(rule, at: place)
            case .group(let id, _, let new): other.groups[id] = new
            }
        }
    }

    /// Brings counters into line, when no reader can see the old rules any more.
    func settleCounters() {
        for step in steps {
            switch step {
            case .insert: break
            case .replace(_, let new, _, let resetCounts):
                counters.touch(new.counter, now: now)
                if resetCounts { counters.reset(new.counter) }
            case .remove(let rule, let place):
                counters.release(rule.counter)
                book.givePlaceBack(place)
            case .group(_, let old, _): if let old { counters.release(old) }
            }
        }
    }
}

extension Counters {
    func release(_ group: Group) {
        release(group.counter)
        for bucket in group.buckets { release(bucket.counter) }
    }
}
