import Flow

extension FlowMod {
    /// The flow mod that a flow as written stands for. In OpenFlow 1.0 and 1.1, adding a flow always begins its counters
    /// anew; from 1.2 on only `reset_counts` does (ofp-flow.c of Open vSwitch).
    public init(_ spec: FlowSpec, version: OpenFlowVersion = .openFlow15) {
        let command: Command =
            switch spec.command {
            case .add: .add
            case .modify: .modify
            case .modifyStrict: .modifyStrict
            case .delete: .delete
            case .deleteStrict: .deleteStrict
            }
        self.init(
            command, table: spec.table, priority: spec.priority, match: spec.match, actions: spec.actions,
            cookie: spec.cookie)
        if spec.cookieMask != 0 { cookieMatch = CookieMatch(value: spec.cookieMatch, mask: spec.cookieMask) }
        idleTimeout = spec.idleTimeout
        hardTimeout = spec.hardTimeout
        importance = spec.importance
        flags = Rule.Flags(rawValue: spec.flags.rawValue)
        if command == .add, version < .openFlow12 { flags.insert(.resetCounts) }
        outPort = spec.outPort
        outGroup = spec.outGroup
    }
}

extension Rule {
    /// The flow as one would write it to add the rule.
    public var spec: FlowSpec {
        var spec = FlowSpec()
        spec.table = table
        spec.priority = priority
        spec.match = match
        spec.cookie = cookie
        spec.idleTimeout = idleTimeout
        spec.hardTimeout = hardTimeout
        spec.importance = importance
        spec.flags = FlowSpec.Flags(rawValue: flags.subtracting(.hidden).rawValue)
        spec.actions = actions
        return spec
    }
}
