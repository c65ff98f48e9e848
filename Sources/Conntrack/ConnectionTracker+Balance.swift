import Base
import CLinux
import Memory

// Connections of load-balanced services. An established packet of one is translated like any other (`ct(nat)`), so all that
// is here runs for a connection's first packet, but for `steer` and `renewOneSided`, which only requests ask for that need
// them.
extension ConnectionTracker {
    /// The packet begins a connection of a service: a backend is chosen for it, and the connection translated to that in one
    /// pass, both ends if need be. False: somebody else made it in this moment; look again.
    func createBalanced(_ new: inout NewConnection, _ step: inout TrackStep) -> Bool {
        step.state = TrackState.new
        step.isReply = false
        guard let chooser else { return refuse(&step, .drop(.noBackend)) }
        var query = BackendQuery(service: step.request.pointee.service, tuple: new.original, now: step.now)
        withUnsafeMutablePointer(to: &query) { chooser.choose(chooser.context, UnsafeMutableRawPointer($0)) }
        switch query.outcome {
        case .chosen: break
        case .empty: return refuse(&step, .drop(.noBackend))
        case .emptyRefuses: return refuse(&step, .refuse(.noBackend))
        case .foreign:
            step.count(.new)
            finish(&step, nil)
            return true
        }
        guard makeRoom(step) else {
            conclude(&query, chooser, isMade: false)
            return refuse(&step, .drop(.serviceUntracked))
        }
        new.backend = query.backend
        let entry = enter(&new, step) { chooseReply(&$0, step, query) }
        switch entry {
        case .made(let index):
            conclude(&query, chooser, isMade: true)
            return begin(&step, index, remembering: query.station)
        case .exists: return false
        case .refused(let counter):
            step.count(counter)
            conclude(&query, chooser, isMade: false)
            return refuse(&step, .drop(.serviceUntracked))
        }
    }

    /// Tells who chose what became of it.
    private func conclude(_ query: inout BackendQuery, _ chooser: BackendChooser, isMade: Bool) {
        withUnsafeMutablePointer(to: &query) {
            chooser.conclude(chooser.context, UnsafeMutableRawPointer($0), isMade)
        }
    }

    /// The packet goes no further: a service's address is nobody's own, so there is nowhere to send it as it is.
    func refuse(_ step: inout TrackStep, _ verdict: TrackVerdict) -> Bool {
        step.count(.new)
        step.verdict = verdict
        finish(&step, nil)
        return true
    }

    /// The reply tuple: from the backend, to the client or to the address that stands in for it.
    private func chooseReply(_ new: inout NewConnection, _ step: TrackStep, _ query: BackendQuery) -> Bool {
        let mirrored = new.original.reversed
        new.traits = []
        new.reply = mirrored
        if query.isDirect { return true }
        var request = TrackRequest()
        request.hasAddresses = true
        request.isIPv6 = new.original.isIPv6
        var base = mirrored
        if query.translatesSource {
            base.src = query.address
            base.sourcePort = query.port
            request.kind = .source
            request.firstAddress = query.firstSource
            request.lastAddress = query.lastSource
        } else {
            request.kind = .destination
            request.firstAddress = query.address
            request.lastAddress = query.address
            request.firstPort = query.port
            request.lastPort = query.port
        }
        var probe = TableProbe(table: table, now: step.now)
        let picker = pickers + step.worker
        guard let reply = picker.pointee.reply(to: new.original, base: base, request, probe: &probe) else {
            return false
        }
        new.reply = reply
        new.traits.insert(.destinationNAT)
        if reply.dst != mirrored.dst || reply.destinationPort != mirrored.destinationPort {
            new.traits.insert(.sourceNAT)
        }
        if reply != mirrored {
            new.traits.insert(.hasReplyEntry)
            new.replyHash = table.hash(reply)
        }
        return true
    }

    private func begin(_ step: inout TrackStep, _ index: UInt32, remembering station: UInt64) -> Bool {
        let connection = table.connection(index)
        let generation = connection.generation
        guard connection.lock(generation: generation) else { return refuse(&step, .drop(.serviceUntracked)) }
        let frame = UnsafeRawPointer(step.packet.pointee.data)
        // Only what was sent to the service's own station comes back from there.
        if station != 0, frame.be48(0) == station { connection.remember(station: station, client: frame.be48(6)) }
        if connection.traits.pointee.translates { translate(&step, connection) }
        if step.request.pointee.steers { steer(step, connection) }
        finish(&step, connection, index: index, generation: generation)
        connection.unlock()
        return true
    }

    /// Where a service has a station of its own, or knows those of its backends, frames are sent on to the next station: the
    /// backend's, and on the way back the client's. The caller holds the record's lock bit.
    @inline(never) func steer(_ step: TrackStep, _ connection: Connection) {
        guard let chooser, !step.read.isRelated, step.packet.pointee.length >= 14 else { return }
        let backend = Int(connection.backend) & (BackendChooser.backendLimit &- 1)
        guard backend != 0 else { return }
        let frame = step.packet.pointee.data
        if step.isReply {
            let (station, client) = connection.stations
            if station != 0, UnsafeRawPointer(frame).be48(0) == station { frame.store48(client, 0) }
        } else {
            let station = weft_atomic_load(chooser.stations + backend)
            if station != 0 { frame.store48(station, 0) }
        }
    }

    /// Of a connection whose answers take another way (direct server return), nothing is known but what the client sends:
    /// what its segments say of the connection has to do.
    @inline(never) func renewOneSided(_ step: TrackStep, _ connection: Connection) -> Bool {
        guard connection.kind.pointee == .tcp else { return false }
        let flags = UInt16(UnsafeRawPointer(step.packet.pointee.data).byte(step.read.l4 &+ 13))
        let timeout: TimeoutName =
            flags & TCPFlag.rst != 0
            ? .tcpClose
            : flags & TCPFlag.fin != 0 ? .tcpFinWait : flags & TCPFlag.syn != 0 ? .tcpSynSent : .tcpEstablished
        connection.timeout = timeout.place(policy: connection.policy)
        return renew(connection, now: step.now)
    }

    /// Connections that a backend has now.
    public func count(ofBackend number: UInt32) -> UInt64 {
        Int(number) < BackendChooser.backendLimit ? weft_atomic_load(table.backendCounts + Int(number)) : 0
    }

    /// The same for the choice by least connections: by number.
    public var backendCounts: UnsafePointer<UInt64> { UnsafePointer(table.backendCounts) }

    /// Ends the connections of some backends. Call it when no worker can choose them any more. One pass over the slots ever
    /// used, without a lock but for those that are ended.
    ///
    /// - Returns: how many were ended.
    @discardableResult
    public func flush(backends: Set<UInt32>) -> Int {
        guard !backends.isEmpty, backends.contains(where: { count(ofBackend: $0) != 0 }) else { return 0 }
        var ended = 0
        let end = UInt32(truncatingIfNeeded: min(slotsUsed, UInt64(table.lastSlot)))
        for index in stride(from: UInt32(1), to: end, by: 1) {
            let connection = table.connection(index)
            let backend = connection.backend
            guard backend != 0, backends.contains(backend) else { continue }
            let generation = connection.generation
            guard connection.backend == backend, table.remove(index, generation: generation) else { continue }
            ended += 1
        }
        weft_atomic_add(sharedCounters + TrackCounter.flushed.rawValue, UInt64(ended))
        return ended
    }
}

extension Connection {
    /// The station that the client's first frame was sent to, and the client's own, 48 bits each; zeros if they are not to be
    /// known. They lie where a connection that a helper follows has its sequence skew, which none of these is.
    @inline(__always) var stations: (service: UInt64, client: UInt64) {
        let words = UnsafeRawPointer(skew)
        let first = words.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        let rest = words.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        return (first & 0xffff_ffff_ffff, first &>> 48 | UInt64(rest) &<< 16)
    }

    func remember(station: UInt64, client: UInt64) {
        let words = UnsafeMutableRawPointer(skew)
        words.storeBytes(of: station | client &<< 48, toByteOffset: 0, as: UInt64.self)
        words.storeBytes(of: UInt32(truncatingIfNeeded: client &>> 16), toByteOffset: 8, as: UInt32.self)
    }
}
