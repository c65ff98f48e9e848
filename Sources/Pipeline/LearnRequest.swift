import Flow

/// A rule that a `learn` action asks for: to add, or to renew if it stands already with the same match and priority.
public struct LearnRequest: Sendable, Equatable {
    /// Bridge number.
    public var bridge: Int
    public var table: UInt8
    public var priority: UInt16
    public var match: Match
    public var cookie: UInt64
    public var actions: [Action]
    /// Seconds.
    public var idleTimeout: UInt16
    public var hardTimeout: UInt16
    public var sendFlowRemoved: Bool
    /// Most rules with this cookie in the table; 0 is no limit.
    public var limit: UInt32

    public init(
        bridge: Int, table: UInt8, priority: UInt16, match: Match, cookie: UInt64, actions: [Action],
        idleTimeout: UInt16 = 0, hardTimeout: UInt16 = 0, sendFlowRemoved: Bool = false, limit: UInt32 = 0
    ) {
        self.bridge = bridge
        self.table = table
        self.priority = priority
        self.match = match
        self.cookie = cookie
        self.actions = actions
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.sendFlowRemoved = sendFlowRemoved
        self.limit = limit
    }

    private var flags: Rule.Flags { sendFlowRemoved ? .sendFlowRemoved : [] }

    var mod: FlowMod {
        var mod = FlowMod(
            .modifyStrict, table: table, priority: priority, match: match, actions: actions, cookie: cookie)
        mod.idleTimeout = idleTimeout
        mod.hardTimeout = hardTimeout
        mod.flags = flags
        return mod
    }

    /// Whether the rule, found by match and priority, is as asked in all else.
    func isSame(as rule: Rule) -> Bool {
        cookie == rule.cookie && idleTimeout == rule.idleTimeout && hardTimeout == rule.hardTimeout
            && rule.importance == 0 && flags == rule.flags && actions == rule.actions
    }
}
