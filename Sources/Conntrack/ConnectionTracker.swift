import Base
import CLinux
import Memory
import Synchronization

/// The connection tracker of a switch, shared by all its workers.
public final class ConnectionTracker: @unchecked Sendable {
    let table: ConnectionTable
    public let workers: Int
    /// For each worker 64 words: the epoch that it announced, then (from word 8 on) its counters.
    let workerWords: UnsafeMutablePointer<UInt64>
    let pickers: UnsafeMutablePointer<NATPicker>
    public let natCounters: NATCounters
    /// What helpers saw announced.
    public let expectations = ExpectationTable()
    /// Events that no worker caused.
    let sharedCounters: UnsafeMutablePointer<UInt64>
    let memoryCapacity: Int
    /// Where upkeep goes on, and which memory it has touched.
    var upkeepShard = 0
    var touchedRecords: TouchedMemory
    var touchedBuckets: TouchedMemory
    /// Who chooses backends. Set before the first packet comes.
    public var chooser: BackendChooser?
    private let memory: TrackerMemory
    /// Policies of zones and names that have none any more: their connections still look there.
    let formerPolicies = Mutex<Set<UInt32>>([])

    /// - Parameter workers: how many threads call `track`, numbered from 0.
    public init(_ configuration: TrackerConfiguration = .init(), workers: Int) {
        self.workers = max(workers, 1)
        memoryCapacity = Int(max(configuration.capacity, configuration.limit, 64))
        memory = TrackerMemory(capacity: memoryCapacity)
        sharedCounters = .allocate(capacity: TrackCounter.count)
        sharedCounters.initialize(repeating: 0, count: TrackCounter.count)
        natCounters = NATCounters()
        workerWords = .allocate(capacity: self.workers * 64)
        workerWords.initialize(repeating: 0, count: self.workers * 64)
        pickers = .allocate(capacity: self.workers)
        for i in 0..<self.workers {
            let picker = NATPicker(
                basis: configuration.seed, seed: configuration.seed &+ UInt64(i) &* 0x9e37_79b9, counters: natCounters)
            (pickers + i).initialize(to: picker)
            workerWords[i * 64] = 1
        }
        table = memory.makeTable(configuration)
        touchedRecords = memory.records.touched
        touchedBuckets = memory.buckets.touched
        memory.prepare(table, configuration)
    }

    deinit {
        workerWords.deallocate()
        sharedCounters.deallocate()
        pickers.deinitialize(count: workers)
        pickers.deallocate()
    }

    @inline(__always) func counters(_ worker: Int) -> UnsafeMutablePointer<UInt64> { workerWords + (worker &* 64 &+ 8) }

    /// A worker's quiet point: it holds no connection from before. Once a burst, and before it sleeps.
    public func quiescent(worker: Int) {
        let epoch = weft_atomic_load_acquire(table.shared(.epoch))
        let announced = workerWords + worker &* 64
        if weft_atomic_load(announced) != epoch { weft_atomic_store_ordered(announced, epoch) }
    }

    /// The worker will not call `track` again before its next `quiescent`: nothing waits for it meanwhile.
    public func offline(worker: Int) {
        weft_atomic_store_ordered(workerWords + worker &* 64, .max)
    }
}

extension LineMemory {
    var touched: TouchedMemory { TouchedMemory(start, byteCount: byteCount) }
}

/// The memory behind a table. Reserved as address space for the capacity; touched, and so taken, where used.
struct TrackerMemory: ~Copyable {
    let records: LineMemory
    let buckets: LineMemory
    private let overflow: LineMemory
    private let shards: LineMemory
    private let shardWords: LineMemory
    private let zones: SparseMemory
    private let zoneHeads: SparseMemory
    private let timeouts: SparseMemory
    private let shared: LineMemory
    private let backendCounts: SparseMemory
    private let slots: Int
    private let bucketLimit: Int
    private let overflowLimit: Int

    init(capacity: Int) {
        // Withdrawn records rest for a moment, and shards keep pieces and free lists of their own.
        slots = capacity + capacity / 4 + 64 * 256
        // Twice as many entries as connections, if all are translated, at four a bucket.
        bucketLimit = max(capacity * 2 / 4 / ConnectionTable.shardCount, 64)
        overflowLimit = bucketLimit * ConnectionTable.shardCount / 4 + 1024
        records = LineMemory(byteCount: (slots + 1) * Connection.size)
        buckets = LineMemory(byteCount: (bucketLimit + 1) * ConnectionTable.shardCount * 64)
        overflow = LineMemory(byteCount: (overflowLimit + 2) * 64 + (overflowLimit + 2) * 4)
        shards = LineMemory(byteCount: ConnectionTable.shardCount * MemoryLayout<Shard>.stride)
        shardWords = LineMemory(byteCount: ConnectionTable.shardCount * 64)
        zones = SparseMemory(byteCount: 65536 * MemoryLayout<Zone>.stride)
        zoneHeads = SparseMemory(byteCount: 65536 * ConnectionTable.shardCount * 4)
        timeouts = SparseMemory(byteCount: ConnectionTable.policyCount * 16 * 8)
        shared = LineMemory(byteCount: SharedWord.count * 8)
        backendCounts = SparseMemory(byteCount: BackendChooser.backendLimit * 8)
    }

    func makeTable(_ configuration: TrackerConfiguration) -> ConnectionTable {
        // Three keys from one seed.
        var random = SplitMix64(seed: configuration.seed)
        return ConnectionTable(
            records: records.start, lastSlot: UInt32(clamping: slots),
            buckets: buckets.start.assumingMemoryBound(to: UInt64.self), bucketLimit: UInt32(clamping: bucketLimit),
            overflow: overflow.start.assumingMemoryBound(to: UInt64.self),
            overflowLimit: UInt32(clamping: overflowLimit), shards: shards.start.assumingMemoryBound(to: Shard.self),
            shardWords: shardWords.start.assumingMemoryBound(to: UInt64.self),
            zones: zones.start.assumingMemoryBound(to: Zone.self),
            zoneHeads: zoneHeads.start.assumingMemoryBound(to: UInt32.self),
            timeouts: timeouts.start.assumingMemoryBound(to: UInt64.self),
            shared: shared.start.assumingMemoryBound(to: UInt64.self),
            backendCounts: backendCounts.start.assumingMemoryBound(to: UInt64.self), key0: random.next() | 1,
            key1: random.next() | 1,
            key2: random.next() | 1)
    }

    func prepare(_ table: ConnectionTable, _ configuration: TrackerConfiguration) {
        for shard in 0..<ConnectionTable.shardCount {
            table.shards[shard] = Shard()
            // 16 buckets: numbers are cut with 31 first.
            weft_atomic_store_release(table.addressWord(shard), 31 << 32 | 16)
        }
        table.shared(.nextSlot).pointee = 1
        table.shared(.nextOverflow).pointee = 1
        table.shared(.epoch).pointee = 1
        table.shared(.limit).pointee = UInt64(configuration.limit)
        table.shared(.defaultZoneLimit).pointee = UInt64(configuration.defaultZoneLimit)
        table.shared(.checksSequenceNumbers).pointee = configuration.checksSequenceNumbers ? 1 : 0
        table.shared(.isLiberal).pointee = configuration.isLiberal ? 1 : 0
        table.shared(.picksUpMidstream).pointee = configuration.picksUpMidstream ? 1 : 0
        table.shared(.earlyDropAge).pointee = configuration.earlyDropAge
        table.write(TimeoutPolicy(), policy: 0)
    }
}

/// Like `LineMemory`, but in small pages: used in places far apart.
struct SparseMemory: ~Copyable {
    let start: UnsafeMutableRawPointer
    private let byteCount: Int

    init(byteCount: Int) {
        let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address, address != UnsafeMutableRawPointer(bitPattern: -1) else {
            fatalError("cannot reserve \(byteCount) bytes: \(String(cString: strerror(weft_errno())))")
        }
        start = address
        self.byteCount = byteCount
    }

    deinit { munmap(start, byteCount) }
}
