/// What is known about a connection at one moment.
public struct ConnectionSnapshot: Sendable {
    public var handle: UInt64
    public var original: ConnectionTuple
    public var reply: ConnectionTuple
    public var mark: UInt32
    public var label: UInt128
    /// Of TCP only: state, window scale and whether the handshake was not seen, of the side that began and the other.
    public var states: (TCPState, TCPState)?
    public var scales: (UInt8, UInt8) = (0, 0)
    public var areScaled: (Bool, Bool) = (false, false)
    public var areLiberal: (Bool, Bool) = (false, false)
    /// A packet of the other side was seen.
    public var isAnswered: Bool
    public var isSourceTranslated: Bool
    public var isDestinationTranslated: Bool
    /// Milliseconds until it expires; 0 if it has.
    public var timeLeft: UInt64
    /// Milliseconds since it began.
    public var age: UInt64
    public var packets: (original: UInt64, reply: UInt64)
    public var bytes: (original: UInt64, reply: UInt64)

    public var zone: UInt16 { original.zone }

    /// The caller holds the record's lock bit.
    init(_ connection: Connection, index: UInt32, now: UInt64) {
        handle = ConnectionHandle(index: index, generation: connection.generation).rawValue
        original = connection.original.pointee
        reply = connection.reply.pointee
        mark = connection.mark.pointee
        label = UInt128(connection.label[0]) &<< 64 | UInt128(connection.label[1])
        isSourceTranslated = connection.traits.pointee.contains(.sourceNAT)
        isDestinationTranslated = connection.traits.pointee.contains(.destinationNAT)
        let expiry = connection.expiry
        timeLeft = expiry > now ? expiry - now : 0
        age = connection.age(now)
        let counts = connection.counts
        packets = (counts[0], counts[2])
        bytes = (counts[1], counts[3])
        isAnswered = connection.progress.pointee == Progress.answered
        if connection.kind.pointee == .tcp {
            let a = connection.peers[0]
            let b = connection.peers[1]
            states = (a.state, b.state)
            scales = (a.scale & TCPPeer.scaleMask, b.scale & TCPPeer.scaleMask)
            areScaled = (a.scale & TCPPeer.scaled != 0, b.scale & TCPPeer.scaled != 0)
            areLiberal = (a.scale & TCPPeer.unknown != 0, b.scale & TCPPeer.unknown != 0)
            isAnswered = b.state != .closed
        }
    }
}

extension ConnectionTracker {
    /// Calls `body` with up to `steps` records from the slot `cursor` on, those that live, and moves the cursor on. False
    /// when all have been seen. So a dump of any size is a row of short steps; what begins or ends meanwhile may be
    /// missing. Any thread.
    ///
    /// - Parameter cursor: 1 at first.
    public func visit(
        from cursor: inout UInt32, steps: Int, zone: UInt16? = nil, now: UInt64, _ body: (ConnectionSnapshot) -> Void
    ) -> Bool {
        let end = UInt32(truncatingIfNeeded: min(slotsUsed, UInt64(table.lastSlot)))
        var left = steps
        while cursor < end, left > 0 {
            let index = cursor
            cursor &+= 1
            left -= 1
            if let snapshot = snapshot(index, zone: zone, now: now) { body(snapshot) }
        }
        return cursor < end
    }

    /// Nil if the slot is empty, or its connection has expired or is of another zone.
    func snapshot(_ index: UInt32, zone: UInt16?, now: UInt64) -> ConnectionSnapshot? {
        let connection = table.connection(index)
        guard !connection.hasExpired(now), connection.lock() else { return nil }
        defer { connection.unlock() }
        guard !connection.hasExpired(now), zone == nil || connection.original.pointee.zone == zone else { return nil }
        return ConnectionSnapshot(connection, index: index, now: now)
    }
}
