import CLinux

// Changes of the index. The caller holds the shard's lock.
extension ConnectionTable {
    /// Entries that a bucket holds on average when the table stops growing.
    private static var load: UInt64 { 4 }

    /// False if there is no room for a further overflow bucket.
    func addEntry(_ hash: UInt64, _ index: UInt32) -> Bool {
        let shard = Self.shard(hash)
        let body = shards + shard
        let address = weft_atomic_load(addressWord(shard))
        guard place(Self.tag(hash) &<< 32 | UInt64(index), in: home(hash), shard) else { return false }
        body.pointee.entries &+= 1
        let count = address & 0xffff_ffff
        if body.pointee.entries > count &* Self.load, count < UInt64(bucketLimit) { split(shard) }
        return true
    }

    private func place(_ entry: UInt64, in first: UnsafeMutablePointer<UInt64>, _ shard: Int) -> Bool {
        var line = first
        while true {
            for i in 0..<Self.entriesPerBucket where weft_atomic_load(line + i) == 0 {
                weft_atomic_store_release(line + i, entry)
                return true
            }
            let next = weft_atomic_load(line + 7)
            if next == 0 { break }
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
        let number = takeOverflow(shard)
        guard number != 0 else { return false }
        let fresh = overflow + Int(number) &* 8
        weft_atomic_store(fresh, entry)
        weft_atomic_store_release(line + 7, UInt64(number))
        return true
    }

    /// Takes an entry out. The hole is filled from the end of the chain, so that chains stay as short as they can be.
    func removeEntry(_ hash: UInt64, _ index: UInt32) {
        let shard = Self.shard(hash)
        let entry = Self.tag(hash) &<< 32 | UInt64(index)
        var hole: UnsafeMutablePointer<UInt64>?
        var last: UnsafeMutablePointer<UInt64>?
        var line = home(hash)
        var before: UnsafeMutablePointer<UInt64>?
        while true {
            for i in 0..<Self.entriesPerBucket {
                let seen = weft_atomic_load(line + i)
                if seen == entry { hole = line + i }
                if seen != 0 { last = line + i }
            }
            let next = weft_atomic_load(line + 7)
            if next == 0 { break }
            before = line
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
        guard let hole, let last else { return }
        shards[shard].entries &-= 1
        if hole == last {
            weft_atomic_store(hole, 0)
        } else {
            beginMove(shard)
            weft_atomic_store_release(hole, weft_atomic_load(last))
            weft_atomic_store_release(last, 0)
            endMove(shard)
        }
        if let before, isEmpty(line) { giveBackOverflow(after: before, shard) }
    }

    private func isEmpty(_ line: UnsafeMutablePointer<UInt64>) -> Bool {
        for i in 0..<Self.entriesPerBucket where weft_atomic_load(line + i) != 0 { return false }
        return true
    }

    private func beginMove(_ shard: Int) {
        weft_atomic_store(versionWord(shard), weft_atomic_load(versionWord(shard)) &+ 1)
        weft_fence_release()
    }

    private func endMove(_ shard: Int) {
        weft_atomic_store_release(versionWord(shard), weft_atomic_load(versionWord(shard)) &+ 1)
    }

    /// Divides the next bucket in turn between itself and a new one at the end.
    private func split(_ shard: Int) {
        let address = weft_atomic_load(addressWord(shard))
        let count = address & 0xffff_ffff
        let mask = address &>> 32
        // Before the split, numbers run to `count`, a power of two at the start of a round; `mask` covers twice as many.
        let old = count & mask &>> 1
        let grown = count &+ 1
        let newMask = grown > mask ? mask &<< 1 | 1 : mask
        let newAddress = newMask &<< 32 | grown
        beginMove(shard)
        var line = bucket(shard, old)
        let target = bucket(shard, count)
        while true {
            for i in 0..<Self.entriesPerBucket {
                let entry = weft_atomic_load(line + i)
                guard entry != 0, Self.number(entry &>> 32, newAddress) == count else { continue }
                // Without room for an overflow bucket the split is off; what has moved is found in neither place
                // unless it goes back.
                guard place(entry, in: target, shard) else {
                    moveBack(shard, from: target, to: bucket(shard, old))
                    endMove(shard)
                    return
                }
                weft_atomic_store(line + i, 0)
            }
            let next = weft_atomic_load(line + 7)
            if next == 0 { break }
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
        compact(shard, bucket(shard, old))
        weft_atomic_store_release(addressWord(shard), newAddress)
        endMove(shard)
        prefetchNextSplit(shard, newAddress)
    }

    /// Asks for the two buckets of the split after this one: it comes four entries later, when they will long be there.
    private func prefetchNextSplit(_ shard: Int, _ address: UInt64) {
        let count = address & 0xffff_ffff
        guard count < UInt64(bucketLimit) else { return }
        weft_prefetch_write(bucket(shard, count & (address &>> 33)))
        weft_prefetch_write(bucket(shard, count))
    }

    /// The chain it came from has room for everything that left it.
    private func moveBack(
        _ shard: Int, from target: UnsafeMutablePointer<UInt64>, to old: UnsafeMutablePointer<UInt64>
    ) {
        var line = target
        while true {
            for i in 0..<Self.entriesPerBucket {
                let entry = weft_atomic_load(line + i)
                if entry != 0 { _ = place(entry, in: old, shard) }
                weft_atomic_store(line + i, 0)
            }
            let next = weft_atomic_load(line + 7)
            if next == 0 { break }
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
        while weft_atomic_load(target + 7) != 0 { dropLastOverflow(target, shard) }
    }

    /// Moves the entries of a chain to its front and gives back the overflow buckets that this empties.
    private func compact(_ shard: Int, _ first: UnsafeMutablePointer<UInt64>) {
        guard weft_atomic_load(first + 7) != 0 else { return }
        var target = first
        var slot = 0
        var line = first
        while true {
            for i in 0..<Self.entriesPerBucket {
                let entry = weft_atomic_load(line + i)
                guard entry != 0 else { continue }
                weft_atomic_store(line + i, 0)
                if slot == Self.entriesPerBucket {
                    target = overflow + Int(truncatingIfNeeded: weft_atomic_load(target + 7)) &* 8
                    slot = 0
                }
                weft_atomic_store(target + slot, entry)
                slot &+= 1
            }
            let next = weft_atomic_load(line + 7)
            if next == 0 { break }
            line = overflow + Int(truncatingIfNeeded: next) &* 8
        }
        while weft_atomic_load(target + 7) != 0 { dropLastOverflow(target, shard) }
    }

    /// Gives back the last bucket of the chain from `first` on; there is one behind it.
    private func dropLastOverflow(_ first: UnsafeMutablePointer<UInt64>, _ shard: Int) {
        var before = first
        while true {
            let line = overflow + Int(truncatingIfNeeded: weft_atomic_load(before + 7)) &* 8
            if weft_atomic_load(line + 7) == 0 { break }
            before = line
        }
        unlinkOverflow(after: before, shard)
    }

    private func giveBackOverflow(after before: UnsafeMutablePointer<UInt64>, _ shard: Int) {
        beginMove(shard)
        unlinkOverflow(after: before, shard)
        endMove(shard)
    }

    /// A reader may be in the bucket, and follow it into another chain when it is used again; the version tells it.
    private func unlinkOverflow(after before: UnsafeMutablePointer<UInt64>, _ shard: Int) {
        let number = UInt32(truncatingIfNeeded: weft_atomic_load(before + 7))
        weft_atomic_store_release(before + 7, 0)
        let line = overflow + Int(number) &* 8
        freeOverflowNext(line).pointee = shards[shard].freeOverflow
        shards[shard].freeOverflow = number
    }

    /// Free buckets are linked through a word of the slack behind the overflow area, one for each.
    private func freeOverflowNext(_ line: UnsafeMutablePointer<UInt64>) -> UnsafeMutablePointer<UInt32> {
        let number = (line - overflow) / 8
        let end = (Int(overflowLimit) &+ 1) &* 8
        let links = UnsafeMutableRawPointer(overflow + end)
        return links.assumingMemoryBound(to: UInt32.self) + number
    }

    private func takeOverflow(_ shard: Int) -> UInt32 {
        let free = shards[shard].freeOverflow
        if free != 0 {
            shards[shard].freeOverflow = freeOverflowNext(overflow + Int(free) &* 8).pointee
            return free
        }
        let next = shared(.nextOverflow)
        guard weft_atomic_load(next) <= UInt64(overflowLimit) else { return 0 }
        let number = weft_atomic_fetch_add(next, 1)
        return number <= UInt64(overflowLimit) ? UInt32(truncatingIfNeeded: number) : 0
    }
}
