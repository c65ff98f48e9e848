import Actions
import Base
import CLinux
import Flow
import Memory
import Pipeline

/// What the megaflow table has for a packet that the first look did not resolve.
public enum MegaflowStatus: Equatable, Sendable {
    case absent
    /// An earlier packet of the burst brought it in: it has been counted and its block is set.
    case current
    /// Something that it depends on was touched since it was last known to hold: translate its packet again, then `confirm`
    /// or `invalidate` it.
    case suspect(flow: UInt32)
}

extension FlowCache {
    /// Second look at an unresolved packet, in order of arrival.
    public mutating func status(_ i: Int, now: UInt64) -> MegaflowStatus {
        guard configuration.levels != .none else { return .absent }
        let key = UnsafePointer(burst.key(i))
        let suspect = burst.suspects[i]
        let found = suspect != UInt32.max && isMatch(suspect, key) ? suspect : findEntered(key)
        guard found != UInt32.max else { return .absent }
        let flow = records + Int(found)
        guard flow.pointee.generation == generation || refresh(flow) else { return .suspect(flow: found) }
        statistics.megaflowHits &+= 1
        serve(i, found, now: now)
        return .current
    }

    /// Among the megaflows that came in since the burst was looked up.
    private mutating func findEntered(_ key: UnsafePointer<UInt64>) -> UInt32 {
        entered.first { isMatch($0, key) } ?? UInt32.max
    }

    /// The suspect megaflow holds for the present configuration too: stamps it and serves the packet from it.
    public mutating func confirm(_ i: Int, flow: UInt32, now: UInt64) {
        records[Int(flow)].generation = generation
        statistics.revalidated &+= 1
        statistics.megaflowHits &+= 1
        serve(i, flow, now: now)
    }

    /// Whether a new translation says of the suspect megaflow just what it says already.
    public func holds(_ flow: UInt32, _ translation: borrowing Translation) -> Bool {
        let record = records + Int(flow)
        guard translation.isCacheable, let block = record.pointee.block else { return false }
        let tuple = tuples + Int(record.pointee.tuple)
        let sameMask = withMask(of: translation) { mask in
            tuple.pointee.maskHash == Self.maskHash(mask) && tuple.pointee.hasMask(mask)
        }
        return sameMask && ActionBlock(block).equals(translation)
    }

    private mutating func serve(_ i: Int, _ found: UInt32, now: UInt64) {
        let flow = records + Int(found)
        Self.account(flow, burst.packets[i], now)
        burst.blocks[i] = flow.pointee.block
        if configuration.levels == .all, tupleCount > FlowCacheLimits.directTupleLimit {
            remember(burst.key(i), hash(burst.key(i), isExtended: burst.extended[i]), found)
        }
    }

    /// Takes a translation in and serves packet `i` from it; the packet is counted. A result that holds for one packet
    /// only, or that the caches have no room for, is credited at once and kept until the burst ends.
    public mutating func install(
        _ i: Int, _ translation: borrowing Translation, now: UInt64, stations: (Credit, UInt64) -> Void
    ) {
        statistics.misses &+= 1
        let packet = burst.packets[i]
        if translation.isCacheable, configuration.levels != .none, let flow = enter(i, translation, now: now, stations)
        {
            serve(i, flow, now: now)
            return
        }
        burst.blocks[i] = blocks.transient(translation)?.words
        for credit in translation.credits {
            pay(credit, packets: 1, bytes: UInt64(packet.pointee.length), used: now, stations)
        }
    }

    private mutating func enter(
        _ i: Int, _ translation: borrowing Translation, now: UInt64, _ stations: (Credit, UInt64) -> Void
    ) -> UInt32? {
        guard let tupleNumber = tuple(of: translation) else { return nil }
        if flowCount >= flowLimit { evict(stations) }
        guard let flow = allocateRecord() else { return nil }
        guard let block = blocks.intern(translation) else {
            freeRecord(flow)
            return nil
        }
        let key = UnsafePointer(burst.key(i))
        let tuple = tuples + Int(tupleNumber)
        let hash = tuple.pointee.hash(key)
        let records = records
        let tags = tuple.pointee.tags
        guard
            let slot = tuple.pointee.insert(
                key, hash: hash, flow: flow, moved: { flow, slot in records[Int(flow)].slot = slot })
        else {
            blocks.release(block)
            freeRecord(flow)
            return nil
        }
        var record = Megaflow()
        record.serial = nextSerial
        nextSerial += 1
        record.block = block.words
        record.generation = generation
        record.tuple = UInt32(tupleNumber)
        record.slot = slot
        record.hash = hash
        record.used = now
        records[Int(flow)] = record
        accounts[Int(flow)] = MegaflowAccount(created: now)
        flows += 1
        entered.append(flow)
        if tags != tuple.pointee.tags { refreshProbe(tupleNumber) }
        return flow
    }

    private mutating func allocateRecord() -> UInt32? {
        if firstFree != UInt32.max {
            let flow = firstFree
            firstFree = accounts[Int(flow)].nextFree
            return flow
        }
        guard Int(recordTop) <= configuration.flowLimit else { return nil }
        recordTop += 1
        return recordTop - 1
    }

    private mutating func freeRecord(_ flow: UInt32) {
        records[Int(flow)] = Megaflow()
        accounts[Int(flow)] = MegaflowAccount(nextFree: firstFree)
        firstFree = flow
    }

    /// The words of a translation's mask where they lie: a mask is too large to be copied for each look at it.
    private func withMask<R>(of translation: borrowing Translation, _ body: (UnsafePointer<UInt64>) -> R) -> R {
        withUnsafePointer(to: translation.mask) {
            body(UnsafeRawPointer($0).assumingMemoryBound(to: UInt64.self))
        }
    }

    static func maskHash(_ mask: UnsafePointer<UInt64>) -> UInt64 {
        var a: UInt64 = 1
        var b: UInt64 = 2
        for i in stride(from: 0, to: FlowKey.wordCount, by: 2) {
            a = weft_crc32(a, mask[i])
            b = weft_crc32(b, mask[i + 1])
        }
        return a | b << 32
    }

    /// The tuple for a mask, made if there is none. Beyond the limit of masks: the tuple that compares everything, which is
    /// narrower than asked for and therefore right.
    private mutating func tuple(of translation: borrowing Translation) -> Int? {
        let (hash, known) = withMask(of: translation) { mask in
            let hash = Self.maskHash(mask)
            return (hash, findTuple(mask, hash))
        }
        if let known { return known }
        if tupleCount < FlowCacheLimits.maximumTuples - 1 { return addTuple(translation.mask, hash) }
        var exactMask = FlowMask()
        for i in 0..<FlowKey.wordCount where !FlowKey.registerWords.contains(i) { exactMask.bits.words[i] = ~0 }
        let (exactHash, exact) = withUnsafePointer(to: exactMask) {
            let words = UnsafeRawPointer($0).assumingMemoryBound(to: UInt64.self)
            let hash = Self.maskHash(words)
            return (hash, findTuple(words, hash))
        }
        return exact ?? addTuple(exactMask, exactHash)
    }

    private func findTuple(_ mask: UnsafePointer<UInt64>, _ hash: UInt64) -> Int? {
        for rank in 0..<tupleCount where probes[rank].maskHash == hash {
            let number = Int(probes[rank].number)
            if tuples[number].hasMask(mask) { return number }
        }
        return nil
    }

    private mutating func addTuple(_ mask: borrowing FlowMask, _ hash: UInt64) -> Int? {
        guard tupleCount < FlowCacheLimits.maximumTuples, let tuple = Tuple(mask: mask, maskHash: hash, stem: 0)
        else { return nil }
        let number: Int
        if let reused = freeTuples.popLast() {
            number = Int(reused)
        } else {
            number = tupleTop
            tupleTop += 1
        }
        (tuples + number).initialize(to: tuple)
        tuples[number].stem = stem(of: number)
        probes[tupleCount] = TupleProbe(tuples[number], number: UInt32(number))
        tupleCount += 1
        return number
    }

    /// The stem of a tuple, a new one if no tuple shares its.
    mutating func stem(of number: Int) -> UInt32 {
        for stem in 0..<stemCount where tuples[Int(stems[stem])].sharesStem(tuples[number]) { return UInt32(stem) }
        stems[stemCount] = UInt32(number)
        stemCount += 1
        return UInt32(stemCount - 1)
    }

    /// The tuple's table may have moved.
    private mutating func refreshProbe(_ number: Int) {
        for rank in 0..<tupleCount where probes[rank].number == UInt32(number) {
            probes[rank] = TupleProbe(tuples[number], number: UInt32(number))
            return
        }
    }

    /// Deletes the least recently used of eight megaflows taken at random.
    private mutating func evict(_ stations: (Credit, UInt64) -> Void) {
        var victim: UInt32?
        for _ in 0..<8 {
            let flow = UInt32(truncatingIfNeeded: random.next() >> 32) % max(1, recordTop)
            // One that sessions go through is in use, whatever it has counted itself.
            guard records[Int(flow)].serial != 0, accounts[Int(flow)].paths == 0 else { continue }
            if let best = victim, records[Int(best)].used <= records[Int(flow)].used { continue }
            victim = flow
        }
        guard let victim else { return }
        statistics.evicted &+= 1
        delete(victim, stations)
    }

    /// Takes a megaflow out, what it still owes to the rules paid.
    public mutating func delete(_ flow: UInt32, _ stations: (Credit, UInt64) -> Void) {
        settle(flow, stations)
        let record = records + Int(flow)
        guard record.pointee.serial != 0, let block = record.pointee.block else { return }
        let tuple = tuples + Int(record.pointee.tuple)
        tuple.pointee.remove(record.pointee.slot)
        blocks.release(ActionBlock(block))
        if accounts[Int(flow)].paths > 0 { deletions &+= 1 }
        freeRecord(flow)
        flows -= 1
    }

    /// The suspect megaflow no longer holds: out with it.
    public mutating func invalidate(_ flow: UInt32, _ stations: (Credit, UInt64) -> Void) {
        statistics.invalidated &+= 1
        delete(flow, stations)
    }

    /// No packet of the burst needs its block any more.
    public mutating func endBurst() {
        if blocks.hasDead { blocks.endBurst() }
        if !entered.isEmpty { forgetEntered() }
    }

    @inline(never) private mutating func forgetEntered() { entered.removeAll(keepingCapacity: true) }
}
