import CLinux

// What happens beside the packets: expiry, and giving back what has rested. The upkeep thread calls `upkeep`, some times a
// second; each call is a bounded step.
extension ConnectionTracker {
    /// Records or ticks that a call looks at.
    private static var budget: Int { 4096 }

    /// One step. True: there is more to do now; call again.
    @discardableResult
    public func upkeep(now: UInt64) -> Bool {
        var left = Self.budget
        var isResting = false
        var visited = 0
        let passed = passedEpoch()
        while visited < ConnectionTable.shardCount {
            let shard = upkeepShard
            let step = table.expire(shard, now: now, budget: left)
            left -= step.looked
            if step.expired > 0 { weft_count(sharedCounters + TrackCounter.expired.rawValue, UInt64(step.expired)) }
            table.lock(shard)
            if table.wake(shard, passed: passed) { isResting = true }
            table.unlock(shard)
            if !step.isDone { break }
            upkeepShard = (shard + 1) & (ConnectionTable.shardCount - 1)
            visited += 1
            if left <= 0 { break }
        }
        if isResting, passed >= weft_atomic_load(table.shared(.epoch)) {
            weft_atomic_store_ordered(table.shared(.epoch), weft_atomic_load(table.shared(.epoch)) &+ 1)
        }
        touchAhead()
        return visited < ConnectionTable.shardCount
    }

    /// The oldest epoch that a worker may still be in.
    private func passedEpoch() -> UInt64 {
        var oldest = UInt64.max
        for worker in 0..<workers { oldest = min(oldest, weft_atomic_load_ordered(workerWords + worker * 64)) }
        return oldest
    }

    /// Makes the kernel give memory for records before a worker would have to wait for it.
    private func touchAhead() {
        let used = weft_atomic_load(table.shared(.nextSlot))
        let wanted = min(used &+ max(8192, used / 8), UInt64(table.lastSlot))
        var pages = 512
        while touchedSlot < wanted, pages > 0 {
            let word = (table.records + Int(touchedSlot) * Connection.size + 40).assumingMemoryBound(to: UInt64.self)
            weft_atomic_add(word, 0)
            touchedSlot += 4096 / UInt64(Connection.size)
            pages -= 1
        }
    }
}

// Flushing. A thread that is no worker looks connections up under the shard's lock, since nothing keeps a record for it.
extension ConnectionTracker {
    /// Ends all connections of a zone, or of every zone. Takes time in proportion to what it ends; no lock is held for
    /// more than 32 connections. Those that begin meanwhile may stay.
    ///
    /// - Returns: how many were ended.
    @discardableResult
    public func flush(zone: UInt16? = nil) -> Int {
        var ended = 0
        if let zone {
            ended = flushZone(zone)
        } else {
            for zone in 0...UInt16.max where count(zone: zone) > 0 { ended += flushZone(zone) }
        }
        weft_atomic_add(sharedCounters + TrackCounter.flushed.rawValue, UInt64(ended))
        return ended
    }

    private func flushZone(_ zone: UInt16) -> Int {
        let most = count(zone: zone)
        var ended = 0
        for shard in 0..<ConnectionTable.shardCount {
            while ended <= most {
                let some = flushSome(zone, shard)
                ended += some
                if some == 0 { break }
            }
        }
        return ended
    }

    /// Up to 32 connections of a zone in one shard, the oldest first.
    private func flushSome(_ zone: UInt16, _ shard: Int) -> Int {
        var victims = InlineArray<32, UInt64>(repeating: 0)
        var count = 0
        table.lock(shard)
        let first = table.zoneHead(zone, shard).pointee
        if first != 0 {
            var index = first
            repeat {
                index = table.connection(index).zonePrevious.pointee
                let handle = ConnectionHandle(index: index, generation: table.connection(index).generation)
                victims[count] = handle.rawValue
                count += 1
            } while index != first && count < 32
        }
        table.unlock(shard)
        for i in 0..<count {
            let victim = ConnectionHandle(rawValue: victims[i])
            table.remove(victim.index, generation: victim.generation)
        }
        return count
    }

    /// Ends the connection that has this tuple, in either direction. False if there is none.
    @discardableResult
    public func flush(_ tuple: ConnectionTuple, now: UInt64) -> Bool {
        let hash = table.hash(tuple)
        let shard = ConnectionTable.shard(hash)
        table.lock(shard)
        let found = table.find(tuple, hash, now: now)
        let generation = found.map { table.connection($0.index).generation }
        table.unlock(shard)
        guard let found, let generation, table.remove(found.index, generation: generation) else { return false }
        weft_atomic_add(sharedCounters + TrackCounter.flushed.rawValue, 1)
        return true
    }

    /// Ends connections by handle, as a snapshot has it; those that ended meanwhile do not count.
    @discardableResult
    public func flush(_ handles: [ConnectionHandle]) -> Int {
        let ended = handles.filter { table.remove($0.index, generation: $0.generation) }.count
        weft_atomic_add(sharedCounters + TrackCounter.flushed.rawValue, UInt64(ended))
        return ended
    }
}
