import Base
import Classifier
import Flow

extension SwitchModel {
    /// Applies flow mods in their order, all of them or none.
    @discardableResult
    public func apply(_ batch: FlowModBatch, to bridge: String, now: UInt64) throws(BatchError) -> FlowChange {
        let number = try number(of: bridge)
        return try runPlan(on: number, now: now) { (plan: inout FlowPlan) throws(BatchError) in
            for (index, mod) in batch.mods.enumerated() {
                do throws(StateError) { try plan.run(mod) } catch { throw BatchError(index: index, error: error) }
            }
        }
    }

    /// Applies one flow mod.
    @discardableResult
    public func apply(_ mod: FlowMod, to bridge: String, now: UInt64) throws(StateError) -> FlowChange {
        do throws(BatchError) { return try apply(FlowModBatch([mod]), to: bridge, now: now) } catch {
            throw error.error
        }
    }

    /// Makes the bridge's flows those of the batch, which may only add: flows that are the same already stay as they are,
    /// with their counters and durations; the others are deleted, and only then the new ones added. A
    /// later flow of the batch stands for an earlier one with the same table, priority and match.
    @discardableResult
    public func replaceFlows(_ batch: FlowModBatch, of bridge: String, now: UInt64) throws(BatchError) -> FlowChange {
        for (index, mod) in batch.mods.enumerated() where mod.command != .add {
            throw BatchError(index: index, error: StateError(.invalid, "only flows to add can replace the others"))
        }
        let number = try number(of: bridge)
        return try runPlan(on: number, now: now) { (plan: inout FlowPlan) throws(BatchError) in
            try plan.replaceAll(batch)
        }
    }

    /// Most flows that one table of a bridge takes: a million unless set. Flows beyond it that are there stay.
    public func setFlowLimit(_ limit: Int, bridge: String, table: UInt8) throws(StateError) {
        let bridge = try self.bridge(bridge)
        guard table < 255 else { throw StateError(.badTable, "table 255 does not exist; tables are 0 to 254") }
        books[bridge.number].limits[Int(table)] = max(limit, 0)
    }

    private func number(of bridge: String) throws(BatchError) -> Int {
        do throws(StateError) { return try self.bridge(bridge).number } catch {
            throw BatchError(index: 0, error: error)
        }
    }

    /// Runs `body` against the copy behind. If it throws, nothing has happened.
    @discardableResult
    func runPlan<E: Error>(
        on number: Int, now: UInt64, _ body: (inout FlowPlan) throws(E) -> Void
    ) throws(E) -> FlowChange {
        var done: FlowPlan?
        let book = books[number]
        let released = counters.releasedCount
        try copies.change(
            first: { (state: SwitchState) throws(E) in
                guard number < state.bridges.count, let bridge = state.bridges[number] else { return }
                var plan = FlowPlan(bridge: bridge, book: book, counters: counters, now: now)
                do throws(E) { try body(&plan) } catch {
                    plan.rollBack()
                    throw error
                }
                done = plan
            },
            between: { if let done { changes.touch(done.dependencies) } },
            again: { state in
                guard number < state.bridges.count, let bridge = state.bridges[number] else { return }
                done?.repeatSteps(on: bridge)
            })
        counters.reclaim(released)
        done?.settleCounters()
        return done?.change ?? FlowChange()
    }
}

extension FlowPlan {
    mutating func replaceAll(_ batch: FlowModBatch) throws(BatchError) {
        struct Identity: Hashable {
            let table: UInt8
            let priority: UInt16
            let match: PackedMatch
        }
        var wanted: [Identity: Int] = [:]
        wanted.reserveCapacity(batch.mods.count)
        for (index, mod) in batch.mods.enumerated() {
            wanted[Identity(table: mod.table ?? 0, priority: mod.priority, match: mod.packed)] = index
        }
        var unchanged: Set<Int> = []
        for place in allPlaces() {
            guard let rule = bridge.slab.rule(at: place), !rule.flags.contains(.hidden) else { continue }
            let identity = Identity(table: rule.table, priority: rule.priority, match: rule.packed)
            guard let index = wanted[identity] else {
                remove(rule, at: place)
                continue
            }
            if batch.mods[index].isSame(as: rule) {
                unchanged.insert(index)
                leaveUnchanged()
            }
        }
        for (index, mod) in batch.mods.enumerated() where !unchanged.contains(index) {
            guard wanted[Identity(table: mod.table ?? 0, priority: mod.priority, match: mod.packed)] == index else {
                continue
            }
            do throws(StateError) { try run(mod) } catch { throw BatchError(index: index, error: error) }
        }
    }

    private func allPlaces() -> [UInt32] {
        var places: [UInt32] = []
        for case let table? in bridge.tables { table.classifier.forEachRule { places.append($0) } }
        return places
    }
}

extension FlowMod {
    /// Whether adding this flow would leave the rule as it is.
    func isSame(as rule: Rule) -> Bool {
        (cookie ?? 0) == rule.cookie && idleTimeout == rule.idleTimeout && hardTimeout == rule.hardTimeout
            && importance == rule.importance && flags == rule.flags && actions == rule.actions
    }
}
