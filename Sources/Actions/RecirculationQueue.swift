import Conntrack
import Memory
import Shaping

/// Frames on their way back to the flow tables, in order, each with the id of the state to go on from. Flat memory of one
/// worker; a frame in it belongs to it until taken.
public struct RecirculationQueue: ~Copyable {
    /// Frames at the most; one burst of frames that are each cloned many times may ask for more, which are dropped.
    public static var capacity: Int { 4096 }
    /// How often one frame may come back: as in Open vSwitch's userspace datapath.
    @inlinable public static var maximumDepth: UInt8 { 6 }

    private let packets: UnsafeMutablePointer<Packet>
    private let ids: UnsafeMutablePointer<UInt32>
    @usableFromInline var head = 0
    @usableFromInline var tail = 0

    public init() {
        packets = .allocate(capacity: Self.capacity)
        ids = .allocate(capacity: Self.capacity)
    }

    deinit {
        packets.deallocate()
        ids.deallocate()
    }

    @inlinable public var isEmpty: Bool { head == tail }

    /// False, and the frame still the caller's, if there is no room.
    public mutating func append(_ packet: Packet, _ id: UInt32) -> Bool {
        guard tail < Self.capacity else { return false }
        packets[tail] = packet
        ids[tail] = id
        tail &+= 1
        return true
    }

    /// Takes the oldest frames, `limit` at most; how many.
    public mutating func take(
        _ frames: UnsafeMutablePointer<Packet>, _ identifiers: UnsafeMutablePointer<UInt32>, limit: Int
    ) -> Int {
        let count = min(limit, tail &- head)
        frames.update(from: packets + head, count: count)
        identifiers.update(from: ids + head, count: count)
        head &+= count
        if head == tail {
            head = 0
            tail = 0
        }
        return count
    }
}

/// What ops need that do more than edit and send: one for each worker, behind a pointer.
public struct ExecutionServices: ~Copyable {
    public var recirculations = RecirculationQueue()
    /// Connections; none where nothing is tracked (tests of single ops).
    public var tracker: Unmanaged<ConnectionTracker>?
    public var reassembler: Unmanaged<FragmentReassembler>?
    /// Where `reassembler` leaves a datagram that is whole.
    public var datagram: Unmanaged<FragmentedDatagram>?
    /// Without them every frame passes.
    public var meters: MeterLookup?
    /// Milliseconds of the switch's clock.
    public var now: UInt64 = 0
    public var worker = 0
    /// Records of packets on their way.
    public var traces = PacketTraces(capacity: 512)
    /// Guards of the session whose program runs; `translate` ops name them by number.
    public var guards: UnsafePointer<UInt64>?
    /// Nothing is sent or goes back: a frame of `trace`, which connection tracking sees like any other.
    public var isRehearsal = false
    /// How many refusals a second `reject` may send.
    public var refusals = TokenBucket(rate: 1000)

    public init() {}
}
