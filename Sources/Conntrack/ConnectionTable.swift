import CLinux
import Memory

/// All connections of a switch: the slab of records, the index by tuple, the lists by zone, the wheels.
///
/// A trivial view of raw memory that the tracker owns, so that it can be copied and used without reference counting.
/// Everything is divided into 64 shards by the hash of a tuple; a connection belongs to the shard of its original
/// tuple, and a reply tuple that is not its mirror image may be indexed in another.
///
/// Lookups take no lock. Inserts and removals hold the locks of the shards concerned, the lower number first.
struct ConnectionTable {
    static var shardCount: Int { 64 }

    /// Slot 0 is never used.
    let records: UnsafeMutableRawPointer
    /// Index of the last slot there is.
    let lastSlot: UInt32
    let buckets: UnsafeMutablePointer<UInt64>
    /// Most buckets a shard may have.
    let bucketLimit: UInt32
    /// Buckets that full buckets continue in. Number 0 is never used.
    let overflow: UnsafeMutablePointer<UInt64>
    let overflowLimit: UInt32
    let shards: UnsafeMutablePointer<Shard>
    /// For each shard a line of words that are used with atomic operations only. 0: its lock. 1: its version, odd while a
    /// bucket is being split or given back; a lookup that found nothing and saw it change looks again. 2: how many
    /// buckets are in use (low half) and the mask that numbers are first cut with (high half).
    let shardWords: UnsafeMutablePointer<UInt64>
    let zones: UnsafeMutablePointer<Zone>
    /// First connection of each zone in each shard: 64 for each zone.
    let zoneHeads: UnsafeMutablePointer<UInt32>
    /// Milliseconds, 16 for each policy; policy 0 is the default, n + 1 that of zone n; named ones follow.
    let timeouts: UnsafeMutablePointer<UInt64>
    let shared: UnsafeMutablePointer<UInt64>
    /// Connections of each backend, by number.
    let backendCounts: UnsafeMutablePointer<UInt64>
    let key0: UInt64
    let key1: UInt64
    let key2: UInt64

    @inline(__always) func shared(_ word: SharedWord) -> UnsafeMutablePointer<UInt64> { shared + word.rawValue }

    @inline(__always) func connection(_ index: UInt32) -> Connection {
        Connection(records + Int(index) &* Connection.size)
    }
}

/// Words that all threads share: counters and settings, used with atomic operations only.
enum SharedWord: Int {
    /// Records, and overflow buckets, given out so far.
    case nextSlot = 0
    case nextOverflow = 1
    /// Connections, and (from `byProtocol` on) how many of them are of each `ProtocolIndex`.
    case total = 8
    case byProtocol = 9
    /// Rises while records rest; see `ConnectionTable+Rest`.
    case epoch = 16
    case limit = 24
    case defaultZoneLimit = 25
    case checksSequenceNumbers = 26
    case isLiberal = 27
    case picksUpMidstream = 28
    case earlyDropAge = 29

    static var count: Int { 32 }
}

/// What connections are counted by.
public enum ProtocolIndex: Int, CaseIterable, Sendable {
    case tcp, udp, icmp, icmpv6, sctp, other

    @inline(__always) init(_ tuple: ConnectionTuple) {
        switch tuple.ipProtocol {
        case 6: self = .tcp
        case 17: self = .udp
        case 1: self = .icmp
        case 58: self = .icmpv6
        case 132: self = .sctp
        default: self = .other
        }
    }
}

/// What a zone has of its own.
struct Zone {
    /// Connections in it.
    var count: UInt64 = 0
    /// Most of them, plus 1; 0: as the default says.
    var limit: UInt64 = 0
    /// Which timeouts new connections get.
    var policy: UInt64 = 0
    var refused: UInt64 = 0
}

/// One shard: what belongs to whoever holds its lock.
struct Shard {
    /// Entries in the index.
    var entries: UInt64 = 0
    /// Connections whose records and wheel are here.
    var connections: UInt64 = 0
    /// Tick up to which the wheel has run.
    var tick: UInt64 = 0
    /// Withdrawn records: those that may be used again, and two generations of those that some worker may still look at.
    var free: UInt32 = 0
    var resting: UInt32 = 0
    var resting2: UInt32 = 0
    var restingLast: UInt32 = 0
    var resting2Last: UInt32 = 0
    var freeOverflow: UInt32 = 0
    var restingEpoch: UInt64 = 0
    var resting2Epoch: UInt64 = 0
    /// Slots left of the last piece taken from the slab, and the first of them.
    var pieceLeft: UInt32 = 0
    var piece: UInt32 = 0
    /// Bucket at which the last search for victims ended.
    var hand: UInt32 = 0
    /// Slots of the wheel's first level that are not empty.
    var occupied: UInt64 = 0
    /// First connection of each slot of the wheel.
    var wheel: InlineArray<256, UInt32> = InlineArray(repeating: 0)
}

// Hashing. Keyed, so that nobody outside can choose tuples that collide, and the same for both directions of a
// connection, so that one entry answers for both unless addresses are translated.
extension ConnectionTable {
    @inline(__always) static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    @inline(__always) func hash(_ tuple: ConnectionTuple) -> UInt64 {
        let sourcePort = tuple.rest &>> 48
        let other = tuple.rest &>> 32 & 0xffff
        let destinationPort = tuple.isICMP ? sourcePort : other
        let a = Self.fold(tuple.srcLow ^ key0, tuple.srcHigh ^ key1) &+ sourcePort &* key2
        let b = Self.fold(tuple.dstLow ^ key0, tuple.dstHigh ^ key1) &+ destinationPort &* key2
        return Self.fold((a &+ b) ^ key1, (tuple.rest & 0xffff_ffff) ^ key2 ^ (a ^ b) &<< 32)
    }

    @inline(__always) static func shard(_ hash: UInt64) -> Int { Int(hash & 63) }
    /// What an entry keeps of the hash; buckets are chosen by its low bits.
    @inline(__always) static func tag(_ hash: UInt64) -> UInt64 { hash &>> 32 }
}

extension ConnectionTuple {
    /// 0 if they are equal.
    @inline(__always) func difference(from other: ConnectionTuple) -> UInt64 {
        (srcHigh ^ other.srcHigh) | (srcLow ^ other.srcLow) | (dstHigh ^ other.dstHigh) | (dstLow ^ other.dstLow)
            | (rest ^ other.rest)
    }
}

// The index: linear hashing over buckets of one cache line. A bucket has seven entries, tag << 32 | slot, and the number of
// the overflow bucket that continues it. The buckets of all shards are interleaved in one array, so that it grows at its
// end, one bucket at a time, and only what is used is resident.
extension ConnectionTable {
    static var entriesPerBucket: Int { 7 }

    @inline(__always) func bucket(_ shard: Int, _ number: UInt64) -> UnsafeMutablePointer<UInt64> {
        buckets + Int(truncatingIfNeeded: number &<< 6 | UInt64(shard)) &* 8
    }

    @inline(__always) static func number(_ tag: UInt64, _ address: UInt64) -> UInt64 {
        let mask = address &>> 32
        let number = tag & mask
        return number < address & 0xffff_ffff ? number : number & mask &>> 1
    }

    @inline(__always) func lockWord(_ shard: Int) -> UnsafeMutablePointer<UInt64> { shardWords + shard &* 8 }
    @inline(__always) func versionWord(_ shard: Int) -> UnsafeMutablePointer<UInt64> { lockWord(shard) + 1 }
    @inline(__always) func addressWord(_ shard: Int) -> UnsafeMutablePointer<UInt64> { lockWord(shard) + 2 }

    /// The bucket that a lookup of this hash begins in.
    @inline(__always) func home(_ hash: UInt64) -> UnsafeMutablePointer<UInt64> {
        let shard = Self.shard(hash)
        return bucket(shard, Self.number(Self.tag(hash), weft_atomic_load_acquire(addressWord(shard))))
    }

    struct Found {
        var index: UInt32
        var isReply: Bool
    }

    /// The connection that one of whose tuples is `tuple`, unless it has expired.
    @inline(__always) func find(_ tuple: ConnectionTuple, _ hash: UInt64, now: UInt64) -> Found? {
        let shard = Self.shard(hash)
        var rounds = 0
        while true {
            let version = weft_atomic_load_acquire(versionWord(shard))
            if let found = scan(tuple, hash, now) { return found }
            weft_fence_acquire()
            if version & 1 == 0, weft_atomic_load(versionWord(shard)) == version { return nil }
            waitBriefly(&rounds)
        }
    }

    @inline(__always) private func scan(_ tuple: ConnectionTuple, _ hash: UInt64, _ now: UInt64) -> Found? {
        let tag = Self.tag(hash)
        var line = home(hash)
        while true {
            var hits = weft_match_upper8(line, UInt32(truncatingIfNeeded: tag)) & 0x7f
            while hits != 0 {
                let entry = weft_atomic_load_acquire(line + hits.trailingZeroBitCount)
                hits &= hits &- 1
                guard entry &>> 32 == tag, entry & 0xffff_ffff != 0 else { continue }
                let index = UInt32(truncatingIfNeeded: entry)
                let connection = connection(index)
                weft_prefetch(connection.base + 128)
                // Both are compared without branching: which direction a packet has cannot be predicted.
                let original = connection.original.pointee.difference(from: tuple)
                let reply = connection.reply.pointee.difference(from: tuple)
                guard min(original, reply) == 0, !connection.hasExpired(now) else { continue }
                return Found(index: index, isReply: original != 0)
            }
            let next = weft_atomic_load_acquire(line + 7)
            if next == 0 { return nil }
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
    }
}

/// Another thread holds a lock, for a fraction of a microsecond; unless it was interrupted, maybe by this very thread on the
/// same core. So the core is offered to it now and then.
@inline(never) func waitBriefly(_ rounds: inout Int) {
    rounds &+= 1
    if rounds & 63 == 0 { sched_yield() } else { weft_pause() }
}

// The locks of shards: spinning, since they are held for a fraction of a microsecond.
extension ConnectionTable {
    @inline(__always) func lock(_ shard: Int) {
        if !tryLock(shard) { lockSlowly(shard) }
    }

    @inline(never) private func lockSlowly(_ shard: Int) {
        var rounds = 0
        repeat {
            while weft_atomic_load(lockWord(shard)) != 0 { waitBriefly(&rounds) }
        } while !tryLock(shard)
    }

    @inline(__always) func tryLock(_ shard: Int) -> Bool { weft_atomic_compare_exchange(lockWord(shard), 0, 1) }

    @inline(__always) func unlock(_ shard: Int) { weft_atomic_store_release(lockWord(shard), 0) }

    /// Both shards, which may be the same.
    @inline(__always) func lock(_ a: Int, _ b: Int) {
        lock(min(a, b))
        if a != b { lock(max(a, b)) }
    }

    @inline(__always) func unlock(_ a: Int, _ b: Int) {
        unlock(a)
        if a != b { unlock(b) }
    }
}
