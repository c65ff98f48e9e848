import Conntrack

/// What packets look at of the way that they take: how their keys are compared, the passages of connection tracking, and the
/// program that all of the way comes to. Paths through other megaflows may come to the same, as those of thousands of services
/// do; they share it, so that it stays in the nearest cache. `SessionWay` reads the fields where they lie.
struct SessionShape {
    // What keys have in common: words 0, 1, 2 and 5 under masks, by value. A line of its own, the first one.
    var mask0: UInt64 = 0
    var value0: UInt64 = 0
    var mask1: UInt64 = 0
    var value1: UInt64 = 0
    var mask2: UInt64 = 0
    var value2: UInt64 = 0
    var mask5: UInt64 = 0
    var value5: UInt64 = 0
    // What a hit reads besides: the second line.
    var program: UnsafeMutablePointer<UInt64>?
    var programCount: UInt32 = 0
    /// Port, if the program is just `edit` and `output`; else 0.
    var soleOutput: UInt32 = 0
    var edit = SessionEdit()
    var trackCount: UInt8 = 0
    /// Bit i: passage i meets its connection for the first time, so that it is checked and renewed there.
    var meetings: UInt8 = 0
    var isTCP = false
    var isIPv6 = false
    /// What its packets look at of their connections.
    var needs: ConnectionLines = []
    /// Raw value of a `DropReason`, 0xff if there is none.
    var dropReason: UInt8 = 0xff
    var tracks: InlineArray<8, SessionTrack> = InlineArray(repeating: SessionTrack())
    // What only making and leaving a path looks at.
    var references: UInt32 = 0
    /// The next shape in the hash chain, or of the free list.
    var next: UInt32 = 0
    var hash: UInt32 = 0

    init() {}

    /// `SessionWay` reads these where they lie.
    static func checkLayout() {
        let fields: [(PartialKeyPath<SessionShape>, Int)] = [
            (\.mask0, 0), (\.value0, 8), (\.mask1, 16), (\.value1, 24), (\.mask2, 32), (\.value2, 40), (\.mask5, 48),
            (\.value5, 56), (\.program, 64), (\.programCount, 72), (\.soleOutput, 76), (\.edit, 80), (\.trackCount, 96),
            (\.meetings, 97), (\.isTCP, 98), (\.isIPv6, 99), (\.needs, 100), (\.dropReason, 101), (\.tracks, 102),
        ]
        for (field, offset) in fields { precondition(MemoryLayout<SessionShape>.offset(of: field) == offset) }
        precondition(MemoryLayout<SessionShape>.size <= SessionTable.shapeStride)
    }

    static var nextOffset: Int { MemoryLayout<SessionShape>.offset(of: \.next) ?? 0 }

    /// Whether packets of another way are told apart and tracked like those of this one.
    func comparesLike(_ other: SessionShape) -> Bool {
        guard mask0 == other.mask0, value0 == other.value0, mask1 == other.mask1, value1 == other.value1,
            mask2 == other.mask2, value2 == other.value2, mask5 == other.mask5, value5 == other.value5,
            trackCount == other.trackCount, isTCP == other.isTCP, isIPv6 == other.isIPv6
        else { return false }
        return (0..<Int(trackCount)).allSatisfy { tracks[$0] == other.tracks[$0] }
    }

    /// Whether nothing tells them apart.
    func equals(_ other: SessionShape) -> Bool {
        guard comparesLike(other), programCount == other.programCount, dropReason == other.dropReason else {
            return false
        }
        return UnsafeBufferPointer(start: program, count: Int(programCount)).elementsEqual(
            UnsafeBufferPointer(start: other.program, count: Int(other.programCount)))
    }
}
