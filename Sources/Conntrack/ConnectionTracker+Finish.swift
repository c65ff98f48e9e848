import CLinux
import Memory

// What a packet takes away: words 19 to 27 of a flow key, and the handle of its connection.
extension ConnectionTracker {
    /// - Parameter connection: its lock bit is held; nil: the packet belongs to none.
    @inline(__always)
    func finish(_ step: inout TrackStep, _ connection: Connection?, index: UInt32 = 0, generation: UInt64 = 0) {
        let packet = step.packet
        guard let connection else {
            write(packet, state: step.state, zone: step.zone, mark: 0, label: (0, 0), step.read.tuple)
            packet.pointee.connection = step.kept
            packet.pointee.guardWord = 0
            return
        }
        mark(connection, step.request)
        let label = (connection.label[0], connection.label[1])
        let mark = connection.mark.pointee
        if connection.traits.pointee.contains(.related) {
            write(packet, state: step.state, zone: step.zone, mark: mark, label: label, parentTuple(connection))
        } else {
            write(packet, state: step.state, zone: step.zone, mark: mark, label: label, connection.original.pointee)
        }
        var handle = ConnectionHandle(index: index, generation: generation).rawValue | step.kept
        handle |= UInt64(unsafeBitCast(step.isReply, to: UInt8.self)) &<< 62
        if step.read.isRelated { handle |= ConnectionHandle.relates }
        if !step.request.pointee.translates { handle |= ConnectionHandle.settled }
        packet.pointee.connection = handle
        packet.pointee.guardWord = canRepeat(step, connection) ? connection.guardWord(index) : 0
        packet.pointee.passage = step.passage
    }

    /// Whether the next packet like this one would find the same, and leave the connection as it is but for what
    /// `admit` does: so that the way from here can be remembered under a guard.
    @inline(__always) private func canRepeat(_ step: TrackStep, _ connection: Connection) -> Bool {
        // Of one that was announced, rules see its parent's tuple while that lives, which no guard watches.
        guard !step.read.isRelated, !step.request.pointee.forces, !connection.traits.pointee.isFollowed,
            !connection.traits.pointee.contains(.related),
            !step.request.pointee.steers, !step.request.pointee.isOneSided
        else { return false }
        return switch connection.kind.pointee {
        case .tcp: step.state & TrackState.established != 0
        case .other: connection.progress.pointee != Progress.first
        case .query: false
        }
    }

    /// `exec(set_field:...->ct_mark)` and `ct_label`. A connection that was announced keeps those of its parent.
    @inline(__always) func mark(_ connection: Connection, _ request: UnsafePointer<TrackRequest>) {
        let markMask = request.pointee.markMask
        let labelMask = request.pointee.labelMask
        guard markMask != 0 || labelMask != 0, !connection.traits.pointee.contains(.related) else { return }
        let mark = request.pointee.mark & markMask | connection.mark.pointee & ~markMask
        let label = request.pointee.label & labelMask
        let high =
            UInt64(truncatingIfNeeded: label &>> 64)
            | connection.label[0] & ~UInt64(truncatingIfNeeded: labelMask &>> 64)
        let low = UInt64(truncatingIfNeeded: label) | connection.label[1] & ~UInt64(truncatingIfNeeded: labelMask)
        guard (mark, high, low) != (connection.mark.pointee, connection.label[0], connection.label[1]) else { return }
        connection.mark.pointee = mark
        connection.label[0] = high
        connection.label[1] = low
        connection.revise()
    }

    @inline(__always)
    func write(
        _ packet: Packet, state: UInt64, zone: UInt16, mark: UInt32, label: (UInt64, UInt64), _ tuple: ConnectionTuple
    ) {
        packet.pointee.isTracked = true
        let ipProtocol = tuple.rest &>> 8 & 0xff
        packet.pointee.tracking[0] =
            UInt64(mark) &<< 32 | UInt64(zone) &<< 16 | (state | TrackState.tracked) &<< 8 | ipProtocol
        packet.pointee.tracking[1] = label.0
        packet.pointee.tracking[2] = label.1
        // Of ICMP, type and code stand in place of the ports.
        let ports =
            tuple.isICMP
            ? (tuple.rest &>> 40 & 0xff) &<< 48 | (tuple.rest &>> 32 & 0xff) &<< 32 : tuple.rest & ~0xffff_ffff
        packet.pointee.tracking[4] = ports
        if tuple.isIPv6 {
            packet.pointee.tracking[3] = 0
            packet.pointee.tracking[5] = tuple.srcHigh
            packet.pointee.tracking[6] = tuple.srcLow
            packet.pointee.tracking[7] = tuple.dstHigh
            packet.pointee.tracking[8] = tuple.dstLow
        } else {
            packet.pointee.tracking[3] = tuple.srcLow &<< 32 | tuple.dstLow
            for i in 5..<9 { packet.pointee.tracking[i] = 0 }
        }
    }

    /// The packet is `inv`, without mark, label and tuple. It goes on knowing the connection of an earlier `ct`.
    @inline(never) func finishInvalid(_ step: inout TrackStep, kept: UInt64) {
        step.count(.invalid)
        let packet = step.packet
        packet.pointee.isTracked = true
        packet.pointee.tracking[0] =
            UInt64(step.zone) &<< 16 | (TrackState.invalid | TrackState.tracked) &<< 8
        for i in 1..<9 { packet.pointee.tracking[i] = 0 }
        packet.pointee.connection = kept
        packet.pointee.guardWord = 0
    }

    /// A further `ct` in the zone of a connection that the packet already met: only mark, label and translation. False if
    /// it has to take the whole way.
    @inline(never) func repeated(_ step: inout TrackStep, _ rawHandle: UInt64) -> Bool {
        let handle = ConnectionHandle(rawValue: rawHandle)
        guard handle.index != 0, !step.request.pointee.forces else { return false }
        let connection = table.connection(handle.index)
        guard connection.lock(generation: handle.generation) else { return false }
        defer { connection.unlock() }
        guard connection.original.pointee.zone == step.zone, !connection.traits.pointee.isFollowed,
            !Self.mayNeedHelper(connection.original.pointee)
        else { return false }
        let packet = step.packet
        step.isReply = handle.isReply
        step.read.isRelated = handle.isRelated
        step.count(.repeated)
        var settled = ConnectionHandle.settled
        if step.request.pointee.translates {
            if UInt16(truncatingIfNeeded: packet.pointee.tracking[0] &>> 16) != step.zone {
                step.state &= ~TrackState.translated
            }
            if connection.traits.pointee.translates, step.state & TrackState.translated == 0 {
                translate(&step, connection)
            }
            settled = 0
        }
        mark(connection, step.request)
        packet.pointee.tracking[0] =
            UInt64(connection.mark.pointee) &<< 32 | UInt64(step.zone) &<< 16 | step.state &<< 8
            | packet.pointee.tracking[0] & 0xff
        packet.pointee.tracking[1] = connection.label[0]
        packet.pointee.tracking[2] = connection.label[1]
        packet.pointee.connection = rawHandle & ~ConnectionHandle.settled | settled
        step.passage |= TrackPassage.again
        let isBound = handle.isRelated || connection.traits.pointee.contains(.related)
        packet.pointee.guardWord = isBound ? 0 : connection.guardWord(handle.index)
        packet.pointee.passage = step.passage
        return true
    }

    /// FTP and TFTP control connections, by their ports: these are looked at anew each time.
    @inline(__always) static func mayNeedHelper(_ tuple: ConnectionTuple) -> Bool {
        tuple.ipProtocol == 6 && (tuple.sourcePort == 21 || tuple.destinationPort == 21)
            || tuple.ipProtocol == 17 && (tuple.sourcePort == 69 || tuple.destinationPort == 69)
    }
}
