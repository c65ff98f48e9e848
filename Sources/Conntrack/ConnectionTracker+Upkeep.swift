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
