import Conntrack
import Memory

/// What one packet met on its way through connection tracking and back: which megaflows answered, which connections it
/// belonged to, and under which guards. Written down while the packet takes the ordinary way, so that a session can be made
/// of it. A trace belongs to the packet whose header has its number, from its first program until its last.
public struct PacketTrace {
    /// Programs that one packet can run: the first, and one each time that it comes back.
    @inlinable public static var maximumStages: Int { Int(RecirculationQueue.maximumDepth) + 1 }
    @inlinable public static var maximumTracks: Int { 7 }

    /// A program that the packet ran, by the megaflow that named it.
    public struct Stage {
        public var flow: UInt32 = 0
        /// Bytes of frame before the program.
        public var length: UInt32 = 0
        public var serial: UInt64 = 0
        @inlinable public init() {}
    }

    /// A `track` op that it went through.
    public struct Track {
        public var guardWord: UInt64 = 0
        /// Bytes of frame at that op.
        public var length: UInt32 = 0
        public var passage = SessionTrack()
        public init() {}
    }

    /// Words 0 to 9 of the key as received.
    public var key: InlineArray<10, UInt64> = InlineArray(repeating: 0)
    /// Words 10 to 16 had something.
    public var hasFurtherWords = false
    /// Something happened that cannot be repeated.
    public var isVoid = false
    public var stageCount = 0
    public var trackCount = 0
    public var stages: InlineArray<8, Stage> = InlineArray(repeating: Stage())
    public var tracks: InlineArray<8, Track> = InlineArray(repeating: Track())

    public init() {}

    /// A `track` op has left its findings in the packet.
    mutating func note(_ packet: Packet) {
        guard packet.pointee.guardWord != 0, trackCount < Self.maximumTracks else {
            isVoid = true
            return
        }
        tracks[trackCount].guardWord = packet.pointee.guardWord
        tracks[trackCount].length = packet.pointee.length
        tracks[trackCount].passage = SessionTrack(packet.pointee)
        trackCount += 1
    }
}

/// The traces of one burst. Number 0 is none.
public struct PacketTraces: ~Copyable {
    @usableFromInline let traces: UnsafeMutablePointer<PacketTrace>
    @usableFromInline let capacity: Int
    @usableFromInline var used = 0

    public init(capacity: Int) {
        traces = .allocate(capacity: capacity + 1)
        traces.initialize(repeating: PacketTrace(), count: capacity + 1)
        self.capacity = capacity
    }

    deinit { traces.deallocate() }

    @inlinable public func trace(_ number: UInt16) -> UnsafeMutablePointer<PacketTrace> { traces + Int(number) }

    /// The number of an empty trace; 0 if all are in use.
    public mutating func begin() -> UInt16 {
        guard used < capacity else { return 0 }
        used += 1
        traces[used].isVoid = false
        traces[used].hasFurtherWords = false
        traces[used].stageCount = 0
        traces[used].trackCount = 0
        return UInt16(truncatingIfNeeded: used)
    }

    /// No packet has a trace any more.
    @inlinable public mutating func removeAll() { used = 0 }
}
