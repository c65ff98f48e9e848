import Base
import Memory

/// What goes wrong on a line, in frames out of a million. Seeded: the same plan over the same frames gives the same
/// faults.
public struct FaultPlan: Equatable, Sendable {
    public var seed: UInt64
    public var drop: UInt32 = 0
    public var duplicate: UInt32 = 0
    /// One bit flips.
    public var corrupt: UInt32 = 0
    /// The end is cut off, down to nothing at all.
    public var truncate: UInt32 = 0
    /// A frame changes places with the one before it in the burst.
    public var reorder: UInt32 = 0

    public init(seed: UInt64) { self.seed = seed }
}

/// How often it went wrong.
public struct FaultCounts: Equatable, Sendable {
    public var dropped = 0
    public var duplicated = 0
    public var corrupted = 0
    public var truncated = 0
    public var reordered = 0

    public init() {}
}

/// The dice, and the damage to a single frame.
struct FaultInjector {
    let plan: FaultPlan
    private(set) var counts = FaultCounts()
    private var random: SplitMix64

    init(_ plan: FaultPlan) {
        self.plan = plan
        random = SplitMix64(seed: plan.seed)
    }

    private mutating func happens(_ chance: UInt32, _ count: WritableKeyPath<FaultCounts, Int>) -> Bool {
        guard chance > 0, random.next() % 1_000_000 < UInt64(chance) else { return false }
        counts[keyPath: count] += 1
        return true
    }

    mutating func drops() -> Bool { happens(plan.drop, \.dropped) }
    mutating func duplicates() -> Bool { happens(plan.duplicate, \.duplicated) }
    mutating func reorders() -> Bool { happens(plan.reorder, \.reordered) }

    /// Damages the frame in place.
    mutating func damage(_ packet: Packet) {
        let length = UInt64(packet.pointee.length)
        if length > 0, happens(plan.corrupt, \.corrupted) {
            let bit = random.next() % (length &* 8)
            let at = Int(bit / 8)
            let byte = packet.pointee.data.load(fromByteOffset: at, as: UInt8.self)
            packet.pointee.data.storeBytes(of: byte ^ 1 << UInt8(bit % 8), toByteOffset: at, as: UInt8.self)
        }
        if length > 0, happens(plan.truncate, \.truncated) {
            packet.pointee.length = UInt32(truncatingIfNeeded: random.next() % length)
            packet.pointee.offload = PacketHeader.Offload()
        }
    }

    /// Whether a frame would be changed at all; without damage planned nothing needs to be copied.
    var damages: Bool { plan.corrupt > 0 || plan.truncate > 0 }
}
