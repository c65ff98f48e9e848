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
        adapt(to: version)
    }

    /// What the OpenFlow version makes of a modification or deletion (ofp-flow.c of Open vSwitch). In 1.0, a modification
    /// that names no cookie at all sets it to 0, and no table is every table. From 1.1 on, no table is table 0 for
    /// modifications (in 1.1 itself for deletions, too), and cookies of flows that are there stay. From 1.2 on
    /// modifications do not add.
    private mutating func adapt(to version: OpenFlowVersion) {
        guard command != .add else { return }
        let isDeletion = command == .delete || command == .deleteStrict
        if version >= .openFlow11, table == nil, !isDeletion || version == .openFlow11 { table = 0 }
        guard !isDeletion else { return }
        if version == .openFlow10, cookieMatch == nil { cookie = cookie ?? 0 }
        changesCookie = version == .openFlow10
        mayAdd = version < .openFlow12
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
