import Base

/// A flow as written: what `add-flow`, `mod-flows`, `del-flows` and `dump-flows` take.
public struct FlowSpec: Sendable {
    public enum Command: Sendable { case add, modify, modifyStrict, delete, deleteStrict }

    public struct Flags: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let sendFlowRemoved = Flags(rawValue: 1)
        public static let checkOverlap = Flags(rawValue: 2)
        public static let resetCounts = Flags(rawValue: 4)
        public static let noPacketCounts = Flags(rawValue: 8)
        public static let noByteCounts = Flags(rawValue: 16)
    }

    public static var defaultPriority: UInt16 { 0x8000 }

    public var command: Command = .add
    /// nil if none was written: table 0 for additions, all tables otherwise.
    public var table: UInt8?
    public var priority: UInt16 = FlowSpec.defaultPriority
    public var match = Match()
    /// The cookie to set; nil leaves that of a modified flow alone.
    public var cookie: UInt64?
    /// Only flows whose cookie agrees with this value in these bits are meant; a mask of 0 means all.
    public var cookieMatch: UInt64 = 0
    public var cookieMask: UInt64 = 0
    /// Seconds; 0 is never.
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var importance: UInt16 = 0
    public var flags: Flags = []
    /// Only flows that output to this port or group are meant.
    public var outPort: PortNumber?
    public var outGroup: UInt32?
    public var actions: [Action] = []

    public init() {}
}
