import CLinux

/// A connection that is to be.
struct NewConnection {
    var original = ConnectionTuple()
    var originalHash: UInt64 = 0
    var reply = ConnectionTuple()
    var replyHash: UInt64 = 0
    var traits = ConnectionTraits(rawValue: 0)
    var kind = ProtocolKind.other
    var peers: (TCPPeer, TCPPeer) = (TCPPeer(), TCPPeer())
    /// Which timeout runs, of which policy.
    var timeout: UInt32 = 0
    var expiry: UInt64 = 0
    var mark: UInt32 = 0
    var labelHigh: UInt64 = 0
    var labelLow: UInt64 = 0
    var parent: UInt64 = 0
    var byteCount: UInt64 = 0
    var backend: UInt32 = 0
}

enum InsertResult {
    case inserted(UInt32)
    /// Somebody else has the original tuple by now.
    case exists
    /// Somebody else has the reply tuple, and it was chosen: another may be free.
    case replyTaken
    /// Somebody else has it, and it is the mirror image of the original: packets of one end would be taken for another
    /// connection's, one that is translated.
    case clash
    case outOfMemory
}

// Making and ending connections.
extension ConnectionTable {
    /// Enters a connection, unless one with either tuple is there.
    func insert(_ new: borrowing NewConnection, now: UInt64) -> InsertResult {
        let shard = Self.shard(new.originalHash)
        let other = new.traits.contains(.hasReplyEntry) ? Self.shard(new.replyHash) : shard
        lock(shard, other)
        defer { unlock(shard, other) }
        guard find(new.original, new.originalHash, now: now) == nil else { return .exists }
        if new.traits.contains(.hasReplyEntry) {
            if find(new.reply, new.replyHash, now: now) != nil { return .replyTaken }
        } else if find(new.reply, new.originalHash, now: now) != nil {
            return .clash
        }
        let index = takeSlot(shard)
        guard index != 0 else { return .outOfMemory }
        let connection = connection(index)
        fill(connection, new, now: now)
        connection.publish()
        guard addEntry(new.originalHash, index) else {
            abandon(connection, index, shard)
            return .outOfMemory
        }
        if new.traits.contains(.hasReplyEntry), !addEntry(new.replyHash, index) {
            removeEntry(new.originalHash, index)
            abandon(connection, index, shard)
            return .outOfMemory
        }
        linkZone(connection, index, shard)
        shards[shard].connections &+= 1
        arm(connection, index, shard, now: now)
        weft_atomic_add(shared(.total), 1)
        weft_atomic_add(shared(.byProtocol) + ProtocolIndex(new.original).rawValue, 1)
        weft_atomic_add(zoneCount(new.original.zone), 1)
        if new.backend != 0 { weft_atomic_add(backendCounts + Int(new.backend), 1) }
        return .inserted(index)
    }

    private func fill(_ connection: Connection, _ new: borrowing NewConnection, now: UInt64) {
        connection.original.pointee = new.original
        connection.reply.pointee = new.reply
        connection.label[0] = new.labelHigh
        connection.label[1] = new.labelLow
        connection.mark.pointee = new.mark
        connection.progress.pointee = Progress.first
        connection.kind.pointee = new.kind
        connection.traits.pointee = new.traits
        connection.peers[0] = new.peers.0
        connection.peers[1] = new.peers.1
        weft_atomic_store(connection.counts, 1)
        weft_atomic_store(connection.counts + 1, new.byteCount)
        weft_atomic_store(connection.counts + 2, 0)
        weft_atomic_store(connection.counts + 3, 0)
        connection.born = now
        connection.timeout = new.timeout
        connection.originalHash = new.originalHash
        connection.replyHash = new.traits.contains(.hasReplyEntry) ? new.replyHash : new.originalHash
        connection.parent.pointee = new.parent
        connection.skew.initialize(to: SequenceSkew())
        connection.backend = new.backend
        connection.expiry = new.expiry
    }

    private func abandon(_ connection: Connection, _ index: UInt32, _ shard: Int) {
        if connection.lock() { connection.withdraw() }
        rest(connection, index, shard)
    }

    /// Ends a connection. False if it had ended already.
    ///
    /// - Parameter condition: asked with the record's lock bit held; if not true, the connection goes on.
    @discardableResult
    func remove(
        _ index: UInt32, generation: UInt64, where condition: (Connection) -> Bool = { _ in true }
    ) -> Bool {
        let connection = connection(index)
        // The hashes are read before it is certain that they are those of this generation; they are compared again.
        let hash = connection.originalHash
        let replyHash = connection.replyHash
        let shard = Self.shard(hash)
        let other = Self.shard(replyHash)
        lock(shard, other)
        defer { unlock(shard, other) }
        guard connection.originalHash == hash, connection.replyHash == replyHash else { return false }
        return removeLocked(index, generation: generation, shard, where: condition)
    }

    /// The same with the locks of both its shards held.
    func removeLocked(
        _ index: UInt32, generation: UInt64, _ shard: Int, where condition: (Connection) -> Bool = { _ in true }
    ) -> Bool {
        let connection = connection(index)
        guard connection.lock(generation: generation) else { return false }
        guard condition(connection) else {
            connection.unlock()
            return false
        }
        let hash = connection.originalHash
        let replyHash = connection.replyHash
        let hasReplyEntry = connection.traits.pointee.contains(.hasReplyEntry)
        connection.withdraw()
        removeEntry(hash, index)
        if hasReplyEntry { removeEntry(replyHash, index) }
        unlinkZone(connection, index, shard)
        disarm(connection, index, shard)
        shards[shard].connections &-= 1
        weft_atomic_add(shared(.total), ~0)
        weft_atomic_add(shared(.byProtocol) + ProtocolIndex(connection.original.pointee).rawValue, ~0)
        weft_atomic_add(zoneCount(connection.original.pointee.zone), ~0)
        let backend = connection.backend
        if backend != 0 { weft_atomic_add(backendCounts + Int(backend), ~0) }
        rest(connection, index, shard)
        return true
    }
}

// Zones.
extension ConnectionTable {
    @inline(__always) func zone(_ zone: UInt16) -> UnsafeMutablePointer<Zone> { zones + Int(zone) }

    @inline(__always) func zoneCount(_ zone: UInt16) -> UnsafeMutablePointer<UInt64> {
        UnsafeMutableRawPointer(zones + Int(zone)).assumingMemoryBound(to: UInt64.self)
    }
    @inline(__always) func zoneLimit(_ zone: UInt16) -> UnsafeMutablePointer<UInt64> { zoneCount(zone) + 1 }
    @inline(__always) func zonePolicy(_ zone: UInt16) -> UnsafeMutablePointer<UInt64> { zoneCount(zone) + 2 }
    @inline(__always) func zoneRefused(_ zone: UInt16) -> UnsafeMutablePointer<UInt64> { zoneCount(zone) + 3 }

    @inline(__always) func zoneHead(_ zone: UInt16, _ shard: Int) -> UnsafeMutablePointer<UInt32> {
        zoneHeads + (Int(zone) &* Self.shardCount &+ shard)
    }

    // The list is a ring, so that its oldest member is the one before the first.
    private func linkZone(_ connection: Connection, _ index: UInt32, _ shard: Int) {
        let head = zoneHead(connection.original.pointee.zone, shard)
        let first = head.pointee
        if first == 0 {
            connection.zoneNext.pointee = index
            connection.zonePrevious.pointee = index
        } else {
            let last = self.connection(first).zonePrevious.pointee
            connection.zoneNext.pointee = first
            connection.zonePrevious.pointee = last
            self.connection(first).zonePrevious.pointee = index
            self.connection(last).zoneNext.pointee = index
        }
        head.pointee = index
    }

    private func unlinkZone(_ connection: Connection, _ index: UInt32, _ shard: Int) {
        let head = zoneHead(connection.original.pointee.zone, shard)
        let next = connection.zoneNext.pointee
        let previous = connection.zonePrevious.pointee
        self.connection(next).zonePrevious.pointee = previous
        self.connection(previous).zoneNext.pointee = next
        if head.pointee == index { head.pointee = next == index ? 0 : next }
    }
}
