import Base
import CLinux
import Synchronization

// Which addresses and ports a new connection gets: network address and port translation as Open vSwitch 3.1 does it in its
// userspace datapath.
//
// A translation is nothing but the *reply tuple* of a connection: what its other end will send. Without NAT that is the
// original tuple reversed. `nat(src=...)` replaces the destination of the reply, `nat(dst=...)` its source. The reply
// tuple has to be unique among all tuples of the zone, since it is what a packet of the other end is looked up by; so
// choosing a translation is a search for a tuple that is not taken, and the search is bounded.
//
// - Source, no ports given: the sender's own port if it is free there, else the next free one of its class (1-511,
//   600-1023, 1024-65535: a privileged port stays privileged).
// - Source, ports given: a port of the range, begun at a hash of the tuple, and none other.
// - Destination: the port given, or a port of the range begun at a hash; if all of them are taken *for this sender's
//   address and port*, the sender's port is changed too, within its class.
// - ICMP and ICMPv6 queries: the identifier takes the place of the source port (RFC 5508, section 3.1), with the
//   whole range as its class, and stays as it is when ports were given.
// - Everything else (SCTP too): addresses alone.
// - An address of 0 (`nat(src=0.0.0.0)`) or none: the address stays, and the port changes only if it is taken.
//
// The address is a hash of the tuple over the range. When no port is left on it, a few probes go to the next three
// addresses, which Open vSwitch does not try. `persistent` makes the address a function of the sender alone: one
// sender has one address for all its connections (RFC 4787, section 4.1, "paired") and has the same one after a
// restart; it is then the only one tried.

/// How the search finds out whether a tuple is in use, in either direction, by a connection that lives.
public protocol TupleProbe {
    mutating func isTaken(_ tuple: ConnectionTuple) -> Bool
}

/// Events of the search, over all workers.
public final class NATCounters: Sendable {
    /// New connections that were given a translation.
    public let translated = Atomic<UInt64>(0)
    /// Probes that found a tuple taken.
    public let collisions = Atomic<UInt64>(0)
    /// Connections refused because no tuple was found within the bound.
    public let exhausted = Atomic<UInt64>(0)

    public init() {}
}

/// Chooses reply tuples. One for each thread that makes connections.
public struct NATPicker: Sendable {
    /// Salt of the hash, the same in every picker of a switch.
    let basis: UInt64
    var random: SplitMix64
    public let counters: NATCounters

    /// `seed`: what `random` starts from.
    public init(basis: UInt64, seed: UInt64, counters: NATCounters) {
        self.basis = basis
        random = SplitMix64(seed: seed)
        self.counters = counters
    }

    /// The reply tuple of a new connection of `original`, translated as `request` says; nil, and counted, if there is
    /// none within the bound of the search (at most 600 probes).
    ///
    /// - Parameter base: the reply tuple so far: translates both ends in one pass, if it is what an earlier call for
    ///   the other end returned.
    public mutating func reply<P: TupleProbe>(
        to original: ConnectionTuple, base: ConnectionTuple? = nil, _ request: TrackRequest, probe: inout P
    ) -> ConnectionTuple? {
        var search = NATSearch(original, base ?? original.reversed, request, self)
        let found = search.run(&probe)
        random = search.random
        if search.collisions > 0 { counters.collisions.add(UInt64(search.collisions), ordering: .relaxed) }
        guard found else {
            counters.exhausted.add(1, ordering: .relaxed)
            return nil
        }
        return search.reply
    }
}

extension NATPicker {
    /// The tuple that `reply` will try first, where that is not left to chance: what the search ends with if nothing is taken.
    package func likelyReply(to original: ConnectionTuple, _ request: TrackRequest) -> ConnectionTuple? {
        guard request.firstPort == 0 || request.selection != .random else { return nil }
        var search = NATSearch(original, original.reversed, request, self)
        var probe = NothingTaken()
        return search.run(&probe) ? search.reply : nil
    }
}

private struct NothingTaken: TupleProbe {
    func isTaken(_ tuple: ConnectionTuple) -> Bool { false }
}

/// One search.
struct NATSearch {
    var reply: ConnectionTuple
    var collisions = 0
    var random: SplitMix64
    let original: ConnectionTuple
    let request: TrackRequest
    let hash: UInt64
    /// Addresses in the range, and which of them is tried.
    let addressCount: UInt64
    var addressIndex: UInt64

    /// Probes of the first round on one port range; the rounds after it begin at a random port and have half as many.
    static var longRound: Int { 128 }
    static var shortRound: Int { 16 }

    init(_ original: ConnectionTuple, _ base: ConnectionTuple, _ request: TrackRequest, _ picker: NATPicker) {
        self.original = original
        self.request = request
        reply = base
        random = picker.random
        hash = Self.hash(original, basis: picker.basis)
        // Open vSwitch bounds ranges of IPv6 addresses likewise, to what a 32-bit hash can reach.
        let span =
            request.hasAddresses && request.firstAddress != 0 && request.lastAddress >= request.firstAddress
            ? Swift.min(request.lastAddress - request.firstAddress, 0xffff_fffe) : 0
        addressCount = UInt64(truncatingIfNeeded: span) &+ 1
        var place = hash &>> 32
        if request.isPersistent, addressCount > 1 {
            var sender = original
            sender.dst = 0
            sender.rest &= 0xffff_0001
            place = Self.hash(sender, basis: 0) &>> 32
        }
        addressIndex = (place &* addressCount) &>> 32
    }

    static func hash(_ tuple: ConnectionTuple, basis: UInt64) -> UInt64 {
        var h = basis ^ 0x9e37_79b9_7f4a_7c15
        func add(_ word: UInt64) {
            h = (h ^ word) &* 0xbf58_476d_1ce4_e5b9
            h ^= h &>> 29
        }
        add(tuple.srcLow)
        add(tuple.dstLow)
        add(tuple.rest)
        add(tuple.srcHigh)
        add(tuple.dstHigh)
        h = h &* 0x94d0_49bb_1331_11eb
        return h ^ h &>> 31
    }

    /// Whether `reply` ends as a tuple that is free.
    mutating func run<P: TupleProbe>(_ probe: inout P) -> Bool {
        guard request.kind != .none else { return isFree(&probe) }
        // An address of the other family: the manual leaves it undefined; here it is no address.
        guard !request.hasAddresses || request.firstAddress == 0 || request.isIPv6 == original.isIPv6 else {
            return false
        }
        placeAddress()
        if searchPorts(Self.longRound, &probe) { return true }
        guard addressCount > 1, !request.isPersistent else { return false }
        for _ in 1..<Swift.min(4, addressCount) {
            addressIndex = addressIndex &+ 1 == addressCount ? 0 : addressIndex &+ 1
            placeAddress()
            if searchPorts(Self.shortRound, &probe) { return true }
        }
        return false
    }

    private mutating func placeAddress() {
        guard request.hasAddresses, request.firstAddress != 0 else { return }
        let address = request.firstAddress + UInt128(addressIndex)
        if request.kind == .source { reply.dst = address } else { reply.src = address }
    }

    private mutating func searchPorts<P: TupleProbe>(_ round: Int, _ probe: inout P) -> Bool {
        let isRange = request.firstPort != 0
        guard original.hasPorts else {
            if original.isICMP, !isRange { return search(.identifier, .identifiers(original), round, &probe) }
            return isFree(&probe)
        }
        let given = isRange ? PortRange.given(request, start: portStart()) : .sender(original)
        guard request.kind == .destination else { return search(.sender, given, round, &probe) }
        if isRange {
            let first = given.start
            if search(.destination, given, round, &probe) { return true }
            reply.sourcePort = first
        }
        return search(.sender, .sender(original), round, &probe)
    }

    /// Where in a range of ports the search begins, as a 32-bit fraction.
    private mutating func portStart() -> UInt64 {
        switch request.selection {
        case .random: return random.next() &>> 32
        case .hash:
            var others = original
            if request.kind == .source { others.sourcePort = 0 } else { others.destinationPort = 0 }
            return Self.hash(others, basis: 0) & 0xffff_ffff
        case .automatic: return hash & 0xffff_ffff
        }
    }

    enum Place { case sender, destination, identifier }

    struct PortRange {
        var start: UInt16
        var first: UInt16
        var last: UInt16

        static func given(_ request: TrackRequest, start: UInt64) -> PortRange {
            let last = Swift.max(request.firstPort, request.lastPort)
            let count = UInt64(last) &- UInt64(request.firstPort) &+ 1
            let offset = UInt16(truncatingIfNeeded: (start &* count) &>> 32)
            return PortRange(start: request.firstPort &+ offset, first: request.firstPort, last: last)
        }

        /// The sender's own port, then others of its class.
        static func sender(_ original: ConnectionTuple) -> PortRange {
            let port = original.sourcePort
            if port < 512 { return PortRange(start: port, first: 1, last: 511) }
            if port < 1024 { return PortRange(start: port, first: 600, last: 1023) }
            return PortRange(start: port, first: 1024, last: 65535)
        }

        static func identifiers(_ original: ConnectionTuple) -> PortRange {
            PortRange(start: original.sourcePort, first: 0, last: 65535)
        }
    }

    /// Walks through a range from its start, and on from other places of it in rounds half as long, down to eight.
    private mutating func search<P: TupleProbe>(
        _ place: Place, _ range: PortRange, _ round: Int, _ probe: inout P
    ) -> Bool {
        let size = Int(range.last) &- Int(range.first) &+ 1
        var probes = Swift.min(size, round)
        var port = range.start
        while true {
            for _ in 0..<probes {
                put(port, place)
                if isFree(&probe) { return true }
                // The start may lie outside: the class of ports 512 to 599 begins at 600.
                port = port < range.first || port >= range.last ? range.first : port &+ 1
            }
            guard probes < size, probes >= 16, round > Self.shortRound else { return false }
            probes /= 2
            port = range.first &+ UInt16(truncatingIfNeeded: ((random.next() &>> 32) &* UInt64(size)) &>> 32)
        }
    }

    private mutating func put(_ port: UInt16, _ place: Place) {
        switch place {
        case .sender: reply.destinationPort = port
        case .destination, .identifier: reply.sourcePort = port
        }
    }

    private mutating func isFree<P: TupleProbe>(_ probe: inout P) -> Bool {
        // A backend that speaks to itself through a service may be given back its own tuple: nobody could tell which end sent.
        if reply == original || probe.isTaken(reply) {
            collisions &+= 1
            return false
        }
        return true
    }
}
