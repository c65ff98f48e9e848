import CLinux
import Memory

// The way of a packet whose connection is remembered from an earlier packet: by a session, in place of a lookup.
extension ConnectionTracker {
    /// Does to the packet, and to its connection, exactly what `track` would do, without looking the connection up: checks
    /// the packet's lengths and checksums, takes it through the protocol's state machine (TCP windows too), counts it,
    /// renews the timeout, sets mark and label, translates, and fills `isTracked`, `tracking` and `connection`.
    ///
    /// The caller warrants that the handle was left by `track` for an equal request. That the packet is of the connection,
    /// and in the same direction, is checked: a flow key does not hold everything that names one (identifiers of ICMP).
    ///
    /// - Parameter handle: `PacketHeader.connection` as `track` left it.
    /// - Returns: word 19 of the flow key: mark (32 bits), zone (16), state (8), protocol (8); the label is in
    ///   `tracking[1]` and `tracking[2]`. The caller compares them with its guard, and goes on with the ordinary lookup
    ///   from there if they differ. Nil, and nothing has happened: the connection has ended, begins anew, is another's or
    ///   was never committed, the packet is invalid or an ICMP error, or it was in the same zone just before (`track`
    ///   does not look it up either then). Call `track`.
    public func resume(
        _ handle: UInt64, _ packet: Packet, _ request: UnsafePointer<TrackRequest>, now: UInt64, worker: Int
    ) -> UInt64? {
        let remembered = ConnectionHandle(rawValue: handle)
        var step = TrackStep(packet: packet, request: request, now: now, worker: worker, counters: counters(worker))
        guard remembered.index != 0, remembered.index <= table.lastSlot, !remembered.isRelated,
            !(request.pointee.forces && remembered.isReply), !request.pointee.steers, !request.pointee.isOneSided
        else {
            step.count(.notResumed)
            return nil
        }
        let connection = table.connection(remembered.index)
        weft_prefetch(connection.base + 64)
        weft_prefetch(connection.base + 128)
        if packet.pointee.isTracked {
            guard UInt16(truncatingIfNeeded: packet.pointee.tracking[0] &>> 16) != step.zone else {
                step.count(.notResumed)
                return nil
            }
            step.kept = packet.pointee.connection & ConnectionHandle.verified
        }
        guard step.read.read(packet, zone: step.zone, isVerified: step.kept != 0) == .none, !step.read.isRelated,
            connection.lock(generation: remembered.generation)
        else {
            step.count(.notResumed)
            return nil
        }
        let tuple = remembered.isReply ? connection.reply : connection.original
        guard tuple.pointee == step.read.tuple, !connection.hasExpired(now), !connection.traits.pointee.isFollowed,
            !reopens(connection, step)
        else {
            connection.unlock()
            step.count(.notResumed)
            return nil
        }
        step.kept = ConnectionHandle.verified
        step.isReply = remembered.isReply
        let update = update(connection, packet, step.read, isReply: step.isReply, now: now)
        if let counter = update.counter { step.count(counter) }
        step.state = Self.state(0, update.outcome, isReply: step.isReply)
        if connection.traits.pointee.contains(.related), update.outcome != .invalid {
            step.state |= TrackState.related
        }
        step.count(Self.counter(update.outcome))
        step.count(.resumed)
        Self.count(connection, step)
        if request.pointee.translates, connection.traits.pointee.translates { translate(&step, connection) }
        finish(&step, connection, index: remembered.index, generation: remembered.generation)
        connection.unlock()
        if update.rearms {
            table.rearm(remembered.index, generation: remembered.generation, now: now)
        }
        return packet.pointee.tracking[0]
    }

    /// A SYN on a closed TCP connection.
    @inline(__always) private func reopens(_ connection: Connection, _ step: TrackStep) -> Bool {
        guard connection.kind.pointee == .tcp, connection.peers[0].state >= .finWait2 else { return false }
        let flags = (UnsafeRawPointer(step.packet.pointee.data) + (step.read.l4 &+ 13)).load(as: UInt8.self)
        return flags & 0x12 == 0x02
    }
}

// Hiding memory latency: for all packets of a burst first `prefetch`, then `prefetchConnection`, then `track`.
extension ConnectionTracker {
    /// Fetches the index bucket that `track` will begin in. Returns what `prefetchConnection` wants; 0 for a packet that
    /// has no tuple of its own.
    public func prefetch(_ packet: Packet, zone: UInt16) -> UInt64 {
        var read = ReadPacket()
        guard read.read(packet, zone: zone, isVerified: true) == .none else { return 0 }
        let hash = table.hash(read.tuple)
        weft_prefetch(table.home(hash))
        return hash
    }

    /// Fetches the connection of a packet, as far as the first bucket tells which it is.
    public func prefetchConnection(_ hash: UInt64) {
        guard hash != 0 else { return }
        let line = table.home(hash)
        for i in 0..<ConnectionTable.entriesPerBucket {
            let entry = weft_atomic_load(line + i)
            guard entry &>> 32 == ConnectionTable.tag(hash), entry != 0 else { continue }
            let connection = table.connection(UInt32(truncatingIfNeeded: entry))
            weft_prefetch_write(connection.base)
            weft_prefetch(connection.base + 64)
            weft_prefetch_write(connection.base + 128)
            return
        }
    }

    /// Fetches the connection of a handle, ahead of `resume`.
    @inline(__always) public func prefetchHandle(_ handle: UInt64) {
        let connection = table.connection(UInt32(truncatingIfNeeded: handle))
        weft_prefetch_write(connection.base)
        weft_prefetch(connection.base + 64)
        weft_prefetch_write(connection.base + 128)
    }
}
