import Base
import Flow

extension SwitchModel {
    /// Applies group mods in their order, all of them or none.
    @discardableResult
    public func apply(_ mods: [GroupMod], to bridge: String, now: UInt64) throws(BatchError) -> FlowChange {
        let number: Int
        do throws(StateError) { number = try self.bridge(bridge).number } catch {
            throw BatchError(index: 0, error: error)
        }
        return try runPlan(on: number, now: now) { (plan: inout FlowPlan) throws(BatchError) in
            for (index, mod) in mods.enumerated() {
                do throws(StateError) { try plan.run(mod) } catch { throw BatchError(index: index, error: error) }
            }
        }
    }

    /// Applies one group mod.
    @discardableResult
    public func apply(_ mod: GroupMod, to bridge: String, now: UInt64) throws(StateError) -> FlowChange {
        do throws(BatchError) { return try apply([mod], to: bridge, now: now) } catch { throw error.error }
    }

    /// Number of flows that refer to a group.
    public func references(toGroup id: UInt32, bridge: String) -> Int {
        guard let number = state.bridge(named: bridge)?.number else { return 0 }
        return books[number].groupUsers[id]?.count ?? 0
    }

    /// One line for each group (or the one that is asked for), as `ovs-ofctl dump-groups` prints it, without the leading space.
    public func dumpGroups(of bridge: String, id: UInt32? = nil, context: FlowContext = FlowContext())
        throws(StateError) -> [String]
    {
        let printer = GroupPrinter(context)
        return try groups(of: bridge, id).map { printer.text($0.spec) }
    }

    /// One line for each group, as `ovs-ofctl dump-group-stats` prints it.
    public func dumpGroupStatistics(of bridge: String, id: UInt32? = nil, now: UInt64) throws(StateError) -> [String] {
        try groups(of: bridge, id).map { group in
            let value = counters.value(group.counter)
            var text = "group_id=\(group.id)"
            text += ",duration=\(DurationText.text(milliseconds: now &- min(group.created, now)))"
            text += ",ref_count=\(references(toGroup: group.id, bridge: bridge))"
            text += ",packet_count=\(value.packets),byte_count=\(value.bytes)"
            for (number, bucket) in group.buckets.enumerated() {
                let value = counters.value(bucket.counter)
                text += ",bucket\(number):packet_count=\(value.packets),byte_count=\(value.bytes)"
            }
            return text
        }
    }

    private func groups(of bridge: String, _ id: UInt32?) throws(StateError) -> [Group] {
        let groups = try self.bridge(bridge).groups
        if let id { return groups[id].map { [$0] } ?? [] }
        return groups.values.sorted { $0.id < $1.id }
    }
}
