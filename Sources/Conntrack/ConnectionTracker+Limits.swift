import CLinux
import Synchronization

// Limits: of all connections, and of those of a zone. At a limit the least valuable connection goes for the new one: an
// expired one, one that was never answered, one that is closing, if it is at least `earlyDropAge` old. A connection that
// lives is never given up; without a victim the new one is refused, and its packet passes as `+new`.
//
// The search is bounded, so that a flood at the limit costs each of its packets a microsecond and nobody else anything.
extension ConnectionTracker {
    private static var searchBudget: Int { 16 }

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

    /// The limit that counts for a zone; 0 is none.
    public func zoneLimit(_ zone: UInt16) -> UInt32 {
        let own = weft_atomic_load(table.zoneLimit(zone))
        let limit = own == 0 ? weft_atomic_load(table.shared(.defaultZoneLimit)) : own &- 1
        return UInt32(truncatingIfNeeded: limit)
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

    private func drop(_ victim: Victim, _ step: TrackStep) -> Bool {
        guard victim.index != 0 else { return false }
        if table.remove(victim.index, generation: victim.generation) { step.count(.earlyDrop) }
        return true
    }

    /// Looks at the oldest connections of the zone, in the shard of the packet and those after it.
    @inline(never) private func dropInZone(_ step: TrackStep) -> Bool {
        let age = weft_atomic_load(table.shared(.earlyDropAge))
        guard age != .max else { return false }
        var victim = Victim()
        var left = Self.searchBudget
        var shard = ConnectionTable.shard(step.hash)
        for _ in 0..<ConnectionTable.shardCount where left > 0 && victim.value > 0 {
            left &-= weighZone(shard, &victim, step, age, left)
            if victim.value == 1 { break }
            shard = (shard &+ 1) & (ConnectionTable.shardCount &- 1)
        }
        return drop(victim, step)
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

    /// Gives up the connection that was foreseen for it in the packet's shard, and foresees another, which is to follow the next
    /// one. So it is known beforehand what the end of the next one will touch.
    @inline(never) private func dropInShard(_ step: TrackStep) -> Bool {
        let age = weft_atomic_load(table.shared(.earlyDropAge))
        guard age != .max else { return false }
        var victim = Victim()
        let shard = ConnectionTable.shard(step.hash)
        let body = table.shards + shard
        table.lock(shard)
        if body.pointee.nextVictim != 0 { weigh(body.pointee.nextVictim, &victim, step, age) }
        if victim.value > 1 { search(shard, &victim, step, age) }
        if victim.index != 0 {
            body.pointee.nextVictim = body.pointee.victimAfter
            noteSurroundings(shard)
            let after = foresee(shard, now: step.now, age)
            body.pointee.victimAfter = after
            table.connection(after).prefetch()
            for ahead in 1...2 as ClosedRange<UInt64> { weft_prefetch(table.bucket(shard, hand(shard, ahead: ahead))) }
        }
        table.unlock(shard)
        return drop(victim, step)
    }

    /// What the end of the next victim will touch beside its record. The caller holds the shard's lock; links of a record whose
    /// original tuple is in another shard, as of half the entries of translated connections, may not be read under it.
    private func noteSurroundings(_ shard: Int) {
        let body = table.shards + shard
        let connection = table.connection(body.pointee.nextVictim)
        let hash = connection.originalHash
        body.pointee.victimHash = hash
        body.pointee.victimLinks =
            ConnectionTable.shard(hash) != shard
            ? SIMD4(repeating: 0)
            : SIMD4(
                connection.zoneNext.pointee, connection.zonePrevious.pointee, connection.wheelNext.pointee,
                connection.wheelPrevious.pointee)
    }

    /// A packet was new, and may soon be back to be committed: asks for what that will touch, the end of another connection
    /// included if the table is full. So a flood at the limit does not wait for memory. Only a guess: whoever holds the
    /// shard's lock is not waited for.
    @inline(never) func prepareRoom(_ hash: UInt64) {
        let shard = ConnectionTable.shard(hash)
        let body = table.shards + shard
        let isFull = weft_atomic_load(table.shared(.total)) >= weft_atomic_load(table.shared(.limit))
        guard table.tryLock(shard) else { return }
        table.connection(body.pointee.free != 0 ? body.pointee.free : body.pointee.piece).prefetch()
        if isFull, body.pointee.nextVictim != 0 {
            table.connection(body.pointee.nextVictim).prefetch()
            weft_prefetch_write(table.home(body.pointee.victimHash))
            for i in 0..<4 { table.connection(body.pointee.victimLinks[i]).prefetchLinks() }
            let line = table.bucket(shard, hand(shard, ahead: 1))
            for i in 0..<ConnectionTable.entriesPerBucket {
                table.connection(UInt32(truncatingIfNeeded: weft_atomic_load(line + i))).prefetchControl()
            }
        }
        table.unlock(shard)
    }

    /// Looks at a few buckets of a shard, each time the next ones. The caller holds its lock.
    private func search(_ shard: Int, _ victim: inout Victim, _ step: TrackStep, _ age: UInt64) {
        for _ in 0..<Self.searchBudget / 4 where victim.value > 1 {
            let line = nextBucket(shard)
            for i in 0..<ConnectionTable.entriesPerBucket {
                let entry = weft_atomic_load(line + i)
                if entry != 0 { weigh(UInt32(truncatingIfNeeded: entry), &victim, step, age) }
                // Under a flood most are as worthless as can be.
                if victim.value <= 1 { break }
            }
        }
    }

    /// The same by what one line of each record tells: a connection that is old enough; what it is worth shows when it is due. 0
    /// if there is none.
    private func foresee(_ shard: Int, now: UInt64, _ age: UInt64) -> UInt32 {
        for _ in 0..<Self.searchBudget / 4 {
            let line = nextBucket(shard)
            for i in 0..<ConnectionTable.entriesPerBucket {
                let index = UInt32(truncatingIfNeeded: weft_atomic_load(line + i))
                let connection = table.connection(index)
                if index != 0, connection.isPublished, connection.age(now) >= age { return index }
            }
        }
        return 0
    }

    private func nextBucket(_ shard: Int) -> UnsafeMutablePointer<UInt64> {
        let number = hand(shard, ahead: 1)
        table.shards[shard].hand = UInt32(truncatingIfNeeded: number)
        return table.bucket(shard, number)
    }

    private func hand(_ shard: Int, ahead: UInt64) -> UInt64 {
        let number = UInt64(table.shards[shard].hand) &+ ahead
        return number < weft_atomic_load(table.addressWord(shard)) & 0xffff_ffff ? number : 0
    }
}

// Settings, from any thread.
extension ConnectionTracker {
    /// Most connections over all zones; at most what the tracker was made for.
    public var limit: UInt32 {
        get { UInt32(truncatingIfNeeded: weft_atomic_load(table.shared(.limit))) }
        set { weft_atomic_store(table.shared(.limit), UInt64(min(newValue, capacity))) }
    }

    public var capacity: UInt32 { UInt32(clamping: memoryCapacity) }

    /// Of zones that have none of their own; 0 is no limit.
    public var defaultZoneLimit: UInt32 {
        get { UInt32(truncatingIfNeeded: weft_atomic_load(table.shared(.defaultZoneLimit))) }
        set { weft_atomic_store(table.shared(.defaultZoneLimit), UInt64(newValue)) }
    }

    /// A zone's own limit; 0 is no limit, nil that of all others.
    public func setLimit(_ limit: UInt32?, zone: UInt16) {
        weft_atomic_store(table.zoneLimit(zone), limit.map { UInt64($0) &+ 1 } ?? 0)
    }

    /// Nil if the zone has none of its own.
    public func ownLimit(zone: UInt16) -> UInt32? {
        let own = weft_atomic_load(table.zoneLimit(zone))
        return own == 0 ? nil : UInt32(truncatingIfNeeded: own &- 1)
    }

    /// Connections over all zones, expired ones that upkeep has not come to included.
    public var count: Int { Int(truncatingIfNeeded: weft_atomic_load(table.shared(.total))) }
    public func count(zone: UInt16) -> Int { Int(truncatingIfNeeded: weft_atomic_load(table.zoneCount(zone))) }
    /// Connections refused by the zone's limit.
    public func refused(zone: UInt16) -> UInt64 { weft_atomic_load(table.zoneRefused(zone)) }

    public var checksSequenceNumbers: Bool {
        get { weft_atomic_load(table.shared(.checksSequenceNumbers)) != 0 }
        set { weft_atomic_store(table.shared(.checksSequenceNumbers), newValue ? 1 : 0) }
    }
    public var isLiberal: Bool {
        get { weft_atomic_load(table.shared(.isLiberal)) != 0 }
        set { weft_atomic_store(table.shared(.isLiberal), newValue ? 1 : 0) }
    }
    public var picksUpMidstream: Bool {
        get { weft_atomic_load(table.shared(.picksUpMidstream)) != 0 }
        set { weft_atomic_store(table.shared(.picksUpMidstream), newValue ? 1 : 0) }
    }
    /// Milliseconds; `UInt64.max` never drops early.
    public var earlyDropAge: UInt64 {
        get { weft_atomic_load(table.shared(.earlyDropAge)) }
        set { weft_atomic_store(table.shared(.earlyDropAge), newValue) }
    }

    /// The timeouts of a zone; nil: the default ones. A change counts for connections from their next packet on, and one
    /// that had the default keeps it.
    public func timeouts(zone: UInt16?) -> TimeoutPolicy {
        guard let zone else { return table.timeoutPolicy(0) }
        return table.timeoutPolicy(UInt32(truncatingIfNeeded: weft_atomic_load(table.zonePolicy(zone))))
    }

    public func setTimeouts(_ timeouts: TimeoutPolicy, zone: UInt16?) {
        formerPolicies.withLock { former in
            guard let zone else {
                table.write(timeouts, policy: 0)
                for policy in former { table.write(timeouts, policy: policy) }
                return
            }
            let policy = UInt32(zone) &+ 1
            former.remove(policy)
            table.write(timeouts, policy: policy)
            weft_atomic_store_release(table.zonePolicy(zone), UInt64(policy))
        }
    }

    /// The zone has the default timeouts again, and so have the connections that were begun under its own.
    public func removeTimeouts(zone: UInt16) {
        formerPolicies.withLock { former in
            guard hasOwnTimeouts(zone: zone) else { return }
            weft_atomic_store(table.zonePolicy(zone), 0)
            table.write(table.timeoutPolicy(0), policy: UInt32(zone) &+ 1)
            former.insert(UInt32(zone) &+ 1)
        }
    }

    /// The timeouts that `TrackRequest.policy` names by number, from 1; nil: connections that have them get the default ones.
    public func setTimeouts(_ timeouts: TimeoutPolicy?, named number: UInt8) {
        guard let policy = ConnectionTable.policy(named: number) else { return }
        formerPolicies.withLock { former in
            if timeouts == nil { former.insert(policy) } else { former.remove(policy) }
            table.write(timeouts ?? table.timeoutPolicy(0), policy: policy)
        }
    }

    public func hasOwnTimeouts(zone: UInt16) -> Bool { weft_atomic_load(table.zonePolicy(zone)) != 0 }

    /// Over all workers.
    public func total(_ counter: TrackCounter) -> UInt64 {
        var sum = sharedCounters[counter.rawValue]
        for worker in 0..<workers { sum &+= weft_atomic_load(counters(worker) + counter.rawValue) }
        return sum
    }
}
