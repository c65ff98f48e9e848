import CLinux
import Conntrack
import Flow

// A burst's packets and their sessions: three passes, each of which asks for the memory that the next one needs.

extension SessionCache {
    /// Whether this burst's packets should be looked for at all: not while there are no sessions, and now and then only while
    /// hardly any packet has one.
    @inlinable @inline(__always)
    public mutating func isWorthwhile() -> Bool {
        guard count > 0 else { return false }
        if burstsToTry > 0 { return true }
        untilProbe &-= 1
        guard untilProbe < 0 else { return false }
        untilProbe = 15
        return true
    }

    private static var manyPaths: Int { 64 }

    /// Looks the burst's first `count` packets up: afterwards `found` has each packet's session. How many packets have none.
    public mutating func find(_ count: Int, _ burst: Burst) -> Int {
        let lines = index.lines
        let tags = tags
        let found = found
        let table = table
        let validity = validity
        for i in 0..<count {
            let tag = SessionIndex.tag(SessionTable.hash(burst.key(i)))
            tags[i] = tag
            weft_prefetch(lines.home(tag))
        }
        for i in 0..<count {
            let session = lines.first(tags[i])
            found[i] = session
            weft_prefetch_write(table.record(session))
        }
        // A few paths stay in the nearest cache.
        if pathCount > Self.manyPaths {
            for i in 0..<count { table.way(found[i]).prefetch() }
        }
        let prefetcher = tracker._withUnsafeGuaranteedRef { $0.prefetcher }
        var missing = 0
        for i in 0..<count {
            var session = found[i]
            if session == 0 || !table.matches(session, burst.key(i)) || table.way(session).validity != validity {
                session = findFurther(tags[i], burst.key(i))
                found[i] = session
                guard session != 0 else {
                    missing &+= 1
                    continue
                }
            }
            let way = table.way(session)
            let passages = way.trackCount
            let guards = table.guards(session, passages)
            let withTuples = way.needsTuples
            var k = 0
            while k < passages {
                prefetcher.prefetch(guards[k], withTuples: withTuples)
                k &+= 1
            }
        }
        burstsToTry = count == missing ? max(burstsToTry &- 1, 0) : 16
        return missing
    }

    /// Not the first of its tag: another with the same hash, or a variant of the session with other bits beside the five-tuple. Or
    /// the path has to be looked at again.
    @inline(never) private func findFurther(_ tag: UInt32, _ key: UnsafePointer<UInt64>) -> UInt32 {
        var result: UInt32 = 0
        index.search(tag) { session in
            guard table.matches(session, key) else { return false }
            result = session
            return true
        }
        guard result != 0 else { return 0 }
        return table.way(result).validity == validity || revalidate(table.path(result)) ? result : 0
    }

    /// Sessions have gone since `find`: whether that of packet `i` is still its own.
    @inline(never) public func stillMatches(_ i: Int, _ burst: Burst) -> Bool {
        let session = found[i]
        return table.pathNumber(session) != 0 && table.matches(session, burst.key(i))
            && table.way(session).validity != 0
    }

    /// Tells flows apart, for packets of the burst that `find` looked at.
    @inlinable @inline(__always) public func flowHash(_ i: Int) -> UInt32 { tags[i] }

    /// A packet of `session`, whose path is `way`, went all the way.
    @inlinable @inline(__always)
    public mutating func count(_ session: UInt32, _ way: SessionWay, bytes: UInt32, now: UInt64) {
        let record = table.record(session)
        record[2] = record[2] & ~0xffff_ffff | UInt64(UInt32(truncatingIfNeeded: now))
        record[3] = record[3] &+ (1 &<< 44 | UInt64(bytes))
        way.count(bytes: bytes, now: now)
        statistics.hits &+= 1
        if record[3] &>> 63 != 0 { creditEarly(session) }
    }
}
