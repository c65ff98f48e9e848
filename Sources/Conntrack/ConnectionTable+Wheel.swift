import CLinux

// One timer wheel a shard: four levels of 64 slots, a tick of 512 milliseconds. So the levels reach 32 seconds, 35
// minutes, 37 hours and 99 days; what is later than that is looked at then.
//
// A packet only writes the time of expiry into the record. When the wheel comes to a record that has time left, it arms it
// anew. Only a packet that brings the expiry forward, as at the end of a TCP connection, moves its record on the wheel.
extension ConnectionTable {
    static var tickShift: UInt64 { 9 }

    /// The first tick at which a connection with this expiry is certainly over.
    @inline(__always) static func tick(_ milliseconds: UInt64) -> UInt64 { (milliseconds &>> tickShift) &+ 1 }

    /// Puts a record on the wheel by its expiry. The caller holds the shard's lock.
    func arm(_ connection: Connection, _ index: UInt32, _ shard: Int, now: UInt64) {
        let body = shards + shard
        // A wheel that was empty has nothing to catch up with.
        if body.pointee.connections <= 1 { body.pointee.tick = max(body.pointee.tick, now &>> Self.tickShift) }
        let current = body.pointee.tick
        let due = max(Self.tick(connection.expiry), current &+ 1)
        let distance = min(due &- current, 1 &<< 24 &- 1)
        let target = current &+ distance
        let level = distance < 64 ? 0 : distance < 1 &<< 12 ? 1 : distance < 1 &<< 18 ? 2 : 3
        let slot = level &* 64 &+ Int(truncatingIfNeeded: (target &>> UInt64(6 &* level)) & 63)
        connection.armed = UInt32(truncatingIfNeeded: target)
        connection.wheelSlot.pointee = UInt32(slot)
        let first = body.pointee.wheel[unchecked: slot]
        connection.wheelNext.pointee = first
        connection.wheelPrevious.pointee = 0
        if first != 0 { self.connection(first).wheelPrevious.pointee = index }
        body.pointee.wheel[unchecked: slot] = index
        if level == 0 { body.pointee.occupied |= 1 &<< UInt64(slot) }
    }

    func disarm(_ connection: Connection, _ index: UInt32, _ shard: Int) {
        let next = connection.wheelNext.pointee
        let previous = connection.wheelPrevious.pointee
        if next != 0 { self.connection(next).wheelPrevious.pointee = previous }
        if previous != 0 {
            self.connection(previous).wheelNext.pointee = next
        } else {
            let slot = Int(connection.wheelSlot.pointee) & 255
            shards[shard].wheel[unchecked: slot] = next
            if next == 0, slot < 64 { shards[shard].occupied &= ~(1 &<< UInt64(slot)) }
        }
    }

    /// Moves a record whose expiry was brought forward.
    @inline(never)
    func rearm(_ index: UInt32, generation: UInt64, now: UInt64) {
        let connection = connection(index)
        let shard = Self.shard(connection.originalHash)
        lock(shard)
        if connection.lock(generation: generation) {
            if Self.shard(connection.originalHash) == shard {
                disarm(connection, index, shard)
                arm(connection, index, shard, now: now)
            }
            connection.unlock()
        }
        unlock(shard)
    }

    /// What one step of a wheel did.
    struct Step {
        var looked = 0
        var expired = 0
        /// The wheel has reached the present.
        var isDone = false
    }

    /// Runs a shard's wheel towards `now` and ends what is due, looking at about `budget` records or ticks. The lock is
    /// held for 32 of them at a time.
    func expire(_ shard: Int, now: UInt64, budget: Int) -> Step {
        var step = Step()
        while step.looked < budget, !step.isDone {
            lock(shard)
            expireLocked(shard, now: now, &step)
            unlock(shard)
        }
        return step
    }

    private func expireLocked(_ shard: Int, now: UInt64, _ step: inout Step) {
        let body = shards + shard
        let present = now &>> Self.tickShift
        var left = 32
        while left > 0 {
            guard body.pointee.tick <= present else {
                step.isDone = true
                return
            }
            if body.pointee.connections == 0 {
                body.pointee.tick = present &+ 1
                step.isDone = true
                return
            }
            left &-= 1
            step.looked &+= 1
            guard let index = due(body) else {
                body.pointee.tick = min(Self.next(body), present &+ 1)
                continue
            }
            let connection = connection(index)
            guard connection.hasExpired(now) else {
                // On the tick itself, time may be left.
                disarm(connection, index, shard)
                arm(connection, index, shard, now: now)
                continue
            }
            guard endExpired(connection, index, shard) else {
                // Its other shard is busy: once more at the next tick.
                disarm(connection, index, shard)
                arm(connection, index, shard, now: now)
                continue
            }
            step.expired &+= 1
        }
    }

    /// The next tick with something in the first level, or at which a slot of another level opens.
    private static func next(_ body: UnsafeMutablePointer<Shard>) -> UInt64 {
        let tick = body.pointee.tick &+ 1
        let ahead = body.pointee.occupied &>> (tick & 63)
        if tick & 63 == 0 || ahead & 1 != 0 { return tick }
        return ahead == 0 ? tick | 63 &+ 1 : tick &+ UInt64(ahead.trailingZeroBitCount)
    }

    /// The first record of the slots that the wheel's tick opens.
    private func due(_ body: UnsafeMutablePointer<Shard>) -> UInt32? {
        let tick = body.pointee.tick
        var level = 0
        while level < 4, level == 0 || tick & (1 &<< UInt64(6 &* level) &- 1) == 0 {
            let slot = level &* 64 &+ Int(truncatingIfNeeded: (tick &>> UInt64(6 &* level)) & 63)
            let index = body.pointee.wheel[unchecked: slot]
            if index != 0 { return index }
            level &+= 1
        }
        return nil
    }

    /// Ends a connection under its own shard's lock. The lock of a lower shard can only be tried for: waiting would
    /// reverse the order of locks. False if it was taken.
    private func endExpired(_ connection: Connection, _ index: UInt32, _ shard: Int) -> Bool {
        let other = Self.shard(connection.replyHash)
        if other > shard {
            lock(other)
        } else if other < shard {
            guard tryLock(other) else { return false }
        }
        let ended = removeLocked(index, generation: connection.generation, shard)
        if other != shard { unlock(other) }
        return ended
    }
}
