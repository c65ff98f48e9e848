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
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.importance = importance
        self.flags = flags
        self.counter = counter
        self.created = created
    }

    /// The rule that replaces `old` at the same match, table and priority.
    init(
        replacing old: Rule, cookie: UInt64, actions: [Action], idleTimeout: UInt16, hardTimeout: UInt16,
        importance: UInt16, flags: Flags, created: UInt64
    ) {
        table = old.table
        priority = old.priority
        packed = old.packed
        self.cookie = cookie
        self.actions = actions
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.importance = importance
        self.flags = flags
        counter = old.counter
        self.created = created
    }
}
