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

    /// Lines that stay in the nearest cache without being asked for.
    private static var few: Int { 64 }

    /// A packet of this key will be looked for.
    public mutating func expect(_ key: UnsafePointer<UInt64>) {
        weft_prefetch(index.lines.home(SessionIndex.tag(SessionTable.hash(key))))
    }

    /// Looks the burst's first `count` packets up: afterwards `found` has each packet's session. How many packets have none.
    /// Whether the path of a session is current has to be asked when the packet is about to take it.
    public mutating func find(_ count: Int, _ burst: Burst) -> Int {
        let lines = index.lines
        let tags = tags
        let found = found
        let table = table
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
        if shapeCount > Self.few {
            for i in 0..<count { table.way(found[i]).prefetch() }
        }
        let hasManyPaths = pathCount > Self.few
        let prefetcher = tracker._withUnsafeGuaranteedRef { $0.prefetcher }
        var missing = 0
        for i in 0..<count {
            var session = found[i]
            if session == 0 || !table.matches(session, burst.key(i)) {
                session = findFurther(tags[i], burst.key(i))
                found[i] = session
                guard session != 0 else {
                    missing &+= 1
                    continue
                }
            }
            if hasManyPaths { weft_prefetch_write(table.count(session)) }
            let way = table.way(session)
            let guards = table.guards(session, way.trackCount)
            let needs = way.needs
            var left = way.meetings
            while left != 0 {
                prefetcher.prefetch(guards[left.trailingZeroBitCount], needs)
                left &= left &- 1
            }
        }
        burstsToTry = count == missing ? max(burstsToTry &- 1, 0) : 16
        return missing
    }

    /// Not the first of its tag: another with the same hash, or a variant of the session with other bits beside the five-tuple.
    @inline(never) private mutating func findFurther(_ tag: UInt32, _ key: UnsafePointer<UInt64>) -> UInt32 {
        var result: UInt32 = 0
        index.search(tag) { session in
            guard table.matches(session, key) else { return false }
            result = session
            return true
        }
        return result
    }

    /// Whether all megaflows of the path that a session takes hold.
    @inlinable @inline(__always) public mutating func isCurrent(_ session: UInt32) -> Bool {
        table.count(session).pointee.validity == validity || revalidate(table.pathNumber(session))
    }

    /// Sessions have gone since `find`: whether that of packet `i` is still its own.
    @inline(never) public mutating func stillMatches(_ i: Int, _ burst: Burst) -> Bool {
        let session = found[i]
        return table.pathNumber(session) != 0 && table.matches(session, burst.key(i))
    }

    /// Tells flows apart, for packets of the burst that `find` looked at.
    @inlinable @inline(__always) public func flowHash(_ i: Int) -> UInt32 { tags[i] }

    /// A packet of `session` went all the way.
    @inlinable @inline(__always)
    public mutating func count(_ session: UInt32, bytes: UInt32, now: UInt64) {
        let record = table.record(session)
        record[2] = record[2] & ~0xffff_ffff | UInt64(UInt32(truncatingIfNeeded: now))
        record[3] = record[3] &+ (1 &<< 44 | UInt64(bytes))
        let count = table.count(session)
        count.pointee.packets &+= 1
        count.pointee.bytes &+= UInt64(bytes)
        count.pointee.used = now
        statistics.hits &+= 1
        if record[3] &>> 63 != 0 { creditEarly(session) }
    }
}
