// Who is checked when, and what came out: all of health checking but sockets, threads and clocks. `HealthMonitor`
// lends it those; tests lend it a virtual clock.
//
// Spreading. Checks of one target begin `interval` apart. A batch of new targets does not begin all at once: one
// begins each millisecond, or as many more as it takes to have begun all of them within one interval, and they keep
// that distance from then on.
//
// Limits. Never more than `limits.sockets` checks are under way. When they are all taken, those that are due wait, the
// longest first, so overload makes every check late by about the same, and none is left out. A target that ran into
// its timeout is slow: it would hold its socket for the whole timeout again. Slow targets share half of the sockets,
// so however many hosts are dead, those that answer are checked in time.
package struct HealthBook {
    package struct Start {
        package let slot: Int
        package let turn: UInt64
        package let target: HealthTarget
    }

    private struct Slot {
        var target: HealthTarget
        var state: HealthState
        /// Which entry of a schedule, or which running check, is the valid one.
        var turn: UInt64
        /// Beginning of the current check, or of the next one.
        var due: UInt64
        var isRunning = false
        /// The check under way counts as a slow one; if none is, the next one will.
        var isSlow = false
        var lastResult: HealthResult?
        var lastEnd: UInt64 = 0
        var lastDuration: UInt64 = 0
    }

    private let limits: HealthLimits
    package private(set) var load = HealthLoad()
    private var slots: [Slot?] = []
    private var free: [Int] = []
    private var byID: [UInt64: Int] = [:]
    private var prompt = HealthSchedule()
    private var slow = HealthSchedule()
    private var turns: UInt64 = 0
    /// Checks of targets that are gone, whose sockets are not: by turn, whether slow.
    private var orphans: [UInt64: Bool] = [:]

    package init(limits: HealthLimits) { self.limits = limits }

    private var slowLimit: Int { max(1, limits.sockets / 2) }

    /// Replaces all targets. Of several with the same id the last one counts. Returns the checks to be cut off.
    package mutating func set(_ targets: [HealthTarget], now: UInt64) -> [UInt64] {
        var wanted: [UInt64: HealthTarget] = [:]
        for target in targets where target.check.kind != nil { wanted[target.id] = target }
        let gone = byID.keys.filter { wanted[$0] == nil }
        var cut = remove(gone)
        // In the order given, so that the same configuration has the same beginning.
        cut += insert(targets.filter { wanted[$0.id] == $0 }, now: now)
        return cut
    }

    /// Adds targets, or replaces those of the same id. A target that stays what it was keeps its state and its turn;
    /// one that only is checked otherwise keeps its state. Returns the checks to be cut off.
    package mutating func insert(_ targets: [HealthTarget], now: UInt64) -> [UInt64] {
        var cut: [UInt64] = []
        var fresh: [Int] = []
        for target in targets where target.check.kind != nil {
            if let slot = byID[target.id], let old = slots[slot] {
                if old.target == target { continue }
                if old.isRunning {
                    orphans[old.turn] = old.isSlow
                    cut.append(old.turn)
                }
                let keeps = target.asksTheSame(as: old.target)
                slots[slot] = Slot(
                    target: target, state: keeps ? old.state : HealthState(now: now), turn: 0, due: now,
                    lastResult: keeps ? old.lastResult : nil, lastEnd: old.lastEnd, lastDuration: old.lastDuration)
                fresh.append(slot)
            } else {
                let slot = free.popLast() ?? slots.count
                if slot == slots.count { slots.append(nil) }
                slots[slot] = Slot(target: target, state: HealthState(now: now), turn: 0, due: now)
                byID[target.id] = slot
                fresh.append(slot)
            }
        }
        for (i, slot) in fresh.enumerated() {
            let interval = slots[slot]?.target.check.interval ?? 0
            schedule(slot, due: now + UInt64(i) * min(interval, UInt64(fresh.count)) / UInt64(fresh.count))
        }
        load.targets = byID.count
        return cut
    }

    /// Forgets targets. Returns the checks to be cut off.
    package mutating func remove(_ ids: [UInt64]) -> [UInt64] {
        var cut: [UInt64] = []
        for id in ids {
            guard let slot = byID.removeValue(forKey: id), let old = slots[slot] else { continue }
            if old.isRunning {
                orphans[old.turn] = old.isSlow
                cut.append(old.turn)
            }
            slots[slot] = nil
            free.append(slot)
        }
        load.targets = byID.count
        return cut
    }

    private mutating func schedule(_ number: Int, due: UInt64) {
        turns += 1
        slots[number]?.turn = turns
        slots[number]?.due = due
        let entry = HealthSchedule.Entry(due: due, slot: number, turn: turns)
        if slots[number]?.isSlow == true { slow.insert(entry) } else { prompt.insert(entry) }
    }

    /// The next check to begin, if one is due and there is room for it.
    package mutating func next(now: UInt64) -> Start? {
        clean()
        guard load.running < limits.sockets else { return nil }
        var entry: HealthSchedule.Entry?
        if let first = prompt.first, first.due <= now { entry = first }
        if let first = slow.first, first.due <= now, load.slowRunning < slowLimit, first.due < entry?.due ?? .max {
            entry = first
        }
        guard let entry, var slot = slots[entry.slot] else { return nil }
        _ = slot.isSlow ? slow.removeFirst() : prompt.removeFirst()
        slot.isRunning = true
        slots[entry.slot] = slot
        load.running += 1
        load.slowRunning += slot.isSlow ? 1 : 0
        load.started += 1
        if now > entry.due + slot.target.check.interval { load.late += 1 }
        return Start(slot: entry.slot, turn: entry.turn, target: slot.target)
    }

    /// A check has ended and its socket is closed. Nothing comes of one that was cut off.
    package mutating func finish(_ start: Start, _ result: HealthResult, duration: UInt64, now: UInt64) -> HealthChange?
    {
        if let wasSlow = orphans.removeValue(forKey: start.turn) {
            release(wasSlow)
            return nil
        }
        guard var slot = slots[start.slot], slot.turn == start.turn, slot.isRunning else { return nil }
        release(slot.isSlow)
        let old = slot.state.status
        let check = slot.target.check
        let hasChanged = slot.state.record(result, rise: check.rise, fall: check.fall, now: now)
        slot.isRunning = false
        if case .timeout = result { slot.isSlow = true } else { slot.isSlow = false }
        slot.lastResult = result
        slot.lastEnd = now
        slot.lastDuration = duration
        slots[start.slot] = slot
        // Behind its time, it goes on from now; otherwise it keeps its place among the others.
        schedule(start.slot, due: max(slot.due + check.interval, now))
        guard hasChanged else { return nil }
        return HealthChange(target: slot.target, old: old, new: slot.state.status, reason: result.text)
    }

    private mutating func release(_ wasSlow: Bool) {
        load.running -= 1
        load.slowRunning -= wasSlow ? 1 : 0
    }

    /// When `next` may have something again, if no check ends before; nil if only the end of one can bring that about.
    package mutating func wake() -> UInt64? {
        clean()
        guard load.running < limits.sockets else { return nil }
        let others = load.slowRunning < slowLimit ? slow.first?.due : nil
        return [prompt.first?.due, others].compactMap { $0 }.min()
    }

    /// Takes entries off the front whose targets are gone or have another turn by now.
    private mutating func clean() {
        while let first = prompt.first, slots[first.slot]?.turn != first.turn { _ = prompt.removeFirst() }
        while let first = slow.first, slots[first.slot]?.turn != first.turn { _ = slow.removeFirst() }
    }

    package func statistics(of id: UInt64, now: UInt64) -> HealthStatistics? {
        byID[id].flatMap { slots[$0] }.map { statistics($0, now) }
    }

    /// Of all targets, by id.
    package func statistics(now: UInt64) -> [HealthStatistics] {
        slots.compactMap { $0 }.map { statistics($0, now) }.sorted { $0.target.id < $1.target.id }
    }

    private func statistics(_ slot: Slot, _ now: UInt64) -> HealthStatistics {
        HealthStatistics(
            target: slot.target, state: slot.state, age: now - min(now, slot.state.since), lastResult: slot.lastResult,
            lastCheckAge: slot.lastResult == nil ? nil : now - min(now, slot.lastEnd), lastDuration: slot.lastDuration)
    }
}
