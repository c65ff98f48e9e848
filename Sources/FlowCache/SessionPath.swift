import Actions
import Conntrack

/// The way that packets of many sessions take: the megaflows that answered one after the other, and where the passages of
/// connection tracking stand between them. What packets do there is its `SessionShape`; how many they were, its `PathCount`.
/// What differs between sessions of one path is the five-tuple and the connections.
struct SessionPath {
    /// Number of the shape; 0 for a path that is not in use.
    var shape: UInt32 = 0
    var stageCount: UInt8 = 0
    var trackCount: UInt8 = 0
    var stages: InlineArray<8, Stage> = InlineArray(repeating: Stage())
    var places: InlineArray<8, Place> = InlineArray(repeating: Place())
    /// Sessions.
    var references: UInt32 = 0
    /// The next path in the hash chain, or of the free list.
    var next: UInt32 = 0
    var hash: UInt32 = 0
    /// What all its sessions have been credited for.
    var creditedPackets: UInt64 = 0
    var creditedBytes: UInt64 = 0

    static func checkLayout() { precondition(MemoryLayout<SessionPath>.size <= SessionTable.pathStride) }

    static var nextOffset: Int { MemoryLayout<SessionPath>.offset(of: \.next) ?? 0 }

    /// A megaflow, and the block that it named: kept so that packets can be credited also when the megaflow has gone.
    struct Stage {
        var block: UnsafeMutablePointer<UInt64>?
        var serial: UInt64 = 0
        var flow: UInt32 = 0
        /// How much longer frames are in this stage than when they came in.
        var growth: Int32 = 0
    }

    /// Where a passage of connection tracking stands: in the shape's program, and in that of its stage.
    struct Place {
        var stage: UInt16 = 0
        var inProgram: UInt16 = 0
        var inStage: UInt16 = 0
        /// How much longer frames are there than when they came in.
        var growth: Int16 = 0
        /// What the passage before found out has been forgotten on the way here.
        var isCleared = false
    }

    init() {}

    /// Whether another path goes through the same megaflows.
    func passesLike(_ other: SessionPath) -> Bool {
        guard stageCount == other.stageCount, trackCount == other.trackCount else { return false }
        for i in 0..<Int(stageCount) {
            guard stages[i].flow == other.stages[i].flow, stages[i].serial == other.stages[i].serial else {
                return false
            }
            guard stages[i].growth == other.stages[i].growth else { return false }
        }
        return (0..<Int(trackCount)).allSatisfy { places[$0].growth == other.places[$0].growth }
    }
}

/// Whether a path holds, and what its packets were since they were last credited: half a line, since of thousands of paths in
/// use each is in no cache.
@usableFromInline
struct PathCount {
    /// `SessionCache.validity` at which all its megaflows were known to hold; 0 for one that is gone for good.
    @usableFromInline var validity: UInt64 = 0
    @usableFromInline var packets: UInt64 = 0
    @usableFromInline var bytes: UInt64 = 0
    /// Milliseconds, of the last packet.
    @usableFromInline var used: UInt64 = 0
}
