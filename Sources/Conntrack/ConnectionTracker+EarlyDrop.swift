import CLinux

// Limits: of all connections, and of those of a zone. At a limit the least valuable connections go for the new one: an
// expired one, one that was never answered, one that is closing, if it is at least `earlyDropAge` old. A connection that
// lives is never given up; without a victim the new one is refused, and its packet passes as `+new`.
//
// A victim's record, its entries in the index and its neighbours in the lists are a dozen lines that no cache holds. So in a
// large table several go at once: what one step will read is asked for, for all of them, in the step before. A flood at the
// limit then costs each of its packets a few hundred nanoseconds and nobody else anything.
extension ConnectionTracker {
    /// Connections that a search in a zone looks at.
    private static var zoneBudget: Int { 16 }
    /// Buckets that the first step of a search looks at, and those that the second does if the first has found something.
    private static var firstBuckets: Int { 4 }
    private static var furtherBuckets: Int { 16 }

    /// False, and counted, if there is no room.
    @inline(__always) func makeRoom(_ step: TrackStep) -> Bool {
        let limit = zoneLimit(step.zone)
        if limit != 0, weft_atomic_load(table.zoneCount(step.zone)) >= UInt64(limit) {
            guard dropInZone(step) else {
                step.count(.refusedByZoneLimit)
                weft_atomic_add(table.zoneRefused(step.zone), 1)
                return false
            }
        }
        if weft_atomic_load(table.shared(.total)) >= weft_atomic_load(table.shared(.limit)) {
            guard dropInShard(step) else {
                step.count(.refusedByLimit)
                return false
            }
        }
        return true
    }

    private struct Victim {
        var index: UInt32 = 0
        var generation: UInt64 = 0
        var value = UInt8.max
    }

    /// How much a connection is worth: 0 expired, 1 never answered, 2 closing; nil is not to be given up.
    private func value(_ connection: Connection, _ now: UInt64, _ age: UInt64) -> UInt8? {
        if connection.hasExpired(now) { return 0 }
        guard connection.age(now) >= age else { return nil }
        guard connection.kind.pointee == .tcp else {
            return connection.progress.pointee == Progress.answered ? nil : 1
        }
        let original = connection.peers[0].state
        let reply = connection.peers[1].state
        if reply == .closed {
            // Direct server return: answers are never seen; that the client got some shows in the time it is given.
            let patience = table.timeout(TimeoutName.tcpSynSent.place(policy: connection.policy))
            return connection.backend != 0 && connection.expiry > now &+ patience ? nil : 1
        }
        return original >= .finWait2 || reply >= .finWait2 || (original >= .closing && reply >= .closing) ? 2 : nil
    }

    /// Keeps the less valuable of a connection and the victim so far.
    private func weigh(_ index: UInt32, _ victim: inout Victim, _ step: TrackStep, _ age: UInt64) {
        let connection = table.connection(index)
        guard connection.lock() else { return }
        if let value = value(connection, step.now, age), value < victim.value {
            victim = Victim(index: index, generation: connection.generation, value: value)
        }
        connection.unlock()
    }

    /// Ends the victim, unless it has become worth more meanwhile: an answer may have come by way of another worker.
    private func drop(_ victim: Victim, _ step: TrackStep, _ age: UInt64) -> Bool {
        guard victim.index != 0 else { return false }
        let isDropped = table.remove(victim.index, generation: victim.generation) {
            value($0, step.now, age).map { $0 <= victim.value } ?? false
        }
        if isDropped { step.count(.earlyDrop) }
        return isDropped
    }

    /// Looks at the oldest connections of the zone, in the shard of the packet and those after it.
    @inline(never) private func dropInZone(_ step: TrackStep) -> Bool {
        let age = weft_atomic_load(table.shared(.earlyDropAge))
        guard age != .max else { return false }
        var victim = Victim()
        var left = Self.zoneBudget
        var shard = ConnectionTable.shard(step.hash)
        for _ in 0..<ConnectionTable.shardCount where left > 0 && victim.value > 0 {
            left &-= weighZone(shard, &victim, step, age, left)
            if victim.value == 1 { break }
            shard = (shard &+ 1) & (ConnectionTable.shardCount &- 1)
        }
        return drop(victim, step, age)
    }

    /// Returns how much of the budget it used: a shard without connections of the zone costs nothing.
    private func weighZone(
        _ shard: Int, _ victim: inout Victim, _ step: TrackStep, _ age: UInt64, _ budget: Int
    ) -> Int {
        let head = table.zoneHead(step.zone, shard)
        table.lock(shard)
        defer { table.unlock(shard) }
        let first = head.pointee
        guard first != 0 else { return 0 }
        var index = first
        var used = 0
        repeat {
            index = table.connection(index).zonePrevious.pointee
            weigh(index, &victim, step, age)
            used &+= 1
        } while index != first && used < min(budget, 4)
        return used
    }

    /// How many connections go at once when the table is full: one in a small table, where each counts.
    private var dropsAtOnce: Int {
        min(max(Int(truncatingIfNeeded: weft_atomic_load(table.shared(.limit))) / 4096, 1), 16)
    }

    /// Goes on from bucket to bucket in the shard of the packet, where the last search ended, until there are victims enough or
    /// nothing more is found.
    @inline(never) private func dropInShard(_ step: TrackStep) -> Bool {
        let age = weft_atomic_load(table.shared(.earlyDropAge))
        guard age != .max else { return false }
        let wanted = dropsAtOnce
        let shard = ConnectionTable.shard(step.hash)
        var closing = Victim()
        let dropped = dropInBuckets(Self.firstBuckets, shard, &closing, step, age, most: wanted)
        if dropped == 0 { return drop(closing, step, age) }
        if dropped < wanted {
            let left = wanted &- dropped
            _ = dropInBuckets(min(Self.furtherBuckets, left), shard, &closing, step, age, most: left)
        }
        return true
    }

    /// One step: ends up to `most` connections that are expired or were never answered, and notes one that is closing. How many
    /// were ended.
    private func dropInBuckets(
        _ buckets: Int, _ shard: Int, _ closing: inout Victim, _ step: TrackStep, _ age: UInt64, most: Int
    ) -> Int {
        table.lock(shard)
        var candidates = gather(buckets, shard)
        candidates.keep { index in
            let connection = table.connection(index)
            return connection.isPublished && (connection.age(step.now) >= age || connection.hasExpired(step.now))
        }
        for i in 0..<min(candidates.count, most &+ 4) { table.connection(candidates.indexes[i]).prefetch() }
        var victims = InlineArray<16, Victim>(repeating: Victim())
        var kept = 0
        var seen = 0
        while seen < candidates.count, kept < most {
            var victim = Victim()
            weigh(candidates.indexes[seen], &victim, step, age)
            if victim.value <= 1 {
                victims[kept] = victim
                kept &+= 1
                prefetchSurroundings(table.connection(victim.index), shard)
            } else if victim.value < closing.value {
                closing = victim
            }
            seen &+= 1
        }
        // What was not weighed has its turn first in the next search.
        let passed = seen < candidates.count ? Int(candidates.buckets[seen]) : buckets
        let hand = UInt64(table.shards[shard].hand) &+ UInt64(passed)
        table.shards[shard].hand = UInt32(truncatingIfNeeded: hand % bucketCount(shard))
        table.unlock(shard)
        var dropped = 0
        for i in 0..<kept where drop(victims[i], step, age) { dropped &+= 1 }
        return dropped
    }

    /// What stands in a few buckets one behind the other.
    private struct Candidates {
        var indexes = InlineArray<112, UInt32>(repeating: 0)
        /// How many buckets each is from the first one.
        var buckets = InlineArray<112, UInt8>(repeating: 0)
        var count = 0

        @inline(__always) mutating func add(_ index: UInt32, bucket: Int) {
            indexes[count] = index
            buckets[count] = UInt8(truncatingIfNeeded: bucket)
            count &+= 1
        }

        @inline(__always) mutating func keep(_ condition: (UInt32) -> Bool) {
            var kept = 0
            for i in 0..<count where condition(indexes[i]) {
                indexes[kept] = indexes[i]
                buckets[kept] = buckets[i]
                kept &+= 1
            }
            count = kept
        }
    }

    private func bucketCount(_ shard: Int) -> UInt64 { weft_atomic_load(table.addressWord(shard)) & 0xffff_ffff }

    /// The connections in the buckets of a shard, whose lock is held, behind its hand. Their control lines are asked for.
    private func gather(_ buckets: Int, _ shard: Int) -> Candidates {
        let end = bucketCount(shard)
        let hand = UInt64(table.shards[shard].hand)
        var lines = InlineArray<16, UnsafeMutablePointer<UInt64>>(repeating: table.bucket(shard, 0))
        var number = hand
        for bucket in 0..<buckets {
            number = number &+ 1 < end ? number &+ 1 : 0
            lines[bucket] = table.bucket(shard, number)
            weft_prefetch(lines[bucket])
        }
        var found = Candidates()
        for bucket in 0..<buckets {
            for i in 0..<ConnectionTable.entriesPerBucket {
                let index = UInt32(truncatingIfNeeded: weft_atomic_load(lines[bucket] + i))
                guard index != 0 else { continue }
                table.connection(index).prefetchControl()
                found.add(index, bucket: bucket)
            }
        }
        return found
    }

    /// What the end of a connection touches beside its record. The links of one whose lists are in another shard, as those of half
    /// the entries of translated connections, may not be read under this one's lock.
    private func prefetchSurroundings(_ connection: Connection, _ shard: Int) {
        let hash = connection.originalHash
        weft_prefetch_write(table.home(hash))
        guard ConnectionTable.shard(hash) == shard else { return }
        table.connection(connection.zoneNext.pointee).prefetchLinks()
        table.connection(connection.zonePrevious.pointee).prefetchLinks()
        table.connection(connection.wheelNext.pointee).prefetchLinks()
        table.connection(connection.wheelPrevious.pointee).prefetchLinks()
    }

    /// A packet was new, and may soon be back to be committed: asks for the record that it would get. Only a guess: whoever
    /// holds the shard's lock is not waited for.
    @inline(never) func prepareRecord(_ hash: UInt64) {
        let shard = ConnectionTable.shard(hash)
        let body = table.shards + shard
        guard table.tryLock(shard) else { return }
        table.connection(body.pointee.free != 0 ? body.pointee.free : body.pointee.piece).prefetch()
        table.unlock(shard)
    }
}
