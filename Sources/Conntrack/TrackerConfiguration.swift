import Base

/// What a tracker is made with. Limits, timeouts and checks can be changed later; the capacity cannot.
public struct TrackerConfiguration: Sendable {
    /// Connections at the same time, over all zones. OVS: 3,000,000.
    public var limit: UInt32 = 3_000_000
    /// Most that `limit` can be raised to: address space is reserved for as many (about 400 bytes each), memory is not
    /// taken before it is used.
    public var capacity: UInt32 = 4_000_000
    /// Connections of a zone that has no limit of its own; 0 is no limit.
    public var defaultZoneLimit: UInt32 = 0
    /// TCP segments outside the window are invalid (`tcp-seq-check`).
    public var checksSequenceNumbers = true
    /// Of segments outside the window only resets are invalid.
    public var isLiberal = false
    /// A TCP connection may be picked up after its handshake.
    public var picksUpMidstream = true
    /// When a limit is reached, the least valuable connection goes for a new one if it is at least as old.
    /// Milliseconds; `UInt64.max` refuses the new one instead.
    public var earlyDropAge: UInt64 = 1000
    /// Makes the hash unpredictable. Tests give a value of their own.
    public var seed: UInt64

    public init(seed: UInt64 = .random(in: 1 ... .max)) { self.seed = seed }
}

/// How a connection came to be refused or removed, and what packets turned out to be. Counted for each worker.
public enum TrackCounter: Int, CaseIterable, Sendable {
    /// Packets by what they turned out to be; every tracked packet is in one of these.
    case new, established, related, invalid
    /// Packets that met their own connection again in the same zone.
    case repeated
    case created, expired, flushed, replaced
    /// Gave way to a new connection at a limit.
    case earlyDrop
    /// Not committed.
    case refusedByLimit, refusedByZoneLimit, refusedByMemory, natExhausted
    /// Not committed: its answers would be those of a translated connection.
    case clash
    case malformed, badNetworkChecksum, badTransportChecksum
    case badTCPFlags, outsideWindow, notFirstPacket
    /// ICMP errors about a packet of no connection.
    case unknownError
    /// Packets that a session took to their connection without a lookup.
    case resumed

    public static var count: Int { 32 }
}

/// What becomes of a packet after `track`.
public enum TrackVerdict: Equatable, Sendable {
    case tracked
    case drop(DropReason)
    /// As `drop`, and whoever sent it is told so.
    case refuse(DropReason)

    /// Why the packet goes no further; nil if it does.
    @inlinable public var reason: DropReason? {
        switch self {
        case .tracked: nil
        case .drop(let reason), .refuse(let reason): reason
        }
    }
}
