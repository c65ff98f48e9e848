import CLinux
import Memory

/// Lines of a connection's record that its packets look at, besides that of the control word.
public struct ConnectionLines: OptionSet, Sendable {
    public let rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The state of TCP.
    @inlinable public static var peers: ConnectionLines { ConnectionLines(rawValue: 1) }
    /// Both tuples, for a translation.
    @inlinable public static var tuples: ConnectionLines { ConnectionLines(rawValue: 2) }
}

/// Fetches what `admit` and the translation will look at.
public struct ConnectionPrefetcher {
    @usableFromInline let records: UnsafeMutableRawPointer

    @inlinable @inline(__always)
    public func prefetch(_ guardWord: UInt64, _ lines: ConnectionLines) {
        let connection = records + Int(truncatingIfNeeded: guardWord & 0x1ff_ffff) &* 256
        weft_prefetch_write(connection + 128)
        guard lines.rawValue != 0 else { return }
        weft_prefetch_write(connection + 64)
        if lines.contains(.tuples) { weft_prefetch(connection) }
    }
}

// The way of a packet whose connections are remembered from an earlier packet, by a session, in place of lookups.
//
// `track` leaves a guard in each packet: slot, generation and revision of the connection, or 0 if the next packet might find
// something else. The revision rises whenever something changes that rules can see. So as long as the guard holds, a packet
// of the same key, in the same direction, finds the same state, mark and label, and is translated alike. What is left to be
// done for it is what `admit` does: its lengths and checksums are looked at, TCP takes it through both peers' windows, the
// timeout begins anew. Packets and bytes are counted by the session and credited from time to time.
extension ConnectionTracker {
    public var prefetcher: ConnectionPrefetcher { ConnectionPrefetcher(records: table.records) }

    @inline(__always) private static func slot(_ guardWord: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: guardWord & Connection.slotMask)
    }

    /// Takes a packet of TCP or UDP through the remembered `count` passages of connection tracking, if all guards hold: afterwards
    /// the connections are as if `track` had seen it, but for the counts.
    ///
    /// - Parameter meetings: bit i for each passage that meets its connection for the first time. Others are `.again`.
    /// - Returns: how many passages it has got through. `count`: all. 0: nothing has happened but renewals that the ordinary way
    ///   repeats, and the packet has to go that way. In between: TCP refused it there; the ordinary way is to go on with that passage.
    public func admit(
        _ packet: Packet, _ guards: UnsafePointer<UInt64>, _ tracks: UnsafePointer<SessionTrack>, count: Int,
        meetings: UInt8, isTCP: Bool, now: UInt64
    ) -> Int {
        if isTCP { return admitTCP(packet, guards, tracks, count: count, meetings: meetings, now: now) }
        guard ReadPacket.isPlainUDP(packet) || isSound(packet) else { return 0 }
        // Those in front of a guard that fails are renewed: the packet meets them on the ordinary way, too.
        var left = meetings
        while left != 0 {
            let guardWord = guards[left.trailingZeroBitCount]
            left &= left &- 1
            let connection = table.connection(Self.slot(guardWord))
            guard connection.isAsGuarded(guardWord), !connection.hasExpired(now) else { return 0 }
            if renew(connection, now: now) { rearm(guardWord, now: now) }
        }
        return count
    }

    @inline(never) private func isSound(_ packet: Packet) -> Bool {
        var read = ReadPacket()
        return read.read(packet, zone: 0, isVerified: false) == .none
    }

    @inline(never) private func rearm(_ guardWord: UInt64, now: UInt64) {
        table.rearm(Self.slot(guardWord), generation: Self.generation(guardWord), now: now)
    }

    private static func generation(_ guardWord: UInt64) -> UInt64 { guardWord &>> 37 }

    @inline(never)
    private func admitTCP(
        _ packet: Packet, _ guards: UnsafePointer<UInt64>, _ tracks: UnsafePointer<SessionTrack>, count: Int,
        meetings: UInt8, now: UInt64
    ) -> Int {
        var left = meetings
        while left != 0 {
            let guardWord = guards[left.trailingZeroBitCount]
            left &= left &- 1
            let connection = table.connection(Self.slot(guardWord))
            guard connection.isAsGuarded(guardWord), !connection.hasExpired(now) else { return 0 }
        }
        var read = ReadPacket()
        guard read.read(packet, zone: 0, isVerified: false) == .none else { return 0 }
        let segment = TCPSegment(UnsafeRawPointer(packet.pointee.data) + read.l4, byteCount: read.l4Size)
        // A SYN may begin the connection anew.
        guard !segment.has(TCPFlag.syn) else { return 0 }
        let policy = TCPPolicy(
            checksSequenceNumbers: weft_atomic_load(table.shared(.checksSequenceNumbers)) != 0,
            isLiberal: weft_atomic_load(table.shared(.isLiberal)) != 0)
        left = meetings
        while left != 0 {
            let i = left.trailingZeroBitCount
            left &= left &- 1
            let connection = table.connection(Self.slot(guards[i]))
            guard connection.lock(generation: Self.generation(guards[i])) else { return i }
            let step = segment.update(connection.peers, isReply: tracks[i].traits.contains(.reply), policy: policy)
            guard step.outcome == .valid else {
                connection.unlock()
                return i
            }
            var rearms = false
            if let next = step.timeout {
                connection.timeout = next.place(policy: connection.policy)
                rearms = renew(connection, now: now)
            }
            connection.unlock()
            if rearms { rearm(guards[i], now: now) }
        }
        return count
    }

    /// What admitted IPv4 packets are translated to as long as the guard holds.
    public func translation(_ guardWord: UInt64, isReply: Bool) -> IPv4Translation {
        let connection = table.connection(Self.slot(guardWord))
        return IPv4Translation(answering: UnsafePointer(isReply ? connection.original : connection.reply))
    }

    /// Translates an admitted packet as the connection of the guard says.
    public func translate(_ packet: Packet, _ guardWord: UInt64, isReply: Bool) {
        let connection = table.connection(Self.slot(guardWord))
        let tuple = UnsafePointer(isReply ? connection.original : connection.reply)
        if tuple.pointee.isIPv6 {
            packet.translate(to: tuple.pointee.reversed)
        } else {
            packet.translateWhole(IPv4Translation(answering: tuple), isTCP: connection.kind.pointee == .tcp)
        }
    }

    /// Makes an admitted packet what `track` would have left: for one that has to leave the remembered way behind this passage.
    public func recall(_ packet: Packet, _ guardWord: UInt64, _ track: SessionTrack) {
        let connection = table.connection(Self.slot(guardWord))
        guard connection.lock(generation: Self.generation(guardWord)) else { return Self.clear(packet) }
        let tuple =
            connection.traits.pointee.contains(.related) ? parentTuple(connection) : connection.original.pointee
        write(
            packet, state: UInt64(track.state), zone: track.zone, mark: connection.mark.pointee,
            label: (connection.label[0], connection.label[1]), tuple)
        connection.unlock()
        var handle = ConnectionHandle(index: Self.slot(guardWord), generation: Self.generation(guardWord)).rawValue
        handle |= ConnectionHandle.verified
        if track.traits.contains(.reply) { handle |= ConnectionHandle.replies }
        if track.traits.contains(.settled) { handle |= ConnectionHandle.settled }
        packet.pointee.connection = handle
        packet.pointee.guardWord = 0
    }

    /// Credits a connection with packets that were admitted. One that has ended since is forgotten with its counts.
    public func credit(_ guardWord: UInt64, _ track: SessionTrack, packets: UInt64, bytes: UInt64) {
        guard !track.traits.contains(.again) else { return }
        let connection = table.connection(Self.slot(guardWord))
        guard connection.lock(generation: Self.generation(guardWord)) else { return }
        let counts = connection.counts + (track.traits.contains(.reply) ? 2 : 0)
        weft_count(counts, packets)
        weft_count(counts + 1, bytes)
        connection.unlock()
    }

    /// Counts admitted packets as the worker's, one passage.
    public func count(_ track: SessionTrack, packets: UInt64, worker: Int) {
        let counters = counters(worker)
        weft_count(counters + TrackCounter.resumed.rawValue, packets)
        let counter: TrackCounter =
            track.traits.contains(.again)
            ? .repeated
            : UInt64(track.state) & TrackState.established != 0 ? .established : .new
        weft_count(counters + counter.rawValue, packets)
    }

    /// Whether a guard holds, but for expiry: whether what is remembered under it can be of use.
    public func holds(_ guardWord: UInt64) -> Bool { table.connection(Self.slot(guardWord)).isAsGuarded(guardWord) }

    /// Slot and generation of a guard: which connection it guards.
    public static func isSameConnection(_ a: UInt64, _ b: UInt64) -> Bool {
        (a ^ b) & ~(0xfff &<< 25) == 0
    }
}
