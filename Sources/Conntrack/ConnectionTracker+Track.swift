import Base
import CLinux
import Flow
import Memory

/// Bits of `ct_state`.
public enum TrackState {
    @inlinable public static var new: UInt64 { 0x01 }
    @inlinable public static var established: UInt64 { 0x02 }
    @inlinable public static var related: UInt64 { 0x04 }
    @inlinable public static var reply: UInt64 { 0x08 }
    @inlinable public static var invalid: UInt64 { 0x10 }
    @inlinable public static var tracked: UInt64 { 0x20 }
    @inlinable public static var sourceNAT: UInt64 { 0x40 }
    @inlinable public static var destinationNAT: UInt64 { 0x80 }
    @inline(__always) static var translated: UInt64 { sourceNAT | destinationNAT }

    /// As ovs-fields(7) names them: `est|rpl|trk`.
    public static func text(_ state: UInt64) -> String {
        let names = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"]
        return names.indices.filter { state >> UInt64($0) & 1 != 0 }.map { names[$0] }.joined(separator: "|")
    }
}

/// How a packet went through `track`, in `PacketHeader.passage`.
public enum TrackPassage {
    /// It met the connection a second time in one zone, and was not counted again.
    @inlinable public static var again: UInt8 { 1 }
    /// Its addresses or ports were translated.
    @inlinable public static var translated: UInt8 { 2 }
}

/// One packet's way through `track`.
struct TrackStep {
    let packet: Packet
    let request: UnsafePointer<TrackRequest>
    let now: UInt64
    let worker: Int
    let counters: UnsafeMutablePointer<UInt64>
    var read = ReadPacket()
    var hash: UInt64 = 0
    var isReply = false
    var state: UInt64 = 0
    /// Bits of the handle that outlive this `ct`.
    var kept: UInt64 = 0
    /// `TrackPassage` bits.
    var passage: UInt8 = 0
    var verdict = TrackVerdict.tracked

    @inline(__always) func count(_ counter: TrackCounter) { weft_count(counters + counter.rawValue, 1) }
    @inline(__always) var zone: UInt16 { request.pointee.zone }
}

extension ConnectionTracker {
    /// Takes a packet through the tracker, as one `ct` action does, and leaves in it what was found out.
    ///
    /// Any worker's thread. `now` in milliseconds. The packet's offsets are known. Addresses and ports are translated in the
    /// frame if the request says so and the connection has a translation.
    public func track(
        _ packet: Packet, _ request: UnsafePointer<TrackRequest>, now: UInt64, worker: Int
    ) -> TrackVerdict {
        var step = TrackStep(packet: packet, request: request, now: now, worker: worker, counters: counters(worker))
        if packet.pointee.isTracked {
            let word = packet.pointee.tracking[0]
            let handle = packet.pointee.connection
            step.state = word &>> 8 & 0xff
            step.kept = handle & ConnectionHandle.verified
            // Set by whoever refused the packet before it came here: a fragment that breaks the rules.
            if step.state == TrackState.invalid {
                finishInvalid(&step, kept: handle)
                return step.request.pointee.service == 0 ? .tracked : .drop(.serviceUntracked)
            }
            if handle & ConnectionHandle.settled != 0, repeated(&step, handle) { return .tracked }
            if UInt16(truncatingIfNeeded: word &>> 16) != step.zone { step.state = 0 }
        }
        let failure = step.read.read(packet, zone: step.zone, isVerified: step.kept != 0)
        guard failure == .none else {
            step.count(failure.counter)
            finishInvalid(&step, kept: packet.pointee.isTracked ? packet.pointee.connection : 0)
            return step.request.pointee.service == 0 ? .tracked : .drop(.serviceUntracked)
        }
        step.kept = ConnectionHandle.verified
        step.hash = table.hash(step.read.tuple)
        process(&step)
        return step.verdict
    }

    /// `ct_clear`: the packet has not been tracked.
    public static func clear(_ packet: Packet) {
        packet.pointee.isTracked = false
        packet.pointee.connection = 0
    }

    @inline(__always) private func process(_ step: inout TrackStep) {
        // Twice at most, unless the connection ends in this very moment or somebody makes the same one.
        while true {
            if step.state & TrackState.translated == 0, !step.request.pointee.forces {
                guard let found = table.find(step.read.tuple, step.hash, now: step.now) else {
                    if missed(&step) { return }
                    continue
                }
                step.isReply = found.isReply
                if advance(&step, found.index) { return }
            } else if processUncommon(&step) {
                // Found by what the packet was before: nothing to be remembered.
                step.packet.pointee.guardWord = 0
                return
            }
        }
    }

    /// The packet was translated in this zone before, or a connection of the other direction is to go.
    @inline(never) private func processUncommon(_ step: inout TrackStep) -> Bool {
        var found: ConnectionTable.Found?
        if step.state & TrackState.translated != 0 {
            // It looks as the other end's packets do, turned round.
            found = table.find(step.read.tuple.reversed, step.hash, now: step.now)
            if let place = found {
                found?.isReply = !place.isReply
                let connection = table.connection(place.index)
                step.read.tuple = place.isReply ? connection.original.pointee : connection.reply.pointee
                step.hash = table.hash(step.read.tuple)
            }
        } else {
            found = table.find(step.read.tuple, step.hash, now: step.now)
        }
        guard let found else { return missed(&step) }
        step.isReply = found.isReply
        if step.request.pointee.forces, found.isReply {
            let connection = table.connection(found.index)
            if table.remove(found.index, generation: connection.generation) { step.count(.replaced) }
            return missed(&step)
        }
        return advance(&step, found.index)
    }

    /// Nobody has the tuple. False: look again.
    @inline(never) private func missed(_ step: inout TrackStep) -> Bool {
        if let index = findByMetadata(&step) {
            step.isReply = false
            return advance(&step, index)
        }
        if step.read.isRelated {
            step.state = TrackState.invalid
            step.count(.invalid)
            step.count(.unknownError)
            finish(&step, nil)
            return true
        }
        return create(&step)
    }

    /// A packet that was translated in this zone and then changed by other actions still carries its original tuple.
    private func findByMetadata(_ step: inout TrackStep) -> UInt32? {
        guard step.state & TrackState.translated != 0, !step.request.pointee.translates else { return nil }
        let words = step.packet.pointee.tracking
        let tuple = step.read.tuple
        var original = ConnectionTuple()
        let ipProtocol = UInt8(truncatingIfNeeded: words[0])
        guard ipProtocol != 0, (words[3] == 0) == tuple.isIPv6 else { return nil }
        if tuple.isIPv6 {
            original.srcHigh = words[5]
            original.srcLow = words[6]
            original.dstHigh = words[7]
            original.dstLow = words[8]
        } else {
            original.srcLow = words[3] &>> 32
            original.dstLow = words[3] & 0xffff_ffff
        }
        original.rest = words[4] & ~0xffff_ffff | tuple.rest & 0xffff_0001
        original.ipProtocol = ipProtocol
        if tuple.isICMP {
            original.destinationPort = original.sourcePort &<< 8
            original.sourcePort = tuple.sourcePort
        }
        return table.find(original, table.hash(original), now: step.now)?.index
    }

    /// The packet meets its connection. False if it has just ended.
    @inline(__always) private func advance(_ step: inout TrackStep, _ index: UInt32) -> Bool {
        let connection = table.connection(index)
        guard connection.lock() else { return false }
        let generation = connection.generation
        let isFollowed = connection.traits.pointee.isFollowed && !step.read.isRelated
        if isFollowed { prepareToFollow(step, connection) }
        var rearms = false
        if step.read.isRelated {
            step.state |= TrackState.related
            if step.isReply { step.state |= TrackState.reply }
            step.count(.related)
        } else {
            let update = update(connection, step.packet, step.read, isReply: step.isReply, now: step.now)
            if update.outcome == .reopens {
                connection.unlock()
                if table.remove(index, generation: generation) { step.count(.replaced) }
                return create(&step)
            }
            if let counter = update.counter { step.count(counter) }
            step.state = Self.state(step.state, update.outcome, isReply: step.isReply)
            if connection.traits.pointee.contains(.related), update.outcome != .invalid {
                step.state |= TrackState.related
            }
            step.count(Self.counter(update.outcome))
            rearms = update.rearms
            if step.request.pointee.isOneSided { rearms = renewOneSided(step, connection) }
        }
        Self.count(connection, step)
        if step.request.pointee.translates, connection.traits.pointee.translates,
            step.state & TrackState.translated == 0
        {
            translate(&step, connection)
        }
        if step.request.pointee.steers { steer(step, connection) }
        if isFollowed { follow(&step, connection, index: index, generation: generation) }
        finish(&step, connection, index: index, generation: generation)
        connection.unlock()
        if rearms { table.rearm(index, generation: generation, now: step.now) }
        return true
    }

    @inline(__always)
    static func state(_ before: UInt64, _ outcome: TrackOutcome, isReply: Bool) -> UInt64 {
        switch outcome {
        case .valid:
            before & ~TrackState.new | TrackState.established | replyBit(isReply)
        case .validNew, .reopens: before | TrackState.new
        case .invalid: TrackState.invalid
        }
    }

    /// Without a branch: directions cannot be predicted.
    @inline(__always) private static func replyBit(_ isReply: Bool) -> UInt64 {
        UInt64(unsafeBitCast(isReply, to: UInt8.self)) &<< 3
    }

    @inline(__always) static func counter(_ outcome: TrackOutcome) -> TrackCounter {
        switch outcome {
        case .valid: .established
        case .validNew, .reopens: .new
        case .invalid: .invalid
        }
    }

    /// Packets and bytes of one direction. The caller holds the record's lock bit.
    @inline(__always) static func count(_ connection: Connection, _ step: TrackStep) {
        let counts = connection.counts + Int(unsafeBitCast(step.isReply, to: UInt8.self)) &* 2
        weft_count(counts, 1)
        weft_count(counts + 1, UInt64(step.packet.pointee.length))
    }

    /// Rewrites the frame as the connection says.
    func translate(_ step: inout TrackStep, _ connection: Connection) {
        let traits = connection.traits.pointee
        // What is the source of one direction is the destination of the other.
        if traits.contains(.sourceNAT) {
            step.state |= step.isReply ? TrackState.destinationNAT : TrackState.sourceNAT
        }
        if traits.contains(.destinationNAT) {
            step.state |= step.isReply ? TrackState.sourceNAT : TrackState.destinationNAT
        }
        // With an entry of its own, the reply tuple is another than the mirror image.
        if traits.contains(.hasReplyEntry) { step.passage |= TrackPassage.translated }
        let target = step.isReply ? connection.original.pointee.reversed : connection.reply.pointee.reversed
        guard step.read.isRelated else {
            step.packet.translate(to: target)
            return
        }
        let result = EmbeddedTuple.find(in: step.packet, isIPv6: target.isIPv6, zone: step.zone)
        if case .found(let embedded) = result {
            step.packet.translateError(
                embedded, to: target, replacesSource: step.state & TrackState.sourceNAT != 0)
        }
    }
}
