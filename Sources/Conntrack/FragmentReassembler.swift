import Base
import Memory
import Synchronization

/// Virtual reassembly: fragments of IPv4 and IPv6 datagrams wait until the datagram is whole, the whole goes through
/// connection tracking, and the fragments go on as they came, each with what was found out about the whole.
///
/// One reassembler serves all workers, behind a lock. Fragments of one datagram may come to different workers, because
/// only the first has ports to be spread by; and a lock costs little beside the rest: fragments are rare, each is held for
/// as long as two frame copies take.
///
/// Fragments belong together if they agree in what RFC 791 and RFC 8200 name (addresses, identification, in IPv4 the
/// protocol), in the zone, and in where they came from: port of entry, VLAN, and the state that they came back with. All
/// go on as the last of them does, so without the latter the sender of a forged fragment could lead those of
/// another port, bridge or VLAN astray. (In Open vSwitch only the way back tells them apart.)
///
/// A held frame is a copy in a pool that belongs to the reassembler. The worker frees its own buffer as soon as
/// `submit` says `held`, and when the datagram is whole, the worker that brought the last fragment gets copies in
/// buffers of its own pool. So no buffer ever returns to a foreign pool, a flood of fragments takes no buffer from a
/// worker, and memory is bounded: by the pool, which is reserved at start and touched only when used.
///
/// A frame that is held is neither sent nor dropped: `received = sent + dropped + consumed + held`. Held frames that are
/// given up (overlap in IPv6, contradictions, timeout) are reported to the caller, who counts them as dropped.
///
/// What happens to which fragment follows `ipf` of Open vSwitch 3.1: one that comes twice, or finds no room, or in IPv4
/// overlaps another, goes on as `inv`, so that rules decide about it, and its datagram waits on. In IPv6 an overlap gives
/// up the whole datagram (RFC 8200, section 4.5; it lets a receiver bear what comes twice). Those that contradict
/// themselves or each other are dropped, with a reason of their own.
///
/// | fragment | fate |
/// | --- | --- |
/// | lengths contradict each other, bad IPv4 header checksum, not the last and under the minimum | `invalid` |
/// | empty, or not the last and not a multiple of 8 bytes; behind the known end | dropped as `fragmentMalformed` |
/// | the same as one that is held | `invalid` |
/// | overlaps one that is held | IPv4: `invalid`; IPv6: dropped as `fragmentOverlap`, with its datagram |
/// | reaches beyond 65,535 bytes | dropped as `fragmentTooLong` |
/// | too many, over all or of one datagram | `invalid` |
/// | not whole within 30 seconds (as Linux waits) after the first to come | dropped as `fragmentExpired`, by `expire` |
public final class FragmentReassembler: @unchecked Sendable {
    /// Behind the lock.
    private let store: UnsafeMutablePointer<FragmentStore>
    private let lock = Mutex<Void>(())
    private let heldCount = Atomic<Int>(0)

    /// - Parameters:
    ///   - capacity: fragments that can be held at the most, whatever the limits say later.
    ///   - seed: salt of the hash.
    public init(limits: FragmentLimits = FragmentLimits(), capacity: Int = 5000, seed: UInt64 = 0) {
        store = .allocate(capacity: 1)
        store.initialize(to: FragmentStore(limits: limits, capacity: capacity, seed: seed))
    }

    deinit {
        store.deinitialize(count: 1)
        store.deallocate()
    }

    /// Frames that are held now. Cheap; for the balance of buffers, and to see whether `expire` has anything to do.
    public var held: Int { heldCount.load(ordering: .relaxed) }

    public var limits: FragmentLimits {
        get { lock.withLock { _ in store.pointee.limits } }
        set { lock.withLock { _ in store.pointee.limits = newValue } }
    }

    public var statistics: FragmentStatistics { lock.withLock { _ in store.pointee.statistics } }

    /// Takes in a frame that is about to go through connection tracking.
    ///
    /// - Parameters:
    ///   - packet: with its offsets as key extraction found them. It stays the caller's, whatever the outcome.
    ///   - now: milliseconds.
    ///   - pool: of the calling worker.
    ///   - datagram: of the calling worker; filled if the outcome is `complete`.
    @inlinable @inline(__always)
    public func submit(
        _ packet: Packet, zone: UInt16, now: UInt64, pool: inout PacketPool,
        datagram: FragmentedDatagram
    ) -> FragmentOutcome {
        guard Self.mayConcern(packet) else { return .notFragment }
        return submitUncommon(packet, zone: zone, now: now, pool: &pool, datagram: datagram)
    }

    /// False for what certainly is no fragment: all that a packet of everyday traffic pays.
    @inlinable @inline(__always) static func mayConcern(_ packet: Packet) -> Bool {
        let l3 = Int(packet.pointee.offsetL3)
        guard l3 != 0xffff, l3 &+ 20 <= Int(packet.pointee.length) else { return false }
        let header = UnsafeRawPointer(packet.pointee.data) + l3
        if header.byte(0) &>> 4 == 4 { return header.be16(6) & 0x3fff != 0 }
        // TCP, UDP, ICMPv6: no extension header at all.
        let next = header.byte(6)
        return next != 6 && next != 17 && next != 58
    }

    /// Whether `submit` would do anything with it.
    public static func isFragment(_ packet: Packet) -> Bool {
        if case .notFragment = FragmentInfo.read(packet) { return false }
        return true
    }

    @usableFromInline @inline(never)
    func submitUncommon(
        _ packet: Packet, zone: UInt16, now: UInt64, pool: inout PacketPool,
        datagram: FragmentedDatagram
    ) -> FragmentOutcome {
        let fragment: FragmentInfo
        switch FragmentInfo.read(packet) {
        case .notFragment: return .notFragment
        case .invalid: return .invalid
        case .fragment(let info): fragment = info
        }
        datagram.reset()
        // The lock is never held while a packet goes through connection tracking.
        return lock.withLock { _ in
            let outcome = store.pointee.add(
                packet, fragment, zone: zone, now: now, pool: &pool, datagram: datagram)
            heldCount.store(store.pointee.heldCount, ordering: .relaxed)
            return outcome
        }
    }

    /// Gives up datagrams whose time is over, `limit` at the most. How many held frames that were: the caller counts them
    /// as dropped, `fragmentExpired`. `now` in milliseconds.
    public func expire(now: UInt64, limit: Int = 64) -> Int {
        guard held > 0 else { return 0 }
        return lock.withLock { _ in
            let count = store.pointee.expire(now: now, limit: limit)
            heldCount.store(store.pointee.heldCount, ordering: .relaxed)
            return count
        }
    }
}

/// What became of a frame that was submitted.
public enum FragmentOutcome: Equatable, Sendable {
    /// It is no fragment: to be tracked as it is.
    case notFragment
    /// To go on at once with the connection state `inv`.
    case invalid
    /// Kept, as a copy. The caller frees its frame, which is neither sent nor dropped.
    case held
    /// The caller drops its frame for this reason. So many held frames of its datagram went with it, to be counted for
    /// the same reason.
    case dropped(DropReason, others: Int)
    /// The datagram is whole: see `FragmentedDatagram`, whose last fragment is the caller's frame.
    case complete
}

/// Settings, as `ovs-appctl dpctl/ipf-*` has them.
public struct FragmentLimits: Equatable, Sendable {
    public var isIPv4Enabled = true
    public var isIPv6Enabled = true
    /// Bytes of network packet below which a fragment that is not the last is `inv`.
    public var minimumIPv4 = 1200
    public var minimumIPv6 = 1280
    /// Fragments held at a time.
    public var maximumFragments = 1000
    /// Fragments of one datagram.
    public var maximumPerDatagram = 256
    /// Milliseconds from the first fragment that comes.
    public var timeout: UInt64 = 30_000

    /// Least of the minimum sizes, greatest of `maximumFragments`.
    public static var minimumSize: Int { 400 }
    public static var greatestMaximum: Int { 5000 }

    public init() {}
}

/// Fragments since the start, by IP version (IPv4, IPv6) where an array.
public struct FragmentStatistics: Equatable, Sendable {
    public var accepted = FragmentCount()
    public var completed = FragmentCount()
    public var expired = FragmentCount()
    public var tooSmall = FragmentCount()
    public var duplicate = FragmentCount()
    public var overlapping = FragmentCount()
    /// Beyond a limit.
    public var refused = FragmentCount()
    /// Datagrams put together.
    public var datagrams: UInt64 = 0

    public init() {}
}

/// Of IPv4 and of IPv6.
public struct FragmentCount: Equatable, Sendable {
    public var ipv4: UInt64 = 0
    public var ipv6: UInt64 = 0

    public init() {}

    mutating func add(_ count: Int, isIPv6: Bool) {
        if isIPv6 { ipv6 &+= UInt64(count) } else { ipv4 &+= UInt64(count) }
    }
}
