import Actions
import Base
import CLinux
import Flow
import FlowCache
import Memory
import Pipeline
import Ports

// The way of a burst. Every stage runs over the whole burst before the next begins, so that the memory each packet needs is
// on its way while others are worked on. A packet that misses the caches is translated before anything of its burst
// is executed: so no packet overtakes an earlier one.

extension Worker {
    /// `count` frames stand in `cache.burst.packets`: sends each where it has to go. Nothing is flushed.
    @inline(__always)
    func process(_ count: Int) {
        let now = clock.milliseconds
        services.pointee.now = now
        adoptConfiguration()
        if sessions.isWorthwhile() {
            processWithSessions(count, now)
        } else {
            let count = extract(count, forSessions: false)
            let unresolved = cache.classify(count, now: now)
            if unresolved > 0 { resolve(unresolved, now: now) }
            execute(count)
        }
        cache.endBurst()
        if !services.pointee.recirculations.isEmpty { recirculate(now) }
        services.pointee.traces.removeAll()
    }

    /// The packets that went back to the tables, until none is left.
    @inline(never)
    func recirculate(_ now: UInt64) {
        while !services.pointee.recirculations.isEmpty {
            let count = extractReturning(
                services.pointee.recirculations.take(returning.burst.packets, returningIDs, limit: burstSize))
            let unresolved = returning.classify(count, now: now)
            if unresolved > 0 { resolve(unresolved, now: now, in: &returning) }
            executeReturning(count, now)
            returning.endBurst()
        }
    }

    /// Keys of packets that come back: of the frame as it is by now, and what is known beside it.
    private func extractReturning(_ count: Int) -> Int {
        let burst = returning.burst
        var kept = 0
        for i in 0..<count {
            let packet = burst.packets[i]
            burst.packets[kept] = packet
            let key = burst.freshKey(kept)
            guard extractKey(packet, into: key, vlanLimit: vlanLimit) != .tooShort else {
                discard(packet, .frameTooShort)
                continue
            }
            key[Slot.pktMark.word] = UInt64(packet.pointee.mark) &<< 32 | UInt64(packet.pointee.queue)
            key[Slot.recircID.word] = UInt64(returningIDs[i])
            if packet.pointee.isTracked {
                for word in 0..<packet.pointee.tracking.count {
                    key[Slot.ctMark.word &+ word] = packet.pointee.tracking[word]
                }
            }
            returning.prepare(kept, isExtended: true)
            kept &+= 1
        }
        return kept
    }

    /// Looks whether the configuration has changed, once a burst.
    @inline(__always)
    private func adoptConfiguration() {
        let generation = model.changes.generation
        guard generation != knownGeneration else { return }
        adopt(generation)
    }

    @inline(never)
    private func adopt(_ generation: UInt64) {
        knownGeneration = generation
        cache.setGeneration(generation)
        returning.setGeneration(generation)
        vlanLimit = reader.enter()._withUnsafeGuaranteedRef { $0.settings.vlanLimit }
        reader.leave()
    }

    /// Keys of all frames. Frames too short to be Ethernet are dropped, the others close ranks: how many there are.
    ///
    /// - Parameter forSessions: sessions are looked for first, and the caches asked for the rest.
    @inline(__always)
    func extract(_ count: Int, forSessions: Bool) -> Int {
        let burst = cache.burst
        var kept = 0
        for i in 0..<count {
            let packet = burst.packets[i]
            burst.packets[kept] = packet
            let kind = extractKey(packet, into: burst.freshKey(kept), vlanLimit: vlanLimit)
            guard kind != .tooShort else {
                discard(packet, .frameTooShort)
                continue
            }
            if forSessions {
                cache.note(kept, isExtended: kind == .extended)
            } else {
                cache.prepare(kept, isExtended: kind == .extended)
            }
            kept &+= 1
        }
        return kept
    }

    /// Runs each packet's program, in order of arrival.
    @inline(__always)
    func execute(_ count: Int) {
        var hasLookedAhead = false
        for i in 0..<count {
            execute(packet: i) {
                if !hasLookedAhead { lookAhead(from: i, count, cache.burst) }
                hasLookedAhead = true
            }
        }
    }

    /// Runs the program of packet `i`.
    ///
    /// - Parameter lookAhead: called before it goes through connection tracking.
    @inline(__always)
    func execute(packet i: Int, lookingAhead lookAhead: () -> Void) {
        let packet = cache.burst.packets[i]
        guard let block = cache.burst.block(i) else { return discard(packet, .translationFailed) }
        if block.soleOutput != 0 {
            send(packet, to: block.soleOutput)
        } else {
            if block.tracks {
                lookAhead()
                beginTrace(i, packet)
            }
            run(block, packet)
            if block.tracks { endTrace(block, now: services.pointee.now) }
        }
    }

    @inline(never)
    func run(_ block: ActionBlock, _ packet: Packet) {
        run(block.program, block.programCount, block.dropReason, packet)
    }

    @inline(__always)
    func run(_ program: UnsafePointer<UInt64>, _ count: Int, _ dropReason: UInt8, _ packet: Packet) {
        if count == 0 {
            discard(packet, DropReason(rawValue: dropReason) ?? .noOutput)
            return
        }
        // A frame for many ports may need more copies than there are buffers: those that wait to be sent go first.
        if pool.pointee.available(like: packet) < count { flush() }
        let inPort = packet.pointee.inPort
        let outcome = Executor.execute(
            program, count: count, on: packet, pool: &pool.pointee, outputs: outputs,
            drops: counters.drops.row(inPort), services: services)
        let copies = outcome.ends &- 1 &+ outcome.surplus
        if copies > 0 { counters.add(.copies, UInt64(copies)) }
        if outcome.lost > 0 { counters.drops.add(.noBuffer, Int(outcome.lost), port: inPort) }
    }

    /// Packets that the caches had no answer for, in order of arrival.
    @inline(never)
    func resolve(_ count: Int, now: UInt64) { resolve(count, now: now, in: &cache) }

    private func resolve(_ count: Int, now: UInt64, in cache: inout FlowCache) {
        let start = weft_cycles()
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            for i in 0..<count { resolve(packet: Int(cache.burst.unresolved[i]), state, now: now, in: &cache) }
        }
        reader.leave()
        counters.add(.slowPathPackets, UInt64(count))
        counters.add(.slowPathCycles, weft_cycles() &- start)
    }

    private func resolve(packet i: Int, _ state: SwitchState, now: UInt64, in cache: inout FlowCache) {
        let status = cache.status(i, now: now)
        guard status != .current else { return }
        let key = UnsafeRawPointer(cache.burst.key(i)).assumingMemoryBound(to: FlowKey.self)
        translator.translate(
            key, packetLength: Int(cache.burst.packets[i].pointee.length), packet: cache.burst.packets[i], state: state,
            now: now, effects: effects)
        let stations = { (credit: Credit, used: UInt64) in state.stationSeen(credit, now: used) }
        if case .suspect(let flow) = status {
            if cache.holds(flow, translator.translation) {
                cache.confirm(i, flow: flow, now: now)
                return
            }
            cache.invalidate(flow, stations)
        }
        cache.install(i, translator.translation, now: now, stations: stations)
    }
}

extension SwitchState {
    /// A cached flow says that a learned address was in use at `now` (milliseconds).
    func stationSeen(_ credit: Credit, now: UInt64) {
        let number = Int(credit.bridge)
        guard number < bridges.count, let bridge = bridges[number] else { return }
        bridge.stations.touch(credit.handle, now: now)
    }
}
