import Actions
import Base
import CLinux
import Flow
import Memory
import Pipeline

/// What the caches did: read by the control thread while the worker writes, so each is a plain word.
public struct FlowCacheStatistics: Sendable {
    public var exactHits: UInt64 = 0
    public var signatureHits: UInt64 = 0
    public var megaflowHits: UInt64 = 0
    public var misses: UInt64 = 0
    /// Tuples asked for packets that reached the megaflow table.
    public var tupleProbes: UInt64 = 0
    /// Megaflows that a change of configuration made suspect, and that were found to hold still.
    public var revalidated: UInt64 = 0
    /// ... and that were replaced.
    public var invalidated: UInt64 = 0
    public var evicted: UInt64 = 0
    public var expired: UInt64 = 0

    public init() {}
}

/// The caches of one worker. See `FlowCacheLimits` for the design.
public struct FlowCache: ~Copyable {
    /// What the caches were made for: their memory follows from it.
    public let configuration: FlowCacheConfiguration
    /// Megaflows that are kept now, at most `configuration.flowLimit`. With fewer than there are, new ones take the
    /// places of old ones until idle ones have gone.
    public var flowLimit: Int { didSet { flowLimit = min(max(1, flowLimit), configuration.flowLimit) } }
    /// Milliseconds without a packet after which a megaflow goes.
    public var maximumIdle: UInt64
    public let burst: Burst
    public var statistics = FlowCacheStatistics()

    @usableFromInline let recordMemory: LineMemory
    @usableFromInline let exactMemory: LineMemory
    @usableFromInline let signatureMemory: LineMemory
    @usableFromInline let records: UnsafeMutablePointer<Megaflow>
    let accounts: UnsafeMutablePointer<MegaflowAccount>
    @usableFromInline let exact: UnsafeMutablePointer<UInt64>
    @usableFromInline let exactMask: UInt64
    @usableFromInline let signatures: UnsafeMutableRawPointer
    @usableFromInline let signatureMask: UInt64
    @usableFromInline let tuples: UnsafeMutablePointer<Tuple>
    /// What a lookup needs of each tuple, most hit first.
    @usableFromInline let probes: UnsafeMutablePointer<TupleProbe>
    /// For each distinct rest of a mask beside words 3 and 4, a tuple that has it; and its hash, of the key in hand.
    @usableFromInline let stems: UnsafeMutablePointer<UInt32>
    @usableFromInline let stemHashes: UnsafeMutablePointer<UInt64>
    @usableFromInline var stemCount = 0
    @usableFromInline var tupleCount = 0
    /// In the last burst that went straight to the tuples, most packets had the megaflow of the packet before.
    @usableFromInline var repeatsPay = false
    /// Highest tuple number ever used plus one, and the unused ones below.
    var tupleTop = 0
    var freeTuples: [UInt32] = []
    /// Megaflows entered during the present burst.
    var entered: [UInt32] = []
    /// Configuration that lookups must answer for.
    @usableFromInline var generation: UInt64 = 0

    var blocks: BlockStore
    let counters: Counters
    let changes: ChangeLog
    /// Highest record ever used plus one.
    var recordTop: UInt32 = 0
    var firstFree = UInt32.max
    @usableFromInline var flows = 0
    /// Megaflows deleted that sessions went through.
    var deletions: UInt64 = 0
    /// Megaflows.
    public var flowCount: Int { flows }
    var nextSerial: UInt64 = 1
    var sweepAt: UInt32 = 0
    var random = SplitMix64(seed: 2)

    /// Words an entry of the exact cache: one cache line.
    @inlinable static var exactWords: Int { 8 }

    public init(
        _ configuration: FlowCacheConfiguration, counters: Counters, changes: ChangeLog,
        frozen: FrozenStates = FrozenStates()
    ) {
        blocks = BlockStore(frozen: frozen)
        self.changes = changes
        self.configuration = configuration
        flowLimit = configuration.flowLimit
        maximumIdle = configuration.maximumIdle
        self.counters = counters
        burst = Burst(keyWords: configuration.keyWords)
        entered.reserveCapacity(FlowCacheLimits.maximumBurst)
        let capacity = configuration.flowLimit + 1
        recordMemory = LineMemory(
            byteCount: capacity * (MemoryLayout<Megaflow>.stride + MemoryLayout<MegaflowAccount>.stride))
        records = recordMemory.start.bindMemory(to: Megaflow.self, capacity: capacity)
        accounts = (recordMemory.start + capacity * MemoryLayout<Megaflow>.stride)
            .bindMemory(to: MegaflowAccount.self, capacity: capacity)
        let exactEntries = Self.powerOfTwo(configuration.exactEntries)
        exactMemory = LineMemory(byteCount: exactEntries * Self.exactWords * 8)
        exact = exactMemory.start.bindMemory(to: UInt64.self, capacity: exactEntries * Self.exactWords)
        exactMask = UInt64(exactEntries - 1)
        let buckets = Self.powerOfTwo(configuration.signatureEntries / SignatureBucket.entries)
        signatureMemory = LineMemory(byteCount: buckets * SignatureBucket.byteCount)
        signatures = signatureMemory.start
        signatureMask = UInt64(buckets - 1)
        tuples = .allocate(capacity: FlowCacheLimits.maximumTuples)
        probes = .allocate(capacity: FlowCacheLimits.maximumTuples)
        stems = .allocate(capacity: FlowCacheLimits.maximumTuples)
        stemHashes = .allocate(capacity: FlowCacheLimits.maximumTuples)
    }

    deinit {
        for rank in 0..<tupleCount { tuples[Int(probes[rank].number)].deallocate() }
        tuples.deallocate()
        probes.deallocate()
        stems.deallocate()
        stemHashes.deallocate()
        burst.deallocate()
    }

    static func powerOfTwo(_ n: Int) -> Int {
        var power = 1
        while power < n { power <<= 1 }
        return power
    }

    /// Distinct masks in use.
    public var maskCount: Int { tupleCount }

    /// Bytes that the tuples' tables take, which follow the number of megaflows.
    public var tupleBytes: Int { (0..<tupleCount).reduce(0) { $0 + tuples[Int(probes[$1].number)].byteCount } }

    /// Bytes reserved for tables whose size configuration decides.
    public var reservedBytes: Int {
        recordMemory.byteCount + exactMemory.byteCount + signatureMemory.byteCount
    }
}
