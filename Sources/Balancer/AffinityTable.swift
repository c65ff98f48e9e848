import CLinux
import Conntrack
import Memory

/// Which backend a client of a service had last: a table of fixed size, four entries to a set of two cache lines. A set that is
/// full gives up the entry that would expire first; one that has not expired by then is counted as evicted.
///
/// Entries are read and written under one of 1,024 locks, on the first packet of a connection only. The lock is held while the
/// algorithm picks a backend for a client that has none, so that connections that begin at once get the same one: well under a
/// microsecond, but for least connections, which may look at a thousand backends.
///
/// Numbers of services and backends are given out again. An entry has the generation of its backend's number, which rises each
/// time that the number is given back: what is remembered of a backend that is gone means nothing to the one that has its number.
///
///     address high 8 | address low 8 | service 17 bits, generation 27 bits, backend 20 bits | expiry 8
///
/// Which set a client is in depends on a secret: nobody can choose clients that push each other out.
package struct AffinityTable {
    let entries: UnsafeMutablePointer<UInt64>
    let locks: UnsafeMutablePointer<UInt64>
    /// 0: entries that had not expired when they had to go.
    let counters: UnsafeMutablePointer<UInt64>
    /// The secret.
    let seed: UInt64

    package static var capacity: Int { 1 << 18 }
    static var ways: Int { 4 }
    static var lockCount: Int { 1024 }
    static var entryBytes: Int { 32 }

    struct Client {
        var high: UInt64
        var low: UInt64
        var service: UInt32
        var hash: UInt64

        @inline(__always) init(_ tuple: ConnectionTuple, service: UInt32, seed: UInt64) {
            high = tuple.srcHigh
            low = tuple.srcLow
            self.service = service
            hash = BalancerHash.mix(high ^ seed, low ^ (seed &<< 32 | seed &>> 32), UInt64(service))
        }
    }

    /// A backend of one life of its number.
    struct Owner: Equatable {
        static var backendBits: UInt64 { 20 }
        static var generationBits: UInt64 { 27 }

        var backend: UInt32
        /// As many low bits of it as an entry has: it takes more than an affinity's longest time to go round.
        var generation: UInt64

        @inline(__always) init(backend: UInt32, generation: UInt64) {
            self.backend = backend
            self.generation = generation & (1 &<< Self.generationBits &- 1)
        }

        @inline(__always) init(entry word: UInt64) {
            backend = UInt32(truncatingIfNeeded: word & (1 &<< Self.backendBits &- 1))
            generation = word &>> Self.backendBits & (1 &<< Self.generationBits &- 1)
        }

        @inline(__always) func word(_ service: UInt32) -> UInt64 {
            (UInt64(service) &<< Self.generationBits | generation) &<< Self.backendBits | UInt64(backend)
        }
    }

    private static func service(_ word: UInt64) -> UInt64 { word &>> (Owner.backendBits &+ Owner.generationBits) }

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
        entry[0] == client.high && entry[1] == client.low && Self.service(entry[2]) == UInt64(client.service)
    }

    func find(_ client: Client, _ set: Int, now: UInt64) -> Owner? {
        for way in 0..<Self.ways {
            let entry = entry(set, way)
            if isOf(client, entry), entry[3] > now { return Owner(entry: entry[2]) }
        }
        return nil
    }

    /// Takes back that a client has this backend until then, if that is what is remembered: another connection of the client, which
    /// was made, may have renewed it.
    func forget(_ client: Client, _ set: Int, _ owner: Owner, expiry: UInt64) {
        for way in 0..<Self.ways {
            let entry = entry(set, way)
            if isOf(client, entry), Owner(entry: entry[2]) == owner, entry[3] == expiry { entry[3] = 0 }
        }
    }

    func store(_ client: Client, _ set: Int, _ owner: Owner, expiry: UInt64, now: UInt64) {
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
        place[2] = owner.word(client.service)
        place[3] = expiry
    }
}
