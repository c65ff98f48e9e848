import Actions
import Base
import CLinux
import Conntrack
import Flow
import Memory
import Pipeline

// Sessions
// ========
//
// A packet that rules send through connection tracking comes back to the tables once for each `ct(table=...)`: under OVN two
// to six times. A session remembers all of it. Its key is the five-tuple of the packet as received; its value is the trace of
// an earlier packet, in which everything is either a function of the key, or of the connections that the packet met:
//
//     key as received ─▶ megaflow ─▶ program ─▶ ct: connection A ─▶ megaflow ─▶ program ─▶ ct: connection B ─▶ ...
//
// For each `ct` it has a *guard*: slot, generation and revision of the connection. The revision of a connection rises with
// every change that a rule could see. So while all guards hold, `ct` would find the same state, mark and label, the lookups
// behind it would be the same lookups, and so on to the output. A packet whose key is equal and whose guards hold is done
// after one probe of a hash table, one look at each connection, and one straight program.
//
// **What is compared.** Addresses, ports and protocol exactly; of ingress port, MAC addresses, tags, TOS, TTL and TCP flags
// the bits that any of the trace's megaflows looks at. A field that a program has set before a lookup is compared
// nevertheless: narrower than necessary, hence right. Frames with MPLS labels or fragments, and whatever is not TCP or UDP,
// have no sessions.
//
// **Paths.** What sessions of one policy have in common is shared by all connections that go that way: their megaflows are a
// `SessionPath`, and what comes of them (masks, passages, program) is a `SessionShape`, which many paths may share in turn. A
// session itself is one cache line:
//
//     word 0   word 3 of the key (IPv4 addresses; of IPv6 a hash of them)
//     word 1   word 4 of the key (protocol, ports)
//     word 2   path 16 | shape 16 | milliseconds of the last packet 32
//     word 3   packets 20 | bytes 44, since they were last credited
//     word 4-7 guards; of up to two, what the packet is translated to behind them
//
// So a packet reads a line of the index, its session, half a line that counts for its path, and of each connection one line, of
// TCP two. An IPv6 session has its addresses in a second record, and one of more than four guards has those there. Where a
// packet is translated otherwise than by one IPv4 connection of two, the tuples are read.
//
// **Staying right.** A path is valid while each of its megaflows is, which is looked at when the configuration has changed or
// a megaflow of a path has been deleted (`validity`). A megaflow that has to be translated again makes the path wait, not die.
//
// **Counting.** A session counts packets and bytes for its connections, a path for its megaflows, and through them for rules,
// groups and stations. Both are credited by upkeep, before anybody is told (`settle`), and before they go.
//
// **Leaving.** A packet whose guards do not hold takes the ordinary way from its beginning; nothing has been done to it, and
// nothing to a connection that it will not do again. Only
// TCP can refuse a packet in the second of two zones after the first has taken it: then it is made what the ordinary way
// would have made of it up to there.
//
// **Crowds.** Sessions are made for packets that will come again: of connections that were answered, or at least go on. So a
// flood of new connections makes none. When there is no room, one of a sample goes that is of no use any more; if all are in
// use, fifteen of sixteen newcomers stay out.
//
// All of it belongs to one worker.
//
// Methods that packets call are mutating, also where they change nothing: to one that is not, the compiler would pass a copy.

/// What the sessions of one worker did.
public struct SessionStatistics: Sendable {
    public var hits: UInt64 = 0
    /// Found, but a guard did not hold, or TCP refused the packet.
    public var refused: UInt64 = 0
    public var made: UInt64 = 0
    /// Traces of which no session could be made.
    public var unfit: UInt64 = 0
    public var evicted: UInt64 = 0

    public init() {}
}

/// Where a cache keeps its megaflows.
public struct MegaflowRecords {
    let records: UnsafeMutablePointer<Megaflow>
}

extension FlowCache {
    public var megaflowRecords: MegaflowRecords { MegaflowRecords(records: records) }
}

public struct SessionCache: ~Copyable {
    public let limit: Int
    public var statistics = SessionStatistics()
    /// Whether sessions are used at all: `--cache all`.
    public let isEnabled: Bool
    /// Number of the session of each packet of a burst, 0 if it has none.
    public let found: UnsafeMutablePointer<UInt32>
    @usableFromInline let tags: UnsafeMutablePointer<UInt32>

    var index: SessionIndex
    public let table: SessionTable
    private let recordMemory: LineMemory
    private let furtherMemory: LineMemory
    private let pathMemory: LineMemory
    private let shapeMemory: LineMemory
    private let countMemory: LineMemory
    let pathBuckets: UnsafeMutablePointer<UInt32>
    let shapeBuckets: UnsafeMutablePointer<UInt32>

    @usableFromInline var count = 0
    var top: UInt32 = 1
    var firstFree: UInt32 = 0
    var pathTop: UInt32 = 1
    var firstFreePath: UInt32 = 0
    var pathCount = 0
    var shapeTop: UInt32 = 1
    var firstFreeShape: UInt32 = 0
    var shapeCount = 0
    var sweepAt: UInt32 = 1
    var sweepPathAt: UInt32 = 1
    var random = SplitMix64(seed: 1)
    /// Rises when a session or path goes: numbers found before may mean another one now.
    public internal(set) var changes: UInt64 = 0
    /// Milliseconds, at the last burst or sweep.
    var lastNow: UInt64 = 0

    /// Rises when something happened for which paths have to be looked at again.
    @usableFromInline var validity: UInt64 = 1
    var knownGeneration: UInt64 = 0
    var knownDeletions: UInt64 = 0
    /// Bursts in which sessions are looked for although none was found in the ones before.
    @usableFromInline var burstsToTry = 16
    @usableFromInline var untilProbe = 0

    /// Megaflows of the caches that answer packets as received, and those that come back.
    let firstRecords: UnsafeMutablePointer<Megaflow>
    let returningRecords: UnsafeMutablePointer<Megaflow>
    let changeLog: Unmanaged<ChangeLog>
    let tracker: Unmanaged<ConnectionTracker>
    let worker: Int
    public var maximumIdle: UInt64

    /// Numbers have 16 bits in a record; 0 is none. There are never more shapes than paths.
    static var pathLimit: Int { 65535 }
    static var bucketCount: Int { 65536 }

    /// - Parameters:
    ///   - first: of the cache that packets are looked up in as received. The caches stay alive as long as this one.
    ///   - worker: number by which `tracker` knows this thread.
    public init(
        _ configuration: FlowCacheConfiguration, first: MegaflowRecords, returning: MegaflowRecords,
        changes: Unmanaged<ChangeLog>,
        tracker: Unmanaged<ConnectionTracker>, worker: Int
    ) {
        limit = configuration.sessionLimit
        isEnabled = configuration.levels == .all && limit > 0
        maximumIdle = configuration.maximumIdle
        firstRecords = first.records
        returningRecords = returning.records
        changeLog = changes
        self.tracker = tracker
        self.worker = worker
        index = SessionIndex(sessions: limit)
        recordMemory = LineMemory(byteCount: (limit + 1) * SessionTable.recordWords * 8)
        furtherMemory = LineMemory(byteCount: (limit + 1) * SessionTable.furtherWords * 8)
        pathMemory = LineMemory(byteCount: (Self.pathLimit + 1) * SessionTable.pathStride)
        shapeMemory = LineMemory(byteCount: (Self.pathLimit + 1) * SessionTable.shapeStride)
        countMemory = LineMemory(byteCount: (Self.pathLimit + 1) * MemoryLayout<PathCount>.stride)
        table = SessionTable(
            records: recordMemory.start, further: furtherMemory.start, paths: pathMemory.start,
            shapes: shapeMemory.start, counts: countMemory.start)
        pathBuckets = .allocate(capacity: Self.bucketCount)
        pathBuckets.initialize(repeating: 0, count: Self.bucketCount)
        shapeBuckets = .allocate(capacity: Self.bucketCount)
        shapeBuckets.initialize(repeating: 0, count: Self.bucketCount)
        SessionPath.checkLayout()
        SessionShape.checkLayout()
        found = .allocate(capacity: FlowCacheLimits.maximumBurst)
        found.initialize(repeating: 0, count: FlowCacheLimits.maximumBurst)
        tags = .allocate(capacity: FlowCacheLimits.maximumBurst)
    }

    deinit {
        for number in 1..<max(1, shapeTop) { table.shape(number: number).pointee.program?.deallocate() }
        pathBuckets.deallocate()
        shapeBuckets.deallocate()
        found.deallocate()
        tags.deallocate()
    }

    /// Sessions.
    public var sessionCount: Int { count }
    /// Distinct ways that they take.
    public var distinctPaths: Int { pathCount }
    /// Bytes in use, and reserved.
    public var usedBytes: Int {
        Int(top) * SessionTable.recordWords * 8 + index.usedBytes
            + Int(pathTop) * (SessionTable.pathStride + MemoryLayout<PathCount>.stride)
            + Int(shapeTop) * SessionTable.shapeStride
    }
    public var reservedBytes: Int {
        recordMemory.byteCount + furtherMemory.byteCount + pathMemory.byteCount + shapeMemory.byteCount
            + countMemory.byteCount + index.reservedBytes
    }

    func guards(_ session: UInt32, _ path: UnsafeMutablePointer<SessionPath>) -> UnsafeMutablePointer<UInt64> {
        table.guards(session, Int(path.pointee.trackCount))
    }
}
