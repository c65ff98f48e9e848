// The door between connection tracking and load balancing. Tracking stands below: it knows that some connections belong to a
// backend, by number, and asks for one when such a connection begins. Who the backends are and how one is chosen is in
// the module Balancer, which fills in the two functions' worth of pointers below when the switch is made.
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

    let context: UnsafeMutableRawPointer
    let choose: Choose
    /// Ethernet addresses of backends by number, 48 bits, 0 where unknown; changed with atomic stores.
    let stations: UnsafeMutablePointer<UInt64>

    /// - Parameter context: outlives the tracker's use.
    public init(
        context: UnsafeMutableRawPointer, stations: UnsafeMutablePointer<UInt64>, choose: @escaping Choose
    ) {
        self.context = context
        self.stations = stations
        self.choose = choose
    }

    /// Backends at the most; numbers are below.
    public static var backendLimit: Int { 1 << 20 }
}
