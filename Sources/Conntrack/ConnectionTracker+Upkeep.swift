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
        let touches = touchAhead()
        return touches || visited < ConnectionTable.shardCount
    }

    /// The oldest epoch that a worker may still be in.
    private func passedEpoch() -> UInt64 {
        var oldest = UInt64.max
        for worker in 0..<workers { oldest = min(oldest, weft_atomic_load_ordered(workerWords + worker * 64)) }
        return oldest
    }

    /// Records are given out from the first on, and the index grows at its end.
    private func touchAhead() -> Bool {
        let slots = Int(min(weft_atomic_load(table.shared(.nextSlot)), UInt64(table.lastSlot)))
        let buckets = Int(weft_atomic_load(table.addressWord(0)) & 0xffff_ffff)
        let touchesRecords = touchedRecords.advance(used: slots * Connection.size)
        return touchedBuckets.advance(used: buckets * ConnectionTable.shardCount * 64) || touchesRecords
    }
}
