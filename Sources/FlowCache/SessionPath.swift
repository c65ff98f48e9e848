import Actions
import Conntrack

/// The way that packets of many sessions take: the megaflows that answered one after the other, the passages of connection
/// tracking between them, and the one program that all of it comes to. What differs between sessions of one path is the
/// five-tuple and the connections. `SessionWay` reads the first fields where packets need them.
struct SessionPath {
    // What keys of its sessions have in common: words 0, 1, 2 and 5 under masks, by value. A line of its own, the first one.
    var mask0: UInt64 = 0
    var value0: UInt64 = 0
    var mask1: UInt64 = 0
    var value1: UInt64 = 0
    var mask2: UInt64 = 0
    var value2: UInt64 = 0
    var mask5: UInt64 = 0
    var value5: UInt64 = 0
    // What a hit reads and writes besides: the second line.
    /// `SessionCache.validity` at which all its megaflows were known to hold; 0 for one that is gone for good.
    var validity: UInt64 = 0
    /// Since they were last credited.
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    /// Milliseconds, of the last packet.
    var used: UInt64 = 0
    var program: UnsafeMutablePointer<UInt64>?
    var programCount: UInt32 = 0
    /// Port, if the program is just `edit` and `output`; else 0.
    var soleOutput: UInt32 = 0
    var trackCount: UInt8 = 0
    var stageCount: UInt8 = 0
    var isTCP = false
    var isIPv6 = false
    /// Its packets' tuples are needed: for translations, and for TCP.
    var needsTuples = false
    /// Raw value of a `DropReason`, 0xff if there is none.
    var dropReason: UInt8 = 0xff
    var unused: UInt16 = 0
    var edit = SessionEdit()
    var unused2: UInt64 = 0
    var tracks: InlineArray<8, SessionTrack> = InlineArray(repeating: SessionTrack())
    // What only making, crediting and leaving a path looks at.
    var stages: InlineArray<8, Stage> = InlineArray(repeating: Stage())
    var places: InlineArray<8, Place> = InlineArray(repeating: Place())
    var references: UInt32 = 0
    /// The next path in the hash chain, or of the free list.
    var next: UInt32 = 0
    var hash: UInt32 = 0
    /// What all its sessions have been credited for.
    var creditedPackets: UInt64 = 0
    var creditedBytes: UInt64 = 0

    /// `SessionWay` reads these where they lie.
    static func checkLayout() {
        let fields: [(PartialKeyPath<SessionPath>, Int)] = [
            (\.mask0, 0), (\.value0, 8), (\.mask1, 16), (\.value1, 24), (\.mask2, 32), (\.value2, 40), (\.mask5, 48),
            (\.value5, 56), (\.validity, 64), (\.packets, 72), (\.bytes, 80), (\.used, 88), (\.program, 96),
            (\.programCount, 104), (\.soleOutput, 108), (\.trackCount, 112), (\.isTCP, 114), (\.isIPv6, 115),
            (\.needsTuples, 116), (\.dropReason, 117), (\.edit, 120), (\.tracks, 144),
        ]
        for (field, offset) in fields { precondition(MemoryLayout<SessionPath>.offset(of: field) == offset) }
        precondition(MemoryLayout<SessionPath>.size <= SessionTable.pathStride)
    }

    static var nextOffset: Int { MemoryLayout<SessionPath>.offset(of: \.next) ?? 0 }

    /// A megaflow, and the block that it named: kept so that packets can be credited also when the megaflow has gone.
    struct Stage {
        var block: UnsafeMutablePointer<UInt64>?
        var serial: UInt64 = 0
        var flow: UInt32 = 0
        /// How much longer frames are in this stage than when they came in.
        var growth: Int32 = 0
    }

    /// Where a passage of connection tracking stands: in the path's program, and in that of its stage.
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

    /// Whether another path, being made, is this one.
    func equals(_ other: SessionPath) -> Bool {
        guard mask0 == other.mask0, value0 == other.value0, mask1 == other.mask1, value1 == other.value1,
            mask2 == other.mask2, value2 == other.value2, mask5 == other.mask5, value5 == other.value5,
            trackCount == other.trackCount, stageCount == other.stageCount, isTCP == other.isTCP,
            isIPv6 == other.isIPv6
        else { return false }
        for i in 0..<Int(stageCount) {
            guard stages[i].flow == other.stages[i].flow, stages[i].serial == other.stages[i].serial else {
                return false
            }
            guard stages[i].growth == other.stages[i].growth else { return false }
        }
        for i in 0..<Int(trackCount) {
            guard tracks[i] == other.tracks[i], places[i].growth == other.places[i].growth else { return false }
        }
        return true
    }
}
