import Base
import Flow
import Pipeline

/// One megaflow, in one cache line: what a hit reads and writes.
@usableFromInline
struct Megaflow {
    @usableFromInline var packets: UInt64 = 0
    @usableFromInline var bytes: UInt64 = 0
    /// Milliseconds of the switch's clock.
    @usableFromInline var used: UInt64 = 0
    /// Number of this use of the record; 0 while the record is free. Entries of the exact cache keep it to notice that
    /// the record is another megaflow by now.
    @usableFromInline var serial: UInt64 = 0
    @usableFromInline var block: UnsafeMutablePointer<UInt64>?
    /// Configuration for which it is known to hold.
    @usableFromInline var generation: UInt64 = 0
    @usableFromInline var tuple: UInt32 = 0
    /// Slot in the tuple's table.
    @usableFromInline var slot: UInt32 = 0
    @usableFromInline var hash: UInt32 = 0
    @usableFromInline var unused: UInt32 = 0

    @usableFromInline init() {}
}

/// The part of a megaflow that only upkeep looks at.
struct MegaflowAccount {
    /// How much of `packets` and `bytes` has been credited to the rules.
    var creditedPackets: UInt64 = 0
    var creditedBytes: UInt64 = 0
    var created: UInt64 = 0
    var nextFree: UInt32 = 0
    /// Paths of sessions that go through it: it stays while there are any, since they count for it.
    var paths: UInt32 = 0
}

/// A megaflow under inspection, for `dp/dump-flows`.
public struct MegaflowDescription: Sendable {
    public var key: FlowKey
    public var mask: FlowMask
    public var program: [UInt64]
    public var dropReason: DropReason?
    public var packets: UInt64
    public var bytes: UInt64
    /// Milliseconds; 0 is never.
    public var used: UInt64
    public var created: UInt64
    public var isCurrent: Bool
    public var worker = 0
}
