import Actions
import CLinux
import Conntrack
import Flow
import Memory
import Pipeline

// A burst's packets and their sessions: three passes, each of which asks for the memory that the next one needs.

extension SessionCache {
    /// Whether this burst's packets should be looked for at all: not while there are no sessions, and now and then only while
    /// hardly any packet has one.
    @inlinable @inline(__always)
    public mutating func isWorthwhile() -> Bool {
        guard count > 0 else { return false }
        if share > 0 { return true }
        untilProbe &-= 1
        guard untilProbe < 0 else { return false }
        untilProbe = 15
        return true
    }

    @inline(__always)
    static func hash(_ key: UnsafePointer<UInt64>) -> UInt64 {
        var a = weft_crc32(0x51ed, key[3])
        var b = weft_crc32(0x2545, key[4])
        // Ingress port and EtherType, which every path compares.
        a = weft_crc32(a, key[0] &>> 16)
        if UInt16(truncatingIfNeeded: key[0] &>> 16) == EtherType.ipv6 { addIPv6(key, &a, &b) }
        let h = (a | b &<< 32) &* 0x9e37_79b9_7f4a_7c15
        return h ^ h &>> 29
    }

    private static func addIPv6(_ key: UnsafePointer<UInt64>, _ a: inout UInt64, _ b: inout UInt64) {
        a = weft_crc32(weft_crc32(a, key[6]), key[8])
        b = weft_crc32(weft_crc32(b, key[7]), key[9])
    }

    /// What a session has in place of word 3 of its key.
    @inline(__always)
    static func addresses(_ key: UnsafePointer<UInt64>) -> UInt64 {
        guard UInt16(truncatingIfNeeded: key[0] &>> 16) == EtherType.ipv6 else { return key[3] }
        return (key[6] &* 3 ^ key[8]) &+ (key[7] &* 5 ^ key[9])
    }

    /// Looks the burst's first `count` packets up: afterwards `found` has each packet's session. How many packets have none.
    public mutating func find(_ count: Int, _ burst: Burst) -> Int {
        for i in 0..<count {
            let tag = SessionIndex.tag(Self.hash(burst.key(i)))
            tags[i] = tag
            weft_prefetch(index.home(tag))
        }
        for i in 0..<count {
            let session = index.first(tags[i])
            found[i] = session
            weft_prefetch_write(record(session))
        }
        let tracker = tracker._withUnsafeGuaranteedRef { $0.prefetcher }
        var missing = 0
        for i in 0..<count {
            let key = UnsafePointer(burst.key(i))
            var session = found[i]
            if session != 0, !matches(session, key) { session = matchFurther(tags[i], key) }
            guard session != 0, isValid(session) else {
                found[i] = 0
                missing &+= 1
                continue
            }
            found[i] = session
            let way = way(session)
            let guards = guards(session, way.trackCount)
            var k = 0
            while k < way.trackCount {
                tracker.prefetch(guards[k], withTuples: way.needsTuples)
                k &+= 1
            }
        }
        share = count == missing ? max(share &- 1, 0) : 16
        return missing
    }

    @inline(__always) func matches(_ session: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let record = record(session)
        guard record[0] == Self.addresses(key), record[1] == key[4] else { return false }
        let way = way(session)
        guard way.matches(key) else { return false }
        return !way.isIPv6 || hasAddresses(session, key)
    }

    @inline(never) private func hasAddresses(_ session: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let further = furtherRecord(session)
        return further[0] == key[6] && further[1] == key[7] && further[2] == key[8] && further[3] == key[9]
    }

    /// Not the first of its tag: another with the same hash, or a variant of the session with other bits beside the five-tuple.
    @inline(never) private func matchFurther(_ tag: UInt32, _ key: UnsafePointer<UInt64>) -> UInt32 {
        var result: UInt32 = 0
        index.search(tag) { session in
            guard matches(session, key) else { return false }
            result = session
            return true
        }
        return result
    }

    @inline(__always) func isValid(_ session: UInt32) -> Bool {
        way(session).validity == validity || revalidate(path(session))
    }

    /// Sessions have gone since `find`: whether that of packet `i` is still its own.
    @inline(never) public func stillMatches(_ i: Int, _ burst: Burst) -> Bool {
        let session = found[i]
        return record(session)[2] >> 32 != 0 && matches(session, burst.key(i)) && path(session).pointee.validity != 0
    }
}

extension SessionCache {
    @inlinable @inline(__always)
    public func guards(of session: UInt32) -> UnsafePointer<UInt64> {
        UnsafePointer(guards(session, way(session).trackCount))
    }

    /// Tells flows apart, for packets of the burst that `find` looked at.
    @inlinable @inline(__always) public func flowHash(_ i: Int) -> UInt32 { tags[i] }

    /// A packet went all the way.
    @inlinable @inline(__always)
    public mutating func count(_ session: UInt32, bytes: UInt32, now: UInt64) {
        let record = record(session)
        record[2] = record[2] & ~0xffff_ffff | UInt64(UInt32(truncatingIfNeeded: now))
        record[3] = record[3] &+ (1 &<< 44 | UInt64(bytes))
        way(session).count(bytes: bytes, now: now)
        statistics.hits &+= 1
        if record[3] &>> 63 != 0 { creditEarly(session) }
    }
}
