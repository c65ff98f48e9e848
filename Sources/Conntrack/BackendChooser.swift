// The door between connection tracking and load balancing. Tracking stands below: it knows that some connections belong to a
// backend, by number, and asks for one when such a connection begins. Who the backends are and how one is chosen is in
// the module Balancer, which fills in the two functions below when the switch is made: one chooses, the other is told what became
// of it, since a choice may come to nothing for want of room or of a port.
//
// Only the first packet of a connection comes through here. Plain C functions and raw memory: a call, no reference counting.

/// The question which backend a new connection gets, and the answer.
public struct BackendQuery {
    // The question.
    public var service: UInt32
    public var tuple: ConnectionTuple
    public var now: UInt64

    // The answer.
    public var outcome = Outcome.empty
    /// Number of the backend, from 1.
    public var backend: UInt32 = 0
    public var address: UInt128 = 0
    public var port: UInt16 = 0
    /// Nothing is translated: the backend answers for the service's own address (direct server return).
    public var isDirect = false
    /// Addresses of which the client gets one in place of its own.
    public var translatesSource = false
    public var firstSource: UInt128 = 0
    public var lastSource: UInt128 = 0
    /// Ethernet address that the service stands behind, 48 bits; 0 if it has none of its own.
    public var station: UInt64 = 0
    /// What the choice has to do with earlier ones.
    public var affinity = Affinity.none
    /// Until when that is remembered, milliseconds.
    public var affinityExpiry: UInt64 = 0

    public enum Affinity: UInt8, Sendable {
        case none
        /// The client comes back to the backend that it had.
        case returns
        /// It will come back to this one.
        case begins
    }

    public enum Outcome: UInt8, Sendable {
        case chosen
        /// There is no backend for it; the packet is dropped.
        case empty
        /// There is no backend for it; whoever asks is told so.
        case emptyRefuses
        /// The service is not that of the packet's address and port: a fragment of another datagram.
        case foreign
    }

    @inlinable public init(service: UInt32, tuple: ConnectionTuple, now: UInt64) {
        self.service = service
        self.tuple = tuple
        self.now = now
    }
}

/// How tracking asks. Trivial, and the same for as long as the tracker lives.
public struct BackendChooser: @unchecked Sendable {
    public typealias Choose =
        @convention(c) (_ context: UnsafeMutableRawPointer, _ query: UnsafeMutableRawPointer) -> Void
    public typealias Conclude =
        @convention(c) (_ context: UnsafeMutableRawPointer, _ query: UnsafeMutableRawPointer, _ isMade: Bool) -> Void

    let context: UnsafeMutableRawPointer
    let choose: Choose
    /// Called once for each `chosen`, but where somebody else made the connection meanwhile.
    let conclude: Conclude
    /// Ethernet addresses of backends by number, 48 bits, 0 where unknown; changed with atomic stores.
    let stations: UnsafeMutablePointer<UInt64>

    /// - Parameter context: outlives the tracker's use.
    public init(
        context: UnsafeMutableRawPointer, stations: UnsafeMutablePointer<UInt64>, choose: @escaping Choose,
        conclude: @escaping Conclude
    ) {
        self.context = context
        self.stations = stations
        self.choose = choose
        self.conclude = conclude
    }

    /// Backends at the most; numbers are below.
    public static var backendLimit: Int { 1 << 20 }
}
