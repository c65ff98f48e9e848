import Actions
import Base
import CLinux
import Conntrack
import Flow
import FlowCache
import Memory
import Pipeline

// The way of a burst of which some packets have a session (`SessionCache`), and how sessions come about.
//
// Sessions are looked for first; the caches answer for the rest. Programs then run in order of arrival, whichever kind they
// are. A packet that is sent back to the tables comes out later than those behind it in the burst: so before a packet of the
// same flow takes its session, those that are on their way back go first.

/// Which flows have packets on their way back to the tables: one of 256 bits for each, by hash.
struct FlowSet {
    private var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    @inline(__always) mutating func insert(_ hash: UInt32) {
        let bit: UInt64 = 1 &<< UInt64(hash &>> 2 & 63)
        switch hash & 3 {
        case 0: bits.0 |= bit
        case 1: bits.1 |= bit
        case 2: bits.2 |= bit
        default: bits.3 |= bit
        }
    }

    @inline(__always) func contains(_ hash: UInt32) -> Bool {
        let word =
            switch hash & 3 {
            case 0: bits.0
            case 1: bits.1
            case 2: bits.2
            default: bits.3
            }
        return word &>> UInt64(hash &>> 2 & 63) & 1 != 0
    }

    mutating func removeAll() { bits = (0, 0, 0, 0) }
}

extension Worker {
    @inline(never)
    func processWithSessions(_ received: Int, _ now: UInt64) {
        sessions.begin(cache, returning, now: now)
        let count = extract(received, forSessions: true)
        let missing = sessions.find(count, cache.burst)
        if missing > 0 {
            for i in 0..<count where sessions.found[i] == 0 { cache.prepare(i) }
            let unresolved = cache.classify(count, now: now, besides: sessions.found)
            if unresolved > 0 { resolve(unresolved, now: now) }
        }
        var outstanding = FlowSet()
        var hasLookedAhead = false
        let changes = sessions.changes
        for i in 0..<count {
            let session = sessions.found[i]
            if session == 0 {
                execute(packet: i) {
                    if !hasLookedAhead { lookAhead(from: i, count, cache.burst, besides: sessions.found) }
                    hasLookedAhead = true
                }
                if !services.pointee.recirculations.isEmpty { outstanding.insert(sessions.flowHash(i)) }
                continue
            }
            if !services.pointee.recirculations.isEmpty, outstanding.contains(sessions.flowHash(i)) {
                recirculate(now)
                outstanding.removeAll()
            }
            if sessions.changes == changes || sessions.stillMatches(i, cache.burst),
                take(session, cache.burst.packets[i], now)
            {
                continue
            }
            executeLate(i, now)
            if !services.pointee.recirculations.isEmpty { outstanding.insert(sessions.flowHash(i)) }
        }
    }

    /// The packet goes the way of its session. False, and nothing has happened that the ordinary way does not repeat, if the path
    /// or a guard does not hold.
    @inline(__always)
    private func take(_ session: UInt32, _ packet: Packet, _ now: UInt64) -> Bool {
        guard sessions.isCurrent(session) else {
            sessions.removeIfDead(session)
            return false
        }
        let way = sessions.table.way(session)
        let guards = UnsafePointer(sessions.table.guards(session, way.trackCount))
        let length = packet.pointee.length
        let admitted = tracker.admit(
            packet, guards, way.tracks, count: way.trackCount, meetings: way.meetings, isTCP: way.isTCP, now: now)
        guard admitted == way.trackCount else {
            sessions.statistics.refused &+= 1
            if admitted == 0 { return false }
            leave(session, way, packet, admitted, now)
            return true
        }
        sessions.count(session, bytes: length, now: now)
        if way.soleOutput != 0 {
            let edit = way.edit
            if edit.remembersTranslation {
                packet.translateWhole(sessions.table.translation(session).pointee, isTCP: way.isTCP)
            } else if let number = edit.translation {
                tracker.translate(packet, guards[number], isReply: edit.translatesReply)
            }
            edit.apply(to: packet)
            send(packet, to: way.soleOutput)
        } else {
            services.pointee.guards = guards
            run(way.program, way.programCount, way.dropReason, packet)
        }
        return true
    }

    /// A packet whose session does not hold goes the ordinary way after all.
    @inline(never)
    private func executeLate(_ i: Int, _ now: UInt64) {
        sessions.found[i] = 0
        if !cache.classifyLate(i, now: now) {
            cache.burst.unresolved[0] = UInt16(truncatingIfNeeded: i)
            resolve(1, now: now)
        }
        execute(packet: i) {}
    }

    /// Only the first `admitted` passages took the packet. It becomes what the ordinary way would have made of it, and goes on
    /// from there, with the next passage.
    @inline(never)
    private func leave(_ session: UInt32, _ way: SessionWay, _ packet: Packet, _ admitted: Int, _ now: UInt64) {
        let state = reader.enter()
        let exit = state._withUnsafeGuaranteedRef { state in
            sessions.leave(session, at: admitted, packet, &cache, &returning, now: now) { credit, used in
                state.stationSeen(credit, now: used)
            }
        }
        reader.leave()
        guard let exit else { return discard(packet, .translationFailed) }
        let guards = UnsafePointer(sessions.table.guards(session, way.trackCount))
        services.pointee.guards = guards
        let inPort = packet.pointee.inPort
        if pool.pointee.available(like: packet) < exit.edits { flush() }
        let edited = Executor.edit(
            way.program, count: exit.edits, on: packet, pool: &pool.pointee, outputs: outputs,
            drops: counters.drops.row(inPort), services: services)
        counters.add(.copies, UInt64(edited.sent &+ edited.lost))
        if edited.lost > 0 { counters.drops.add(.noBuffer, Int(edited.lost), port: inPort) }
        guard edited.isThere else { return }
        if exit.isCleared {
            ConnectionTracker.clear(packet)
        } else {
            tracker.recall(packet, guards[admitted - 1], way.tracks[admitted - 1])
        }
        packet.pointee.recirculations = UInt8(truncatingIfNeeded: exit.stage)
        packet.pointee.trace = 0
        run(exit.rest, exit.restCount, exit.dropReason, packet)
        // Those behind it may be of the same flow.
        recirculate(now)
    }
}

// MARK: - Traces

extension Worker {
    /// A packet begins its way through connection tracking: its trace begins, if a session may come of it.
    @inline(__always)
    func beginTrace(_ i: Int, _ packet: Packet) {
        packet.pointee.trace = 0
        tracing = 0
        if sessions.isEnabled { openTrace(i, packet) }
    }

    @inline(__always)
    static func hasSYN(_ key: UnsafePointer<UInt64>) -> Bool {
        key[4] &>> 56 == 6 && key[Slot.tcpFlags.word] & UInt64(TCPFlag.syn) != 0
    }

    @inline(never)
    private func openTrace(_ i: Int, _ packet: Packet) {
        let key = UnsafePointer(cache.burst.key(i))
        // TCP or UDP, no fragment. A segment with SYN takes no session.
        let ipProtocol = key[4] &>> 56
        guard ipProtocol == 6 || ipProtocol == 17, !Self.hasSYN(key), key[4] &>> 48 & 0xff == 0,
            let stage = cache.stage(of: i)
        else { return }
        let number = services.pointee.traces.begin()
        guard number != 0 else { return }
        let trace = services.pointee.traces.trace(number)
        for word in 0..<10 { trace.pointee.key[word] = key[word] }
        var further: UInt64 = 0
        for word in 10..<17 { further |= key[word] }
        trace.pointee.hasFurtherWords = further != 0
        trace.pointee.stages[0] = stage
        trace.pointee.stageCount = 1
        packet.pointee.trace = number
        tracing = number
    }

    /// The program of the packet that began or went on with the trace `tracing` has run. If it did not send it back, the trace
    /// is whole.
    @inline(__always)
    func endTrace(_ block: ActionBlock, now: UInt64) {
        if tracing != 0, !block.recirculates { makeSession(tracing, now) }
    }

    @inline(never)
    func makeSession(_ number: UInt16, _ now: UInt64) {
        // Most often the first packet of a connection: it has found what the next one will not.
        if services.pointee.traces.trace(number).pointee.isVoid {
            sessions.statistics.unfit &+= 1
            return
        }
        sessions.begin(cache, returning, now: now)
        sessions.make(
            of: services.pointee.traces.trace(number), first: &cache, returning: &returning, now: now)
    }

    /// Programs of packets that came back.
    func executeReturning(_ count: Int, _ now: UInt64) {
        let burst = returning.burst
        var hasLookedAhead = false
        for i in 0..<count {
            let packet = burst.packets[i]
            guard let block = burst.block(i) else {
                discard(packet, .translationFailed)
                continue
            }
            let number = packet.pointee.trace
            if number != 0 { goOn(number, i, packet) }
            if block.soleOutput != 0 {
                send(packet, to: block.soleOutput)
            } else {
                if block.tracks, !hasLookedAhead {
                    lookAhead(from: i, count, burst)
                    hasLookedAhead = true
                }
                run(block, packet)
            }
            if number != 0, !block.recirculates { makeSession(number, now) }
        }
    }

    /// The trace has one program more.
    @inline(never)
    private func goOn(_ number: UInt16, _ i: Int, _ packet: Packet) {
        let trace = services.pointee.traces.trace(number)
        guard !trace.pointee.isVoid else { return }
        guard trace.pointee.stageCount < PacketTrace.maximumStages, let stage = returning.stage(of: i) else {
            trace.pointee.isVoid = true
            return
        }
        trace.pointee.stages[trace.pointee.stageCount] = stage
        trace.pointee.stageCount += 1
    }
}
