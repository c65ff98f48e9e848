import Flow

// Timeout policies of connection tracking. Rules hold the numbers of those they name, so one that is named cannot go.

extension SwitchModel {
    /// Numbers of the policies that rules and groups name, and one of the bridges where each is named.
    public func timeoutPoliciesInUse() -> [UInt8: String] {
        var used: [UInt8: String] = [:]
        for case let bridge? in state.bridges {
            func add(_ actions: [Action]) {
                for number in actions.timeoutPolicies { used[number] = bridge.name }
            }
            for case let table? in bridge.tables {
                for (_, rule) in table.looseMatches(FlowMod(.delete).match) { add(rule.actions) }
            }
            for group in bridge.groups.values { for bucket in group.buckets { add(bucket.actions) } }
        }
        return used
    }
}
