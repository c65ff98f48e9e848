import CLinux

/// Counts over many connections, by protocol and state.
public struct ConnectionSummary: Sendable {
    public var total = 0
    public var byProtocol: [ProtocolIndex: Int] = [:]
    /// Of TCP, by the state that a dump shows.
    public var tcpStates: [TCPState: Int] = [:]
    /// Not TCP: answered and not.
    public var answered = 0
    public var unanswered = 0
    public var byZone: [UInt16: Int] = [:]
    /// Those with most bytes, both directions together, the greatest first.
    public var talkers: [ConnectionSnapshot] = []

    public init() {}

    /// - Parameter talkers: how many top talkers are kept.
    public mutating func add(_ connection: ConnectionSnapshot, talkers most: Int = 0) {
        total += 1
        byProtocol[ProtocolIndex(connection.original), default: 0] += 1
        byZone[connection.zone, default: 0] += 1
        if let states = connection.states {
            tcpStates[TCPState.shown(states.0, states.1), default: 0] += 1
        } else if connection.isAnswered {
            answered += 1
        } else {
            unanswered += 1
        }
        guard most > 0 else { return }
        let size = connection.totalBytes
        if talkers.count == most, let last = talkers.last, last.totalBytes >= size { return }
        let place = talkers.firstIndex { $0.totalBytes < size } ?? talkers.count
        talkers.insert(connection, at: place)
        if talkers.count > most { talkers.removeLast() }
    }
}

extension ConnectionSnapshot {
    public var totalBytes: UInt64 { bytes.original &+ bytes.reply }
}

extension ConnectionTracker {
    /// Connections by protocol, without a walk.
    public func count(of index: ProtocolIndex) -> Int {
        Int(truncatingIfNeeded: weft_atomic_load(table.shared(.byProtocol) + index.rawValue))
    }

    /// Slots of the slab that were ever used.
    public var slotsUsed: UInt64 { weft_atomic_load(table.shared(.nextSlot)) }

    /// Bytes of memory that connections have taken so far, index included.
    public var memoryUsed: Int {
        var buckets = 0
        for shard in 0..<ConnectionTable.shardCount {
            buckets += Int(weft_atomic_load(table.addressWord(shard)) & 0xffff_ffff)
        }
        buckets += Int(weft_atomic_load(table.shared(.nextOverflow)))
        return Int(slotsUsed) * Connection.size + buckets * 64
    }
}
