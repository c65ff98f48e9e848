import Base
import CLinux
import Flow
import Memory
import Pipeline

extension FlowCache {
    /// Hash of a key as received, over what tells connections apart: addresses, ports, protocol, tag, port of entry.
    @inlinable @inline(__always)
    public func hash(_ key: UnsafePointer<UInt64>, isExtended: Bool) -> UInt64 {
        var a = weft_crc32(0x9e37, key[3])
        var b = weft_crc32(0x79b9, key[4])
        a = weft_crc32(a, key[0])
        b = weft_crc32(b, key[1] &>> 16)
        a = weft_crc32(a, key[2] &>> 16)
        if isExtended { Self.extendedHash(key, burst.keyWords, &a, &b) }
        let h = (a | b &<< 32) &* 0x9e37_79b9_7f4a_7c15
        return h ^ h &>> 29
    }

    @inlinable static func extendedHash(
        _ key: UnsafePointer<UInt64>, _ end: Int, _ a: inout UInt64, _ b: inout UInt64
    ) {
        for i in FlowKey.coreWords..<end {
            if i & 1 == 0 { a = weft_crc32(a, key[i]) } else { b = weft_crc32(b, key[i]) }
        }
    }

    /// Tells the caches which configuration to answer for, before a burst.
    public mutating func setGeneration(_ generation: UInt64) { self.generation = generation }

    /// Key of packet `i` is extracted: takes note, and asks for the cache lines that its lookup will need.
    @inlinable @inline(__always)
    public func prepare(_ i: Int, isExtended: Bool) {
        note(i, isExtended: isExtended)
        prepare(i)
    }

    /// Key of packet `i` is extracted; it may be looked up later.
    @inlinable @inline(__always)
    public func note(_ i: Int, isExtended: Bool) { burst.extended[i] = isExtended }

    /// Packet `i`, of which note was taken, will be looked up.
    @inlinable @inline(__always)
    public func prepare(_ i: Int) {
        let isExtended = burst.extended[i]
        guard tupleCount > FlowCacheLimits.directTupleLimit else { return }
        let h = hash(burst.key(i), isExtended: isExtended)
        burst.hashes[i] = h
        weft_prefetch(exact + Int(h & exactMask) &* Self.exactWords)
        weft_prefetch(exact + Int(h &>> 32 & exactMask) &* Self.exactWords)
    }

    /// Looks the burst's first `count` packets up. Those found have their block set and their statistics counted; the
    /// positions of the others are in `burst.unresolved`, as many as returned.
    ///
    /// - Parameter sessions: number of each packet's session, if some have one: those are passed over.
    @inlinable
    public mutating func classify(
        _ count: Int, now: UInt64, besides sessions: UnsafePointer<UInt32>? = nil
    ) -> Int {
        if configuration.levels == .none {
            for i in 0..<count { burst.unresolved[i] = UInt16(truncatingIfNeeded: i) }
            return count
        }
        guard tupleCount > FlowCacheLimits.directTupleLimit, configuration.levels == .all else {
            return classifyDirectly(count, now: now, besides: sessions)
        }
        findCandidates(count, besides: sessions)
        var unresolved = 0
        var hits: UInt64 = 0
        // An entry made for an earlier packet of the burst may have moved or overwritten a candidate.
        var hasEntered = false
        let generation = self.generation
        for i in 0..<count {
            if let sessions, sessions[i] != 0 { continue }
            if let entry = burst.candidates[i], !hasEntered || matches(entry, burst.key(i), burst.hashes[i]) {
                let flow = records + Int(UInt32(truncatingIfNeeded: entry[1] &>> 32))
                if flow.pointee.serial == entry[7], flow.pointee.generation == generation || refresh(flow) {
                    Self.account(flow, burst.packets[i], now)
                    burst.blocks[i] = flow.pointee.block
                    hits &+= 1
                    continue
                }
            }
            if classifyFurther(i, now: now) {
                hasEntered = true
            } else {
                burst.unresolved[unresolved] = UInt16(truncatingIfNeeded: i)
                unresolved &+= 1
            }
        }
        statistics.exactHits &+= hits
        return unresolved
    }

    /// Exact cache, first half: entries whose words agree, their megaflows on the way into the cache.
    @inlinable @inline(__always)
    func findCandidates(_ count: Int, besides sessions: UnsafePointer<UInt32>?) {
        for i in 0..<count {
            if let sessions, sessions[i] != 0 { continue }
            let h = burst.hashes[i]
            let key = burst.key(i)
            var entry = exact + Int(h & exactMask) &* Self.exactWords
            if !matches(entry, key, h) {
                entry = exact + Int(h &>> 32 & exactMask) &* Self.exactWords
                guard matches(entry, key, h) else {
                    burst.candidates[i] = nil
                    continue
                }
            }
            burst.candidates[i] = entry
            weft_prefetch_write(records + Int(UInt32(truncatingIfNeeded: entry[1] &>> 32)))
        }
    }

    /// Whether an exact-cache entry is this key under its tuple's mask. Only entries of tuples whose mask lies in the
    /// core words are entered, so comparing those is comparing all.
    @inlinable @inline(__always)
    func matches(_ entry: UnsafeMutablePointer<UInt64>, _ key: UnsafePointer<UInt64>, _ hash: UInt64) -> Bool {
        guard entry[0] == hash else { return false }
        let tuple = tuples + Int(UInt32(truncatingIfNeeded: entry[1]))
        let difference =
            (key[0] & tuple.pointee.core.0 ^ entry[2]) | (key[1] & tuple.pointee.core.1 ^ entry[3])
            | (key[2] & tuple.pointee.core.2 ^ entry[4]) | (key[3] & tuple.pointee.core.3 ^ entry[5])
            | (key[4] & tuple.pointee.core.4 ^ entry[6])
        return difference == 0
    }

    @inlinable @inline(__always)
    static func account(_ flow: UnsafeMutablePointer<Megaflow>, _ packet: Packet, _ now: UInt64) {
        flow.pointee.packets &+= 1
        flow.pointee.bytes &+= UInt64(packet.pointee.length)
        flow.pointee.used = now
    }

    /// Signature cache and megaflow table for one packet that the exact cache does not have.
    @usableFromInline
    mutating func classifyFurther(_ i: Int, now: UInt64) -> Bool {
        let key = UnsafePointer(burst.key(i))
        let h = burst.hashes[i]
        if let found = findSignature(key, h) {
            let flow = records + Int(found)
            if flow.pointee.generation == generation || refresh(flow) {
                statistics.signatureHits &+= 1
                Self.account(flow, burst.packets[i], now)
                burst.blocks[i] = flow.pointee.block
                enterExact(key, h, found)
                return true
            }
        }
        guard classifyByMegaflow(i, now: now) else { return false }
        remember(key, h, burst.suspects[i])
        return true
    }

    /// Megaflow table alone; `burst.suspects` has what it found. False if that is nothing, or may not hold any more.
    private mutating func classifyByMegaflow(_ i: Int, now: UInt64) -> Bool {
        let found = findMegaflow(burst.key(i))
        burst.suspects[i] = found
        guard found != UInt32.max else { return false }
        let flow = records + Int(found)
        guard flow.pointee.generation == generation || refresh(flow) else { return false }
        statistics.megaflowHits &+= 1
        Self.account(flow, burst.packets[i], now)
        burst.blocks[i] = flow.pointee.block
        return true
    }

    /// One packet that was passed over, after all: whether the megaflow table has an answer that holds. Otherwise it is to be
    /// resolved.
    public mutating func classifyLate(_ i: Int, now: UInt64) -> Bool {
        burst.suspects[i] = UInt32.max
        guard configuration.levels != .none else { return false }
        if tupleCount > FlowCacheLimits.directTupleLimit {
            burst.hashes[i] = hash(burst.key(i), isExtended: burst.extended[i])
            return classifyFurther(i, now: now)
        }
        return classifyByMegaflow(i, now: now)
    }

    /// Few tuples: straight to them, the caches in front would only cost memory traffic.
    ///
    /// Where few megaflows answer for many packets, the next packet mostly belongs to the same one as the last: then
    /// comparing with that one first saves the hashing. Whether it pays is seen from the burst before.
    @inlinable
    mutating func classifyDirectly(_ count: Int, now: UInt64, besides sessions: UnsafePointer<UInt32>?) -> Int {
        var unresolved = 0
        var hits = 0
        var repeats = 0
        let generation = self.generation
        let triesLast = repeatsPay
        var last = UInt32.max
        for i in 0..<count {
            if let sessions, sessions[i] != 0 { continue }
            let key = UnsafePointer(burst.key(i))
            var found = last
            if !(triesLast && last != UInt32.max && isMatch(last, key)) { found = findMegaflow(key) }
            if found != UInt32.max {
                if found == last { repeats &+= 1 }
                last = found
                let flow = records + Int(found)
                if flow.pointee.generation == generation || refresh(flow) {
                    Self.account(flow, burst.packets[i], now)
                    burst.blocks[i] = flow.pointee.block
                    hits &+= 1
                    continue
                }
            }
            burst.suspects[i] = found
            burst.unresolved[unresolved] = UInt16(truncatingIfNeeded: i)
            unresolved &+= 1
        }
        repeatsPay = repeats &* 4 >= (hits &+ unresolved) &* 3
        statistics.megaflowHits &+= UInt64(hits)
        return unresolved
    }

    @inlinable @inline(__always)
    func isMatch(_ flow: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let record = records + Int(flow)
        return record.pointee.serial != 0 && tuples[Int(record.pointee.tuple)].matches(record.pointee.slot, key)
    }

    /// Number of a megaflow that matches, of whatever generation; `UInt32.max` if there is none.
    @inlinable @inline(__always)
    mutating func findMegaflow(_ key: UnsafePointer<UInt64>) -> UInt32 {
        for stem in 0..<stemCount { stemHashes[stem] = tuples[Int(stems[stem])].stemHash(key) }
        if flows > Self.prefetchLimit { return findWithPrefetch(key) }
        return search(key, 0, tupleCount)
    }

    /// With more megaflows than this, their tags do not all lie in the first-level cache.
    @inlinable static var prefetchLimit: Int { 8192 }
    /// Tuples whose tags are asked for before the first of them is looked at.
    static var prefetchStride: Int { 16 }

    @usableFromInline
    mutating func findWithPrefetch(_ key: UnsafePointer<UInt64>) -> UInt32 {
        var rank = 0
        while rank < tupleCount {
            let end = min(rank &+ Self.prefetchStride, tupleCount)
            for rank in rank..<end { weft_prefetch(probes[rank].group(probes[rank].hash(key, stemHashes))) }
            let found = search(key, rank, end)
            if found != UInt32.max { return found }
            rank = end
        }
        return UInt32.max
    }

    /// Looks into the tuples of ranks `start ..< end`, with the hashes of all stems at hand.
    @inlinable @inline(__always)
    mutating func search(_ key: UnsafePointer<UInt64>, _ start: Int, _ end: Int) -> UInt32 {
        for rank in start..<end {
            let probe = probes + rank
            let hash = probe.pointee.hash(key, stemHashes)
            let group = probe.pointee.group(hash)
            if weft_match16(group, Tuple.tag(hash)) == 0, weft_match16(group, Tuple.empty) != 0 { continue }
            let tuple = tuples + Int(probe.pointee.number)
            let found = tuple.pointee.find(key, hash)
            if found != UInt32.max {
                tuple.pointee.hits &+= 1
                statistics.tupleProbes &+= UInt64(truncatingIfNeeded: rank &+ 1)
                return found
            }
        }
        if end == tupleCount { statistics.tupleProbes &+= UInt64(truncatingIfNeeded: tupleCount) }
        return UInt32.max
    }

    private mutating func findSignature(_ key: UnsafePointer<UInt64>, _ hash: UInt64) -> UInt32? {
        let bucket = signatures + Int(hash &>> 16 & signatureMask) &* SignatureBucket.byteCount
        let signature = SignatureBucket.signature(hash)
        var next = 0
        while next < SignatureBucket.entries {
            let found = SignatureBucket.find(bucket, signature, &next)
            guard found != UInt32.max else { return nil }
            let flow = records + Int(found)
            if flow.pointee.serial != 0, tuples[Int(flow.pointee.tuple)].matches(flow.pointee.slot, key) {
                return found
            }
        }
        return nil
    }

    /// A megaflow of an older generation: holds still if nothing that it depends on was touched since, and is then stamped
    /// with the present one.
    @usableFromInline
    mutating func refresh(_ flow: UnsafeMutablePointer<Megaflow>) -> Bool {
        guard let block = flow.pointee.block,
            !changes.wasTouched(ActionBlock(block).dependencies, since: flow.pointee.generation)
        else { return false }
        flow.pointee.generation = generation
        return true
    }

    /// Enters a megaflow that was found the long way into both caches in front.
    mutating func remember(_ key: UnsafePointer<UInt64>, _ hash: UInt64, _ flow: UInt32) {
        let bucket = signatures + Int(hash &>> 16 & signatureMask) &* SignatureBucket.byteCount
        SignatureBucket.insert(
            bucket, SignatureBucket.signature(hash), flow, victim: Int(truncatingIfNeeded: random.next() & 7))
        enterExact(key, hash, flow)
    }
}
