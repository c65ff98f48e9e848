import CLinux
import Conntrack
import Memory

/// Which backend a client of a service had last: a table of fixed size, four entries to a set of two cache lines. A set that is
/// full gives up the entry that would expire first; one that has not expired by then is counted as evicted.
///
/// Entries are read and written under one of 1,024 locks, each held for well under a microsecond, on the first packet of a
/// connection only.
///
///     address high 8 | address low 8 | service << 32 | backend 8 | expiry 8
package struct AffinityTable {
    let entries: UnsafeMutablePointer<UInt64>
    let locks: UnsafeMutablePointer<UInt64>
    /// 0: entries that had not expired when they had to go.
    let counters: UnsafeMutablePointer<UInt64>

    package static var capacity: Int { 1 << 18 }
    static var ways: Int { 4 }
    static var lockCount: Int { 1024 }
    static var entryBytes: Int { 32 }

    struct Client {
        var high: UInt64
        var low: UInt64
        var service: UInt32
        var hash: UInt64

        @inline(__always) init(_ tuple: ConnectionTuple, service: UInt32) {
            high = tuple.srcHigh
            low = tuple.srcLow
            self.service = service
            hash = BalancerHash.mix(high, low, UInt64(service))
        }
    }

    /// The set of a client; the caller gives it back with `unlock`.
    func lock(_ client: Client) -> Int {
        let set = Int(truncatingIfNeeded: client.hash) & (Self.capacity / Self.ways &- 1)
        let word = lockWord(set)
        var rounds = 0
        while !weft_atomic_compare_exchange(word, 0, 1) {
            rounds &+= 1
            // Its holder may have been interrupted, maybe by this very thread.
            if rounds & 63 == 0 { sched_yield() } else { weft_pause() }
        }
        weft_fence_acquire()
        return set
    }

    func unlock(_ set: Int) { weft_atomic_store_release(lockWord(set), 0) }

    @inline(__always) private func lockWord(_ set: Int) -> UnsafeMutablePointer<UInt64> {
        locks + (set & (Self.lockCount &- 1)) &* 8
    }

    @inline(__always) private func entry(_ set: Int, _ way: Int) -> UnsafeMutablePointer<UInt64> {
        entries + (set &* Self.ways &+ way) &* 4
    }

    @inline(__always) private func isOf(_ client: Client, _ entry: UnsafeMutablePointer<UInt64>) -> Bool {
        entry[0] == client.high && entry[1] == client.low && entry[2] &>> 32 == UInt64(client.service)
    }

    func find(_ client: Client, _ set: Int, now: UInt64) -> UInt32? {
        for way in 0..<Self.ways {
            let entry = entry(set, way)
            if isOf(client, entry), entry[3] > now { return UInt32(truncatingIfNeeded: entry[2]) }
        }
        return nil
    }

    func store(_ client: Client, _ set: Int, backend: UInt32, expiry: UInt64, now: UInt64) {
        var place = entry(set, 0)
        for way in 0..<Self.ways {
            let entry = entry(set, way)
            if isOf(client, entry) {
                place = entry
                break
            }
            if entry[3] < place[3] { place = entry }
        }
        if place[3] > now, !isOf(client, place) { weft_atomic_add(counters, 1) }
        place[0] = client.high
        place[1] = client.low
        place[2] = UInt64(client.service) &<< 32 | UInt64(backend)
        place[3] = expiry
    }
}
