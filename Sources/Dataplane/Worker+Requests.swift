import Actions
import Base
import CLinux
import Conntrack
import Flow
import FlowCache
import Memory
import Pipeline
import Ports

// What other threads ask of a worker. Everything here runs on the worker's thread, by way of `post`, or before it starts.

extension Worker {
    /// While the thread does not run: what was posted, and what that posted in turn.
    func runMailbox() {
        while mailbox.hasWork || settleAt >= 0 {
            mailbox.run()
            if settleAt >= 0 { _ = settleStep(until: .max) }
        }
    }

    /// A round without a thread. Out of line, so that the thread's own copy of a round stays the only one that matters.
    @inline(never)
    func roundByHand() -> Int { round(weft_cycles()) }

    var buffersInUse: Int { pool.pointee.inUse }

    func attach(_ receiver: PortReceiver, to port: PortIndex) {
        receiver.portIndex = port
        receivers.append(receiver)
    }

    func detach(_ gone: [PortReceiver]) { receivers.removeAll { one in gone.contains { $0 === one } } }

    func setTransmitter(_ transmitter: PortTransmitter?, for port: PortIndex) {
        guard Int(port.rawValue) < OutputBatches.maximumPorts else { return }
        transmitterOwners[port.rawValue] = transmitter
        transmitters[Int(port.rawValue)] = transmitter.map { Unmanaged.passUnretained($0) }
    }

    /// A frame as if received on a port: a burst of its own, out on return. Without a buffer it is dropped.
    func inject(_ frame: [UInt8], port: PortIndex) {
        counters.add(.injected, 1)
        guard let packet = take(frame, port: port) else { return }
        cache.burst.packets[0] = packet
        process(1)
        flush()
        counters.add(.packets, 1)
        publishCacheStatistics()
    }

    /// A frame that is sent by command: through actions instead of table 0, past the caches.
    func packetOut(_ frame: [UInt8], _ actions: ActionCode, bridge: Int, inPort: PortNumber, port: PortIndex) {
        counters.add(.injected, 1)
        guard let packet = take(frame, port: port) else { return }
        let words = cache.burst.freshKey(0)
        let kind = extractKey(packet, into: words, vlanLimit: vlanLimit)
        guard kind != .tooShort else { return discard(packet, .frameTooShort) }
        cache.note(0, isExtended: kind == .extended)
        cache.burst.packets[0] = packet
        let now = clock.milliseconds
        var isTranslated = false
        reader.enter()._withUnsafeGuaranteedRef { state in
            guard bridge < state.bridges.count, let bridge = state.bridges[bridge] else { return }
            isTranslated = true
            translator.translate(
                actions: actions, key: UnsafeRawPointer(words).assumingMemoryBound(to: FlowKey.self),
                packetLength: frame.count, packet: packet, state: state, bridge: bridge, inPort: inPort, now: now,
                effects: effects)
            cache.install(0, translator.translation, now: now) { state.stationSeen($0, now: $1) }
        }
        reader.leave()
        services.pointee.now = now
        if isTranslated { execute(1) } else { discard(packet, .translationFailed) }
        cache.endBurst()
        recirculate(now)
        services.pointee.traces.removeAll()
        flush()
    }

    /// Runs a program on a frame without sending anything: connections are made and kept up as if it had come in. Outside
    /// of all counting. A fragment is left alone: it would be held, or let go those that are.
    func rehearse(_ frame: [UInt8], _ program: [UInt64], port: PortIndex) {
        guard let packet = pool.pointee.take(frame.count) else { return }
        frame.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: bytes.count) }
        }
        packet.pointee.inPort = port
        packet.pointee.timestamp = 0
        var key = InlineArray<28, UInt64>(repeating: 0)
        withUnsafeMutableBytes(of: &key) { bytes in
            if let words = bytes.bindMemory(to: UInt64.self).baseAddress {
                _ = extractKey(packet, into: words, vlanLimit: vlanLimit)
            }
        }
        guard !FragmentReassembler.isFragment(packet) else { return pool.pointee.free(packet) }
        var drops = [UInt64](repeating: 0, count: DropReason.count)
        services.pointee.now = clock.milliseconds
        services.pointee.isRehearsal = true
        program.withUnsafeBufferPointer { words in
            if let start = words.baseAddress, words.count > 0 {
                drops.withUnsafeMutableBufferPointer { drops in
                    if let drops = drops.baseAddress {
                        _ = Executor.executeWhole(
                            start, count: words.count, on: packet, pool: &pool.pointee, outputs: outputs, drops: drops,
                            services: services)
                    }
                }
            } else {
                pool.pointee.free(packet)
            }
        }
        services.pointee.isRehearsal = false
    }

    private func take(_ frame: [UInt8], port: PortIndex) -> Packet? {
        guard let packet = pool.pointee.take(frame.count) else {
            counters.drops.add(.noBuffer, 1, port: port)
            return nil
        }
        frame.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: bytes.count) }
        }
        packet.pointee.inPort = port
        packet.pointee.timestamp = 0
        return packet
    }

    /// Credits to rules what megaflows and sessions have counted, piece by piece: between two pieces the worker forwards.
    /// `done` runs on the worker at the end.
    ///
    /// - Parameter connections: credits connections too what sessions have counted for them.
    func settle(connections: Bool = false, done: @escaping @Sendable () -> Void) {
        guard settleAt < 0 else { return post { self.settle(connections: connections, done: done) } }
        settleAt = 0
        settleDue = 0
        settlesConnections = connections
        whenSettled = done
    }

    /// A piece of settling that ends about at `deadline`, in ticks. When it ended. Paths go before the megaflows that they
    /// count for.
    func settleStep(until deadline: UInt64) -> UInt64 {
        var ticks: UInt64 = 0
        let sessionEnd = settlesConnections ? sessions.sessionEnd : 0
        let pathEnd = sessionEnd + sessions.pathEnd
        let end = pathEnd + max(cache.settleEnd, returning.settleEnd)
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            let stations = { (credit: Credit, used: UInt64) in state.stationSeen(credit, now: used) }
            repeat {
                if settleAt < sessionEnd {
                    sessions.creditConnections(settleAt..<min(settleAt + 8, sessionEnd))
                    settleAt = min(settleAt + 8, sessionEnd)
                } else if settleAt < pathEnd {
                    let first = settleAt - sessionEnd
                    sessions.creditPaths(first..<first + 8, cache, returning, stations)
                    settleAt = min(settleAt + 8, pathEnd)
                } else {
                    let first = settleAt - pathEnd
                    cache.settle(first..<first + 8, stations)
                    returning.settle(first..<first + 8, stations)
                    settleAt += 8
                }
                ticks = weft_cycles()
            } while settleAt < end && ticks < deadline
        }
        reader.leave()
        if settleAt >= end {
            settleAt = -1
            let done = whenSettled
            whenSettled = nil
            done?()
        }
        return ticks
    }

    func flushCache() {
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            let stations = { (credit: Credit, used: UInt64) in state.stationSeen(credit, now: used) }
            sessions.flush(first: &cache, returning: &returning, stations)
            cache.flush(stations)
            returning.flush(stations)
        }
        reader.leave()
        cache.endBurst()
        returning.endBurst()
        publishCacheStatistics()
    }

    /// Sweeps the whole table, as time does step by step.
    func sweepAll(now: UInt64) {
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            let stations = { (credit: Credit, used: UInt64) in state.stationSeen(credit, now: used) }
            sessions.sweep(
                sessions: sessions.sessionEnd, paths: sessions.pathEnd, first: &cache, returning: &returning, now: now,
                stations)
            cache.sweep(cache.settleEnd, now: now, stations)
            returning.sweep(returning.settleEnd, now: now, stations)
        }
        reader.leave()
        cache.endBurst()
        returning.endBurst()
        cache.rank()
        returning.rank()
        tracker.quiescent(worker: number)
        expireFragments()
        publishCacheStatistics()
    }

    /// Hands the paths of sessions to `take`, a slice at a time; `done` at the end.
    func describeSessions(
        from start: Int = 0, take: @escaping @Sendable ([SessionPathDescription]) -> Void,
        done: @escaping @Sendable () -> Void
    ) {
        let slice = 16
        take(sessions.describe(start..<start + slice, worker: number))
        if start + slice >= sessions.pathEnd {
            done()
        } else {
            post { self.describeSessions(from: start + slice, take: take, done: done) }
        }
    }

    /// Hands the megaflows to `take`, a slice at a time; `done` at the end.
    func describe(
        from start: Int = 0, take: @escaping @Sendable ([MegaflowDescription]) -> Void,
        done: @escaping @Sendable () -> Void
    ) {
        let slice = 64
        var flows = cache.describe(start..<start + slice) + returning.describe(start..<start + slice)
        for i in flows.indices { flows[i].worker = number }
        take(flows)
        if start + slice >= max(cache.settleEnd, returning.settleEnd) {
            done()
        } else {
            post { self.describe(from: start + slice, take: take, done: done) }
        }
    }
}
