import Base
import CLinux
import Synchronization

/// The MAC learning table (FDB) of one bridge: through which port each station was last heard, by VLAN.
///
/// Workers learn and look up on their slow path; the upkeep thread ages; the control thread lists, flushes and sets static
/// entries. All changes happen under one lock, held for a few dozen instructions, or for a step of `removalsPerStep` where the
/// whole table is gone through: a microsecond or two. A lookup takes no lock: it reads between two looks at a sequence number
/// that each change makes odd and even again, and falls back to the lock when changes keep coming.
///
/// Memory is fixed: a slab of `maximumEntries` records, 64 bytes each, and one chain head for each. After a resize the old
/// slab is freed as soon as no worker can be walking it (`reclaim`). A full table gives up the entry that was unused for
/// longest on the port that has most, as Open vSwitch does, so that one port that invents addresses only pushes out its own.
///
/// Every change of where frames for a station go is told to the `ChangeLog`, so cached answers notice. Use alone (`touch`)
/// is not: it is one relaxed store, made from the statistics of a cached flow.
///
/// Differences from Open vSwitch: a station that changes ports more than `moveLimit` times in one second (100 unless set,
/// 0 for no limit, which is what the control side sets where time stands still) stays where it is for the rest of that
/// second, and its frames are dropped as `macMoveTooOften`. The least recently used entry of a port is looked for among 16
/// candidates.
///
/// Callers check what does not depend on the table: multicast sources, `flood_vlans`.
public final class StationTable: @unchecked Sendable {
    /// Entries that the table is made for: Open vSwitch's `mac-table-size` default, and its limits.
    public static var defaultMaximumEntries: Int { 8192 }
    public static var defaultAgingTime: Int { 300 }
    public static var defaultMoveLimit: Int { 100 }
    /// Milliseconds for which a gratuitous ARP keeps its entry from moving to a bond (MAC_GRAT_ARP_LOCK_TIME).
    static var gratuitousARPLock: UInt64 { 5000 }

    /// 64 bytes. Lookups read the first four words through atomics.
    struct Entry {
        /// In-use bit 63, VLAN from bit 48, address.
        var key: UInt64 = 0
        /// Port index << 32 | static bit 31 | generation.
        var place: UInt64 = 0
        /// Milliseconds when last heard.
        var used: UInt64 = 0
        /// Index + 1 of the next in the bucket; 0 ends.
        var next: UInt64 = 0
        /// Neighbours in the port's list, index + 1; the head is the one that moved there longest ago.
        var older: UInt32 = 0
        var newer: UInt32 = 0
        /// `used` when it was last put at the end of the list.
        var listed: UInt64 = 0
        var lockedUntil: UInt64 = 0
        /// Second of the moves that `moves` counts.
        var moveSecond: UInt32 = 0
        var moves: UInt32 = 0
    }

    struct PortList {
        var port: UInt32
        var count = 0
        var oldest: UInt32 = 0
        var newest: UInt32 = 0
    }

    /// Everything that the lock protects, and that lookups read through atomics: `entries`, `heads`.
    struct Storage: @unchecked Sendable {
        var entries: UnsafeMutablePointer<Entry>
        var heads: UnsafeMutablePointer<UInt64>
        var bucketMask: UInt64
        var capacity: Int
        /// Index + 1 of the first unused record, chained through `next`.
        var free: UInt64 = 0
        var ports: [PortList] = []
        var agingTime: Int
        var moveLimit: Int
        /// Tables that were there before this one.
        var resizes = 0
        var statistics = Statistics()
        /// Addresses of `heads` and `entries`, bucket mask and capacity, for lookups.
        var published: UnsafeMutablePointer<UInt64>
        /// Addresses of tables from before a resize: a lookup may still be walking them.
        var retired: [UInt] = []

        /// Addresses of the three pieces that this table consists of.
        var memory: [UInt] { [UInt(bitPattern: entries), UInt(bitPattern: heads), UInt(bitPattern: published)] }
    }

    public struct Statistics: Sendable, Equatable {
        /// Entries now, static ones included.
        public var entries = 0
        public var staticEntries = 0
        // Since the start.
        public var learned: UInt64 = 0
        public var expired: UInt64 = 0
        public var evicted: UInt64 = 0
        public var moved: UInt64 = 0
        public var refusedMoves: UInt64 = 0
    }

    /// What the table knows of a station.
    public struct Station: Sendable, Equatable {
        public var vlan: UInt16
        public var mac: UInt64
        public var port: PortIndex
        public var isStatic: Bool
        /// Milliseconds of the switch's clock when last heard.
        public var used: UInt64
        public var handle: CounterHandle
    }

    public enum Learning: Sendable, Equatable {
        /// Known behind this port already; the entry is now fresh.
        case unchanged(CounterHandle)
        case learned(CounterHandle)
        case moved(CounterHandle)
        /// A static entry, or one locked by a gratuitous ARP: left as it is.
        case kept
        /// Drop the frame: `macMoveTooOften`.
        case movedTooOften
    }

    public let bridge: Int
    let changes: ChangeLog
    let secret: UInt64
    /// Word 0: sequence number, odd during a change. Word 1: address of `Storage.published`.
    let shared: UnsafeMutablePointer<UInt64>
    let storage: Mutex<Storage>

    /// A table for bridge number `bridge`. `secret` makes the hash unpredictable; give it only to repeat a run.
    public init(
        bridge: Int, changes: ChangeLog, maximumEntries: Int = StationTable.defaultMaximumEntries,
        agingTime: Int = StationTable.defaultAgingTime, moveLimit: Int = StationTable.defaultMoveLimit,
        secret: UInt64 = .random(in: 0 ... .max)
    ) {
        self.bridge = bridge
        self.changes = changes
        self.secret = secret
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
        shared = memory.bindMemory(to: UInt64.self, capacity: 8)
        shared.initialize(repeating: 0, count: 8)
        let fresh = Self.makeStorage(
            capacity: Self.clampEntries(maximumEntries), agingTime: Self.clampAging(agingTime), moveLimit: moveLimit)
        weft_atomic_store(shared + 1, UInt64(UInt(bitPattern: fresh.published)))
        storage = Mutex(fresh)
    }

    deinit {
        storage.withLock {
            for address in $0.retired + $0.memory { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
        }
        shared.deallocate()
    }

    static func makeStorage(capacity: Int, agingTime: Int, moveLimit: Int, generation: UInt64 = 0) -> Storage {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        for i in 0..<capacity {
            (entries + i).initialize(
                to: Entry(place: generation & generationMask, next: i + 1 < capacity ? UInt64(i + 2) : 0))
        }
        var buckets = 16
        while buckets < capacity { buckets *= 2 }
        let heads = UnsafeMutablePointer<UInt64>.allocate(capacity: buckets)
        heads.initialize(repeating: 0, count: buckets)
        let published = UnsafeMutablePointer<UInt64>.allocate(capacity: 4)
        published[0] = UInt64(UInt(bitPattern: heads))
        published[1] = UInt64(UInt(bitPattern: entries))
        published[2] = UInt64(buckets - 1)
        published[3] = UInt64(capacity)
        return Storage(
            entries: entries, heads: heads, bucketMask: UInt64(buckets - 1), capacity: capacity, free: 1,
            agingTime: agingTime, moveLimit: moveLimit, published: published)
    }

    /// Open vSwitch's limits: 10 to a million entries, 15 to 3600 seconds.
    public static func clampEntries(_ count: Int) -> Int { min(max(count, 10), 1_000_000) }
    public static func clampAging(_ seconds: Int) -> Int { min(max(seconds, 15), 3600) }

    static func key(vlan: UInt16, mac: UInt64) -> UInt64 {
        1 &<< 63 | UInt64(vlan & 0xfff) &<< 48 | (mac & 0xffff_ffff_ffff)
    }

    func hash(_ key: UInt64) -> UInt64 {
        var h = (key ^ secret) &* 0x9e37_79b9_7f4a_7c15
        h ^= h &>> 32
        h = h &* 0xd6e8_feb8_6659_fd93
        return h ^ h &>> 32
    }
}
