import Base
import Flow

/// One request to change rules, as OpenFlow's flow mod has it (OpenFlow 1.5.1, 7.3.4.2) and as ovs-ofctl's commands send it.
public struct FlowMod: Sendable {
    public enum Command: Sendable {
        case add
        /// All rules at least as specific as the match, whatever their priority.
        case modify
        /// The rule with this very match and priority.
        case modifyStrict
        case delete
        case deleteStrict
    }

    public struct CookieMatch: Hashable, Sendable {
        public var value: UInt64
        public var mask: UInt64

        public init(value: UInt64, mask: UInt64 = ~0) {
            self.value = value
            self.mask = mask
        }

        func matches(_ cookie: UInt64) -> Bool { (cookie ^ value) & mask == 0 }
    }

    public var command: Command
    /// nil is every table; for `add`, table 0.
    public var table: UInt8?
    public var priority: UInt16
    let packed: PackedMatch
    public var actions: [Action]
    /// nil: 0 for a new rule, unchanged for a modified one.
    public var cookie: UInt64?
    /// Only rules with such a cookie are modified or deleted. A `modify` with it adds nothing.
    public var cookieMatch: CookieMatch?
    /// Seconds.
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var importance: UInt16 = 0
    public var flags: Rule.Flags = []
    /// Only rules that send to this port or group are deleted.
    public var outPort: PortNumber?
    public var outGroup: UInt32?
    /// A modification that finds nothing adds the flow, unless it asked for a cookie.
    public var mayAdd = true
    /// A modification gives its cookie to flows that are there, not only to one that it adds.
    public var changesCookie = true

    public var match: Match { packed.unpacked }

    public init(
        _ command: Command, table: UInt8? = nil, priority: UInt16 = 32768, match: Match = Match(),
        actions: [Action] = [],
        cookie: UInt64? = nil
    ) {
        self.command = command
        self.table = table
        self.priority = priority
        packed = PackedMatch(match)
        self.actions = actions
        self.cookie = cookie
    }
}

/// Flow mods that are applied together: in their order, and all of them or none.
public struct FlowModBatch: Sendable {
    public var mods: [FlowMod] = []

    public init(_ mods: [FlowMod] = []) { self.mods = mods }

    public mutating func append(_ mod: FlowMod) { mods.append(mod) }
}

/// What a batch did.
public struct FlowChange: Sendable, Equatable {
    public var added = 0
    public var modified = 0
    /// Rules deleted by themselves or along with a group or a rule that had learned them.
    public var deleted = 0
    /// `replace-flows` left them alone.
    public var unchanged = 0
    public init() {}
}
