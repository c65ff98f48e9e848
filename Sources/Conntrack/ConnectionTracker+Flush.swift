import CLinux

// Flushing. A thread that is no worker looks connections up under the shard's lock, since nothing keeps a record for it.

/// How far a flush has come.
public struct FlushProgress: Sendable {
    /// Nil: all zones.
    let zone: UInt16?
    /// Zone and shard that are next, and how many connections of that zone are still to be ended at the most: somewhat more
    /// than were there when its turn came, so that a flush ends however fast new ones begin.
    var at: Int
    var shard = 0
    var left: Int?
    /// Connections ended so far.
    public internal(set) var ended = 0

    public init(zone: UInt16? = nil) {
        self.zone = zone
        at = zone.map(Int.init) ?? 0
    }
}

extension ConnectionTracker {
    /// Ends all connections of a zone, or of every zone. Takes time in proportion to what it ends; no lock is held for
    /// more than 32 connections. Those that begin meanwhile may stay.
    ///
    /// - Returns: how many were ended.
    @discardableResult
    public func flush(zone: UInt16? = nil) -> Int {
        var progress = FlushProgress(zone: zone)
        while flush(&progress, atMost: .max) {}
        return progress.ended
    }

    /// One step of a flush, of about so many connections. False when it is through.
    public func flush(_ progress: inout FlushProgress, atMost: Int) -> Bool {
        let before = progress.ended
        let last = progress.zone.map(Int.init) ?? 65535
        while progress.at <= last, progress.ended - before < atMost {
            flushZone(&progress, most: atMost - (progress.ended - before))
        }
        weft_atomic_add(sharedCounters + TrackCounter.flushed.rawValue, UInt64(progress.ended - before))
        return progress.at <= last
    }

    private func flushZone(_ progress: inout FlushProgress, most: Int) {
        let zone = UInt16(truncatingIfNeeded: progress.at)
        let all = count(zone: zone)
        var left = progress.left ?? (all == 0 ? 0 : all + all / 8 + 32 * ConnectionTable.shardCount)
        let before = progress.ended
        while left > 0, progress.shard < ConnectionTable.shardCount {
            guard progress.ended - before < most else {
                progress.left = left
                return
            }
            let some = flushSome(zone, progress.shard)
            progress.ended += some
            left -= some
            if some < 32 { progress.shard += 1 }
        }
        progress.at += 1
        progress.shard = 0
        progress.left = nil
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
