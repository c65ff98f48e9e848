import CLinux
import Memory

/// What a packet did to its connection.
struct ConnectionUpdate {
    var outcome: TrackOutcome
    var counter: TrackCounter?
    /// The expiry was brought forward by more than the wheel can be late.
    var rearms = false
}

extension ConnectionTracker {
    /// Half a minute: a connection that ends this much earlier than its place on the wheel says keeps its memory for as
    /// long; nobody finds it.
    private static var wheelSlack: UInt64 { 64 }

    /// Takes a packet through its connection's state machine. The caller holds the record's lock bit.
    @inline(__always)
    func update(
        _ connection: Connection, _ packet: Packet, _ read: ReadPacket, isReply: Bool, now: UInt64
    ) -> ConnectionUpdate {
        let timeout: TimeoutName
        var result = ConnectionUpdate(outcome: .valid)
        switch connection.kind.pointee {
        case .other:
            let before = connection.progress.pointee
            let progress = isReply ? Progress.answered : max(before, Progress.multiple)
            if progress != before {
                connection.progress.pointee = progress
                connection.revise()
            }
            let isAnswered = progress == Progress.answered
            timeout = isAnswered ? .udpMultiple : .udpSingle
            result.outcome = isAnswered ? .valid : .validNew
        case .query:
            let progress = connection.progress
            if isReply { progress.pointee = Progress.answered }
            let isAnswered = progress.pointee == Progress.answered
            timeout = isAnswered ? .icmpReply : .icmpFirst
            result.outcome = isAnswered ? .valid : .validNew
        case .tcp:
            let segment = TCPSegment(UnsafeRawPointer(packet.pointee.data) + read.l4, byteCount: read.l4Size)
            let policy = TCPPolicy(
                checksSequenceNumbers: weft_atomic_load(table.shared(.checksSequenceNumbers)) != 0,
                isLiberal: weft_atomic_load(table.shared(.isLiberal)) != 0)
            let step = segment.update(connection.peers, isReply: isReply, policy: policy)
            result.outcome = step.outcome
            result.counter = step.counter
            guard let next = step.timeout else { return result }
            timeout = next
        }
        connection.timeout = timeout.place(policy: connection.policy)
        result.rearms = renew(connection, now: now)
        return result
    }

    /// The timeout that runs begins anew. True if the connection ends much earlier than its place on the wheel says.
    @inline(__always)
    func renew(_ connection: Connection, now: UInt64) -> Bool {
        let expiry = now &+ table.timeout(connection.timeout)
        // Mostly it is what another packet of the same millisecond wrote.
        if connection.expiry != expiry { connection.expiry = expiry }
        return ConnectionTable.tick(expiry) &+ Self.wheelSlack < UInt64(connection.armed)
    }
}

extension TimeoutName {
    /// Where it stands in the table's `timeouts`.
    @inline(__always) func place(policy: UInt32) -> UInt32 { policy &<< 4 | UInt32(truncatingIfNeeded: rawValue) }
}

extension ConnectionTable {
    /// Timeout policies: the default one, those of zones, those with names.
    static var policyCount: Int { 1 + 65536 + 255 }

    /// Of a named one, by its number from 1; nil for 0.
    @inline(__always) static func policy(named number: UInt8) -> UInt32? {
        number == 0 ? nil : 65536 &+ UInt32(number)
    }

    /// Of what holds in a zone.
    @inline(__always) func policy(zone: UInt16) -> UInt32 {
        UInt32(truncatingIfNeeded: weft_atomic_load(zonePolicy(zone)))
    }

    /// Milliseconds, of a place that `TimeoutName.place` gave.
    @inline(__always) func timeout(_ place: UInt32) -> UInt64 { weft_atomic_load(timeouts + Int(place)) }

    func write(_ timeoutPolicy: TimeoutPolicy, policy: UInt32) {
        for name in TimeoutName.allCases {
            weft_atomic_store(timeouts + (Int(policy) &* 16 &+ name.rawValue), UInt64(timeoutPolicy[name]) &* 1000)
        }
    }

    func timeoutPolicy(_ policy: UInt32) -> TimeoutPolicy {
        var result = TimeoutPolicy()
        for name in TimeoutName.allCases {
            result[name] = UInt32(clamping: timeout(name.place(policy: policy)) / 1000)
        }
        return result
    }
}
