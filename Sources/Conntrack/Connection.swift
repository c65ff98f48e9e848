import CLinux

/// One connection: a record of 256 bytes in the slab, four cache lines. A plain pointer, so that handling it costs no
/// reference counting.
///
///     line 0    original tuple 40 | label 16 | mark 4 | progress 1 | kind 1 | traits 1
///     line 1    reply tuple 40 | TCP peers 24
///     line 2    control 8 | expiry 8 | armed 4 | timeout 4 | packets and bytes of each direction 32 | born 8
///     line 3    links of zone and wheel 20 | hashes 16 | parent 8 | sequence skew 12 | backend 4
///
/// The tuples, the kind and the traits never change while the record is published. Everything else that packets change is
/// written under the lock bit of the control word; links belong to the shard's lock. The expiry is written by whoever has
/// a packet of the connection, and read by all. Line 2 is all that a cached session of a connection other than TCP looks at.
struct Connection {
    let base: UnsafeMutableRawPointer

    static var size: Int { 256 }

    private enum Offset {
        static let original = 0
        static let label = 40
        static let mark = 56
        static let progress = 60
        static let kind = 61
        static let traits = 62
        static let reply = 64
        static let peers = 104
        static let control = 128
        static let expiry = 136
        static let armed = 144
        static let timeout = 148
        static let counts = 152
        static let born = 184
        static let zoneNext = 192
        static let zonePrevious = 196
        static let wheelNext = 200
        static let wheelPrevious = 204
        static let wheelSlot = 208
        static let free = 212
        static let originalHash = 216
        static let replyHash = 224
        static let parent = 232
        static let skew = 240
        static let backend = 252
    }

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always) private func pointer<T>(_ offset: Int, as: T.Type = T.self) -> UnsafeMutablePointer<T> {
        (base + offset).assumingMemoryBound(to: T.self)
    }

    /// Asks for the whole record, to be written.
    @inline(__always) func prefetch() {
        for line in 0..<Self.size / 64 { weft_prefetch_write(base + line &* 64) }
    }
    @inline(__always) func prefetchLinks() { weft_prefetch_write(base + Offset.zoneNext) }
    @inline(__always) func prefetchControl() { weft_prefetch_write(base + Offset.control) }

    @inline(__always) var original: UnsafeMutablePointer<ConnectionTuple> { pointer(Offset.original) }
    @inline(__always) var reply: UnsafeMutablePointer<ConnectionTuple> { pointer(Offset.reply) }
    @inline(__always) var label: UnsafeMutablePointer<UInt64> { pointer(Offset.label) }
    @inline(__always) var mark: UnsafeMutablePointer<UInt32> { pointer(Offset.mark) }
    /// Of connections that are not TCP: `Progress`.
    @inline(__always) var progress: UnsafeMutablePointer<UInt8> { pointer(Offset.progress) }
    @inline(__always) var kind: UnsafeMutablePointer<ProtocolKind> { pointer(Offset.kind) }
    @inline(__always) var traits: UnsafeMutablePointer<ConnectionTraits> { pointer(Offset.traits) }
    /// Peer 0 sent the first packet.
    @inline(__always) var peers: UnsafeMutablePointer<TCPPeer> { pointer(Offset.peers) }
    /// Packets and bytes of the original direction, then of the reply direction. Written with relaxed stores.
    @inline(__always) var counts: UnsafeMutablePointer<UInt64> { pointer(Offset.counts) }
    /// Milliseconds. May be read without a lock.
    @inline(__always) var born: UInt64 {
        get { weft_atomic_load(pointer(Offset.born)) }
        nonmutating set { weft_atomic_store(pointer(Offset.born), newValue) }
    }
    /// Milliseconds since then. Clocks of workers are read once a burst: to one that is behind, the connection is new.
    @inline(__always) func age(_ now: UInt64) -> UInt64 { now &- min(born, now) }
    /// Which timeout runs: a place in `ConnectionTable.timeouts`. Written under the lock bit, read without.
    @inline(__always) var timeout: UInt32 {
        get { weft_atomic_load32(pointer(Offset.timeout)) }
        nonmutating set { weft_atomic_store32(pointer(Offset.timeout), newValue) }
    }
    /// Index of its timeout policy.
    @inline(__always) var policy: UInt32 { timeout &>> 4 }
    /// Tick at which the wheel will look at it.
    @inline(__always) var armed: UInt32 {
        get { weft_atomic_load32(pointer(Offset.armed)) }
        nonmutating set { weft_atomic_store32(pointer(Offset.armed), newValue) }
    }
    @inline(__always) var zoneNext: UnsafeMutablePointer<UInt32> { pointer(Offset.zoneNext) }
    @inline(__always) var zonePrevious: UnsafeMutablePointer<UInt32> { pointer(Offset.zonePrevious) }
    @inline(__always) var wheelNext: UnsafeMutablePointer<UInt32> { pointer(Offset.wheelNext) }
    @inline(__always) var wheelPrevious: UnsafeMutablePointer<UInt32> { pointer(Offset.wheelPrevious) }
    @inline(__always) var wheelSlot: UnsafeMutablePointer<UInt32> { pointer(Offset.wheelSlot) }
    @inline(__always) var nextFree: UnsafeMutablePointer<UInt32> { pointer(Offset.free) }
    /// Handle of the connection that announced this one, 0 if none did.
    @inline(__always) var parent: UnsafeMutablePointer<UInt64> { pointer(Offset.parent) }
    /// Of a connection that the FTP helper follows.
    @inline(__always) var skew: UnsafeMutablePointer<SequenceSkew> { pointer(Offset.skew) }
    /// Number of the backend that a load balancer gave it; 0 if none did. May be read without a lock.
    @inline(__always) var backend: UInt32 {
        get { weft_atomic_load32(pointer(Offset.backend)) }
        nonmutating set { weft_atomic_store32(pointer(Offset.backend), newValue) }
    }

    /// When it ends if nothing more comes, in milliseconds; 0 for one that ended.
    @inline(__always) var expiry: UInt64 {
        get { weft_atomic_load(pointer(Offset.expiry)) }
        nonmutating set { weft_atomic_store(pointer(Offset.expiry), newValue) }
    }

    /// Of the original tuple. The hashes may be read without a lock: to find out which locks to take.
    @inline(__always) var originalHash: UInt64 {
        get { weft_atomic_load(pointer(Offset.originalHash)) }
        nonmutating set { weft_atomic_store(pointer(Offset.originalHash), newValue) }
    }
    /// Of the reply tuple; that of the original tuple if it has no entry of its own.
    @inline(__always) var replyHash: UInt64 {
        get { weft_atomic_load(pointer(Offset.replyHash)) }
        nonmutating set { weft_atomic_store(pointer(Offset.replyHash), newValue) }
    }

    @inline(__always) func hasExpired(_ now: UInt64) -> Bool { now >= expiry }
}

/// What sort of state a connection keeps.
enum ProtocolKind: UInt8 {
    /// UDP, and every protocol that is not named here.
    case other
    case tcp
    /// A query and its answers.
    case query

    @inline(__always) init(_ tuple: ConnectionTuple) {
        self = tuple.ipProtocol == 6 ? .tcp : tuple.isICMP ? .query : .other
    }
}

/// How far a connection without a state machine of its own has come.
enum Progress {
    static var first: UInt8 { 0 }
    /// More packets, all from the side that began.
    static var multiple: UInt8 { 1 }
    static var answered: UInt8 { 2 }
}

struct ConnectionTraits: OptionSet {
    let rawValue: UInt8
    @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

    static var sourceNAT: ConnectionTraits { ConnectionTraits(rawValue: 1) }
    static var destinationNAT: ConnectionTraits { ConnectionTraits(rawValue: 2) }
    /// The reply tuple has an index entry of its own.
    static var hasReplyEntry: ConnectionTraits { ConnectionTraits(rawValue: 4) }
    /// Announced by a connection that a helper follows.
    static var related: ConnectionTraits { ConnectionTraits(rawValue: 8) }
    static var ftpHelper: ConnectionTraits { ConnectionTraits(rawValue: 16) }
    static var tftpHelper: ConnectionTraits { ConnectionTraits(rawValue: 32) }

    @inline(__always) var translates: Bool { rawValue & 3 != 0 }
    /// A helper reads what its packets say.
    @inline(__always) var isFollowed: Bool { rawValue & 48 != 0 }
}

// The control word: bit 0 locked, bit 1 published, bits 25 to 36 the revision, which rises with every change that rules can
// see (mark, label, how far a connection other than TCP has come), bits 37 to 63 the generation, which rises when the record
// is withdrawn.
extension Connection {
    private static var locked: UInt64 { 1 }
    private static var published: UInt64 { 2 }
    private static var revisionShift: UInt64 { 25 }
    private static var lastRevision: UInt64 { 0xfff }
    private static var generationShift: UInt64 { 37 }
    static var generationMask: UInt64 { 0x7ff_ffff }
    /// Bits of a guard that are the slot.
    static var slotMask: UInt64 { 1 &<< revisionShift &- 1 }

    @inline(__always) private var control: UnsafeMutablePointer<UInt64> { pointer(Offset.control) }

    @inline(__always) var isPublished: Bool { weft_atomic_load(control) & Self.published != 0 }
    @inline(__always) var generation: UInt64 { weft_atomic_load(control) &>> Self.generationShift }

    /// Takes the lock bit. False if the record is not published, or not in this generation.
    @inline(__always) func lock(generation: UInt64) -> Bool {
        let seen = weft_atomic_load(control) & ~Self.locked
        if seen & Self.published != 0, seen &>> Self.generationShift == generation,
            weft_atomic_compare_exchange(control, seen, seen | Self.locked)
        {
            return true
        }
        return lockSlowly { $0 &>> Self.generationShift == generation }
    }

    /// Takes the lock bit in whatever generation. False if the record is not published.
    @inline(__always) func lock() -> Bool {
        let seen = weft_atomic_load(control) & ~Self.locked
        if seen & Self.published != 0, weft_atomic_compare_exchange(control, seen, seen | Self.locked) { return true }
        return lockSlowly { _ in true }
    }

    @inline(never) private func lockSlowly(_ accepts: (UInt64) -> Bool) -> Bool {
        var rounds = 0
        while true {
            let seen = weft_atomic_load(control)
            guard seen & Self.published != 0, accepts(seen) else { return false }
            if seen & Self.locked == 0, weft_atomic_compare_exchange(control, seen, seen | Self.locked) { return true }
            waitBriefly(&rounds)
        }
    }

    @inline(__always) func unlock() {
        weft_atomic_store_release(control, weft_atomic_load(control) & ~Self.locked)
    }

    /// Something that rules can see has changed: guards of before fail. The lock bit is held. The last revision stays, and is
    /// never guarded.
    @inline(__always) func revise() {
        let seen = weft_atomic_load(control)
        guard seen &>> Self.revisionShift & Self.lastRevision != Self.lastRevision else { return }
        weft_atomic_store(control, seen &+ 1 &<< Self.revisionShift)
    }

    /// The guard for the connection as it is now; 0 if it has changed too often to be told apart. The lock bit is held.
    @inline(__always) func guardWord(_ index: UInt32) -> UInt64 {
        let seen = weft_atomic_load(control)
        guard seen &>> Self.revisionShift & Self.lastRevision != Self.lastRevision else { return 0 }
        return seen & ~Self.slotMask | UInt64(index)
    }

    /// Whether the connection is what it was when the guard was made. Somebody may be changing it: then this packet came first.
    @inline(__always) func isAsGuarded(_ guardWord: UInt64) -> Bool {
        let seen = weft_atomic_load_acquire(control)
        return (seen ^ guardWord) & ~Self.slotMask | seen & Self.published ^ Self.published == 0
    }

    /// Makes a filled record visible.
    @inline(__always) func publish() {
        let generation = weft_atomic_load(control) &>> Self.generationShift
        weft_atomic_store_release(control, generation &<< Self.generationShift | Self.published)
    }

    /// Ends the record, whose lock bit the caller holds: handles to it are void from now on.
    @inline(__always) func withdraw() {
        let generation = (weft_atomic_load(control) &>> Self.generationShift &+ 1) & Self.generationMask
        expiry = 0
        weft_atomic_store_release(control, generation &<< Self.generationShift)
    }
}

/// A connection as a packet remembers it, in `PacketHeader.connection`: index, generation and direction.
///
/// Bits 0 to 31 the index, 32 to 58 the generation; 60: the packet's checksums and lengths were found right, 61: a further
/// `ct` in the same zone may take the connection as it is, 62: reply direction, 63: an ICMP error about the connection.
public struct ConnectionHandle: RawRepresentable, Equatable, Sendable {
    public var rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inline(__always) init(index: UInt32, generation: UInt64) {
        rawValue = UInt64(index) | generation &<< 32
    }

    static var verified: UInt64 { 1 &<< 60 }
    static var settled: UInt64 { 1 &<< 61 }
    static var replies: UInt64 { 1 &<< 62 }
    static var relates: UInt64 { 1 &<< 63 }

    @inlinable public static var none: ConnectionHandle { ConnectionHandle(rawValue: 0) }
    /// Slot of the connection in the table; 0 for none.
    @inlinable public var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var generation: UInt64 { rawValue &>> 32 & Connection.generationMask }
    @inlinable public var isReply: Bool { rawValue &>> 62 & 1 != 0 }
    @inlinable public var isRelated: Bool { rawValue &>> 63 != 0 }
}
