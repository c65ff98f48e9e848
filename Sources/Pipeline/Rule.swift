import Base
import Flow

/// One flow of one table, as `add-flow` or `learn` made it. Immutable but for its counters, time stamps and timeouts that
/// `fin_timeout` lowered, which lie in its `Counters` slot; a modification makes a new rule that takes over the slot.
public final class Rule: Sendable {
    public let table: UInt8
    public let priority: UInt16
    let packed: PackedMatch
    public let cookie: UInt64
    public let actions: [Action]
    /// The actions, ready to be run.
    let code: ActionCode
    /// Seconds; 0 is never.
    public let idleTimeout: UInt16
    public let hardTimeout: UInt16
    public let importance: UInt16
    public let flags: Flags
    /// Packets, bytes, last use.
    public let counter: CounterHandle
    /// Milliseconds of the switch's clock; `duration` counts from here. A hard timeout counts from `modified`, which
    /// lives in the counter slot because `learn` renews it from the packet path.
    public let created: UInt64

    let traits: RuleTraits

    /// Unpacked on each call.
    public var match: Match { packed.unpacked }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let sendFlowRemoved = Flags(rawValue: 1)
        public static let checkOverlap = Flags(rawValue: 2)
        public static let resetCounts = Flags(rawValue: 4)
        public static let noPacketCounts = Flags(rawValue: 8)
        public static let noByteCounts = Flags(rawValue: 16)
        /// Made by the switch itself (fail-mode standalone); hidden from dumps and deletions.
        public static let hidden = Flags(rawValue: 32)
    }

    public init(
        table: UInt8, priority: UInt16, match: Match, cookie: UInt64, actions: [Action], idleTimeout: UInt16 = 0,
        hardTimeout: UInt16 = 0, importance: UInt16 = 0, flags: Flags = [], counter: CounterHandle, created: UInt64
    ) {
        self.table = table
        self.priority = priority
        packed = PackedMatch(match)
        self.cookie = cookie
        self.actions = actions
        code = ActionCode(actions)
        traits = RuleTraits(actions)
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.importance = importance
        self.flags = flags
        self.counter = counter
        self.created = created
    }

    /// The rule that `mod` adds.
    init(_ mod: FlowMod, table: UInt8, counter: CounterHandle, created: UInt64) {
        self.table = table
        priority = mod.priority
        packed = mod.packed
        cookie = mod.cookie ?? 0
        actions = mod.actions
        code = ActionCode(mod.actions)
        traits = RuleTraits(mod.actions)
        idleTimeout = mod.idleTimeout
        hardTimeout = mod.hardTimeout
        importance = mod.importance
        flags = mod.flags
        self.counter = counter
        self.created = created
    }

    /// The rule that takes the place, and the counter, of `old` when `mod` adds it anew or modifies it. A modified rule
    /// keeps everything but its actions and, if `mod` has one, its cookie.
    init(replacing old: Rule, with mod: FlowMod, created: UInt64) {
        let isAdded = mod.command == .add
        table = old.table
        priority = old.priority
        packed = old.packed
        cookie = (isAdded || mod.changesCookie ? mod.cookie : nil) ?? (isAdded ? 0 : old.cookie)
        actions = mod.actions
        code = ActionCode(mod.actions)
        traits = RuleTraits(mod.actions)
        idleTimeout = isAdded ? mod.idleTimeout : old.idleTimeout
        hardTimeout = isAdded ? mod.hardTimeout : old.hardTimeout
        importance = isAdded ? mod.importance : old.importance
        flags = isAdded ? mod.flags : old.flags
        counter = old.counter
        self.created = isAdded ? created : old.created
    }
}
