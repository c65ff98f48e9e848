import Base
import Classifier
import Flow

extension FlowPlan {
    /// Carries out one flow mod.
    mutating func run(_ mod: FlowMod) throws(StateError) {
        if let table = mod.table, table == 255 {
            throw StateError(.badTable, "table 255 does not exist; tables are 0 to 254")
        }
        switch mod.command {
        case .add:
            try check(mod.actions, table: mod.table ?? 0)
            try add(mod)
        case .modify, .modifyStrict: try modify(mod)
        case .delete, .deleteStrict: for (place, rule) in select(mod) { remove(rule, at: place) }
        }
        removeOrphans()
    }

    /// OFPFC_ADD. A rule with the same match and priority is replaced: its counters go on (they begin anew only with
    /// `reset_counts`), its duration does not.
    private mutating func add(_ mod: FlowMod) throws(StateError) {
        let table = bridge.makeTable(mod.table ?? 0)
        let match = mod.match
        if let (place, old) = table.find(match, priority: mod.priority) {
            replace(old, at: place, with: mod, table: table)
            return
        }
        if mod.flags.contains(.checkOverlap), table.classifier.overlaps(match, priority: mod.priority) {
            throw StateError(
                .overlap, "the flow overlaps another of priority \(mod.priority) in table \(table.number)")
        }
        try insert(mod, table: table)
    }

    /// OFPFC_MODIFY and OFPFC_MODIFY_STRICT. As in OpenFlow 1.0, a modification that finds nothing adds the flow, unless
    /// it asked for a cookie or is not to.
    private mutating func modify(_ mod: FlowMod) throws(StateError) {
        let selected = select(mod)
        if selected.isEmpty {
            guard mod.mayAdd, (mod.cookieMatch?.mask ?? 0) == 0 else { return }
            try check(mod.actions, table: mod.table ?? 0)
            try add(mod)
            return
        }
        var checked: Set<UInt8> = []
        for (_, rule) in selected where checked.insert(rule.table).inserted {
            try check(mod.actions, table: rule.table)
        }
        for (place, rule) in selected { replace(rule, at: place, with: mod, table: bridge.makeTable(rule.table)) }
    }

    /// Rules that a modification or deletion is about.
    func select(_ mod: FlowMod) -> [(place: RuleIndex, rule: Rule)] {
        let match = mod.match
        var selected: [(place: RuleIndex, rule: Rule)] = []
        if mod.cookieMatch?.mask == .max, let cookie = mod.cookieMatch?.value {
            for place in book.places(cookie: cookie) {
                if let rule = bridge.slab.rule(at: place) { selected.append((place, rule)) }
            }
            selected.removeAll { _, rule in
                if let table = mod.table, rule.table != table { return true }
                return mod.isStrict
                    ? rule.priority != mod.priority || rule.packed != mod.packed : !rule.packed.isWithin(mod.packed)
            }
        } else {
            for case let table? in bridge.tables where mod.table == nil || mod.table == table.number {
                if mod.isStrict {
                    if let found = table.find(match, priority: mod.priority) { selected.append(found) }
                } else {
                    selected.append(contentsOf: table.looseMatches(match))
                }
            }
        }
        selected.removeAll { _, rule in !mod.admits(rule) }
        return selected
    }

    /// Deletes the rules that refer to a meter: OpenFlow 1.5.1, 7.3.4.4, "OFPMC_DELETE".
    mutating func removeUsers(ofMeter id: UInt32) {
        for place in (book.meterUsers[id] ?? []).sorted() {
            if let rule = bridge.slab.rule(at: place) { remove(rule, at: place) }
        }
        removeOrphans()
    }

    // MARK: Checks

    /// Refuses actions that name what does not exist.
    func check(_ actions: [Action], table: UInt8) throws(StateError) {
        let traits = RuleTraits(actions)
        if traits.contains(.usesGroups) {
            for group in actions.groups.sorted() where bridge.groups[group] == nil {
                throw StateError(.badGroup, "group \(group) does not exist")
            }
        }
        if traits.contains(.usesMeters) {
            for id in actions.meters.sorted() where bridge.meters[id] == nil {
                throw StateError(.badMeter, "meter \(id) does not exist")
            }
        }
        if traits.contains(.goesToTable) {
            for case .gotoTable(let target) in actions where target <= table || target == 255 {
                throw StateError(
                    .badGoto, "goto_table:\(target) from table \(table): only a later table, 254 at most, can follow")
            }
        }
    }
}

extension FlowMod {
    var isStrict: Bool { command == .modifyStrict || command == .deleteStrict }

    /// What a mod asks of a rule besides its match.
    func admits(_ rule: Rule) -> Bool {
        if rule.flags.contains(.hidden) { return false }
        if let cookieMatch, !cookieMatch.matches(rule.cookie) { return false }
        guard command == .delete || command == .deleteStrict else { return true }
        if let outPort, !rule.actions.sends(to: outPort) { return false }
        if let outGroup, !(rule.traits.contains(.usesGroups) && rule.actions.groups.contains(outGroup)) { return false }
        return true
    }
}
