import CLinux

// The life of a slot: taken from a piece of the slab or from the shard's free list, published, withdrawn, resting until no
// worker can still look at it, free.
//
// A worker may hold the number of a connection from one quiet point to the next. So a withdrawn record rests: it is put on
// a list with the epoch of that moment, and upkeep raises the epoch. Every worker announces, at each quiet point, the epoch
// that it sees; once all have announced a later one than the list's, the list may be used again. Two lists take turns.
extension ConnectionTable {
    /// Slots taken from the slab at a time.
    private static var pieceSize: UInt32 { 32 }

    /// 0 if there is none left.
    func takeSlot(_ shard: Int) -> UInt32 {
        let body = shards + shard
        let free = body.pointee.free
        if free != 0 {
            let next = connection(free).nextFree.pointee
            body.pointee.free = next
            connection(next).prefetch()
            return free
        }
        if body.pointee.pieceLeft == 0 {
            guard weft_atomic_load(shared(.nextSlot)) &+ UInt64(Self.pieceSize) <= UInt64(lastSlot) else { return 0 }
            let start = weft_atomic_fetch_add(shared(.nextSlot), UInt64(Self.pieceSize))
            guard start &+ UInt64(Self.pieceSize) <= UInt64(lastSlot) else { return 0 }
            body.pointee.piece = UInt32(truncatingIfNeeded: start)
            body.pointee.pieceLeft = Self.pieceSize
        }
        let index = body.pointee.piece
        body.pointee.piece &+= 1
        body.pointee.pieceLeft &-= 1
        // The next one will soon be wanted.
        connection(index &+ 1).prefetch()
        return index
    }

    func rest(_ connection: Connection, _ index: UInt32, _ shard: Int) {
        let body = shards + shard
        if body.pointee.resting == 0 {
            body.pointee.restingEpoch = 0
            body.pointee.restingLast = index
        }
        connection.nextFree.pointee = body.pointee.resting
        body.pointee.resting = index
        // The entries must be gone before the epoch is read: who announces a later one does not see them any more.
        weft_fence_ordered()
        body.pointee.restingEpoch = max(body.pointee.restingEpoch, weft_atomic_load_ordered(shared(.epoch)))
    }

    /// Frees what has rested long enough. `passed`: every worker has announced this epoch or a later one. True if
    /// something is resting still.
    func wake(_ shard: Int, passed: UInt64) -> Bool {
        let body = shards + shard
        if body.pointee.resting2 != 0, body.pointee.resting2Epoch < passed { free(shard) }
        if body.pointee.resting2 == 0, body.pointee.resting != 0 {
            body.pointee.resting2 = body.pointee.resting
            body.pointee.resting2Last = body.pointee.restingLast
            body.pointee.resting2Epoch = body.pointee.restingEpoch
            body.pointee.resting = 0
            if body.pointee.resting2Epoch < passed { free(shard) }
        }
        return body.pointee.resting2 != 0
    }

    /// Puts the whole of the second list in front of the free ones.
    private func free(_ shard: Int) {
        let body = shards + shard
        connection(body.pointee.resting2Last).nextFree.pointee = body.pointee.free
        body.pointee.free = body.pointee.resting2
        body.pointee.resting2 = 0
    }
}
