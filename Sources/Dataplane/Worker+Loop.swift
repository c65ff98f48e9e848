import Base
import CLinux
import Conntrack
import FlowCache
import Memory
import Pipeline
import Ports
import Synchronization

// The thread: rounds over all receive queues until told to stop.

extension Worker {
    /// Starts the thread. False if the system has no more threads to give.
    public func start() -> Bool {
        stopping.store(false, ordering: .relaxed)
        let context = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Worker>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if failure != 0 {
            context.release()
            return false
        }
        isRunning = true
        return true
    }

    /// Ends the thread and waits for it.
    public func stop() {
        guard isRunning else { return }
        stopping.store(true, ordering: .releasing)
        post {}
        pthread_join(thread, nil)
        isRunning = false
    }

    /// Any thread: `body` runs on the worker, between two bursts.
    public func post(_ body: @escaping @Sendable () -> Void) { mailbox.post(body) }

    private func run() {
        weft_name_thread("weft-worker-\(number)")
        if let core { _ = weft_pin_to_core(Int32(core)) }
        // A frame that is due is sent when it is due, not up to 50 microseconds later.
        weft_timer_slack(1000)
        serve()
        runMailbox()
    }

    @inline(never)
    private func serve() {
        while !stopping.load(ordering: .relaxed) {
            var before = weft_cycles()
            if mailbox.hasWork || (settleAt >= 0 && before >= settleDue) { before = workForOthers(from: before) }
            let moved = round(before)
            let spent = weft_cycles() &- before
            counters.add(.rounds, 1)
            if moved > 0 {
                counters.add(.busyRounds, 1)
                counters.add(.busyCycles, spent)
                idle.worked()
            } else {
                rest(spent)
            }
        }
    }

    /// One burst from each queue, then everything out. Frames received.
    @inline(__always)
    func round(_ start: UInt64) -> Int {
        var moved = 0
        for i in 0..<polled.count {
            let count = polled[i]._withUnsafeGuaranteedRef {
                $0.receive(cache.burst.packets, limit: burstSize, pool: &pool.pointee)
            }
            guard count > 0 else { continue }
            moved &+= count
            if isToWait(count) { setAside(count) } else { process(count) }
        }
        if waitingCount > 0 { processWaiting() }
        if moved > 0 {
            flush()
            account(moved, weft_cycles() &- start)
        }
        upkeep()
        return moved
    }

    private func account(_ moved: Int, _ ticks: UInt64) {
        counters.add(.bursts, 1)
        counters.add(.packets, UInt64(moved))
        let at = counters.latencies + WorkerCounters.latencyClass(ticks)
        weft_atomic_store(at, weft_atomic_load(at) &+ UInt64(moved))
        publishCacheStatistics()
    }

    func publishCacheStatistics() {
        let first = cache.statistics
        let second = returning.statistics
        counters.set(.sessionHits, sessions.statistics.hits)
        counters.set(.sessionsRefused, sessions.statistics.refused)
        counters.set(.sessionsMade, sessions.statistics.made)
        counters.set(.sessionsUnfit, sessions.statistics.unfit)
        counters.set(.sessionsEvicted, sessions.statistics.evicted)
        counters.set(.sessions, UInt64(sessions.sessionCount))
        counters.set(.sessionPaths, UInt64(sessions.distinctPaths))
        counters.set(.exactHits, first.exactHits &+ second.exactHits)
        counters.set(.signatureHits, first.signatureHits &+ second.signatureHits)
        counters.set(.megaflowHits, first.megaflowHits &+ second.megaflowHits)
        counters.set(.misses, first.misses &+ second.misses)
        counters.set(.tupleProbes, first.tupleProbes &+ second.tupleProbes)
        counters.set(.revalidated, first.revalidated &+ second.revalidated)
        counters.set(.invalidated, first.invalidated &+ second.invalidated)
        counters.set(.evicted, first.evicted &+ second.evicted)
        counters.set(.expired, first.expired &+ second.expired)
        counters.set(.megaflows, UInt64(cache.flowCount + returning.flowCount))
        counters.set(.masks, UInt64(cache.maskCount + returning.maskCount))
    }

    /// Between two rounds: what was posted, and a piece of settling. Packets wait meanwhile. When it ended.
    @inline(never)
    private func workForOthers(from start: UInt64) -> UInt64 {
        if mailbox.hasWork { mailbox.run() }
        if settleAt >= 0 {
            let end = settleStep(until: weft_cycles() &+ pieceTicks)
            // Three quarters of the time are for packets.
            settleDue = end &+ 3 &* pieceTicks
        }
        return notePause(since: start)
    }

    @discardableResult
    private func notePause(since start: UInt64) -> UInt64 {
        let end = weft_cycles()
        if end &- start > counters[.longestPause] { counters.set(.longestPause, end &- start) }
        return end
    }

    /// Ticks that a piece of work which can be cut takes at the most: 5 microseconds.
    private var pieceTicks: UInt64 { ticksPerMillisecond / 200 }

    /// A bounded piece of housekeeping each millisecond: settling statistics, expiry; each quarter of a second the ranking. A
    /// worker that slept makes up for the milliseconds that it missed, before it sleeps again.
    @inline(__always)
    private func upkeep() {
        let cycles = weft_cycles()
        guard cycles >= upkeepDue else { return }
        let missed = upkeepDue == 0 ? 0 : (cycles &- upkeepDue) / ticksPerMillisecond
        upkeepDue = cycles &+ ticksPerMillisecond
        housekeeping(cycles, megaflows: Int(min(64 &* (missed &+ 1), 1 << 30)))
    }

    @inline(never)
    private func housekeeping(_ cycles: UInt64, megaflows: Int) {
        sweepOwed = min(sweepOwed + megaflows, max(cache.settleEnd, returning.settleEnd, sessions.sessionEnd))
        sweepStep(until: cycles &+ 2 &* pieceTicks)
        tracker.quiescent(worker: number)
        expireFragments()
        if cycles >= rankDue {
            rankDue = cycles &+ 250 &* ticksPerMillisecond
            cache.rank()
            returning.rank()
            publishCacheStatistics()
        }
        notePause(since: cycles)
    }

    /// Sweeps what is owed, for about as long as is left.
    private func sweepStep(until deadline: UInt64) {
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            let now = clock.milliseconds
            repeat {
                let stations = { (credit: Credit, used: UInt64) in state.stationSeen(credit, now: used) }
                sessions.sweep(
                    sessions: 8 + sessions.sessionCount >> 15, paths: 1, first: &cache, returning: &returning, now: now,
                    stations)
                cache.sweep(8, now: now, stations)
                returning.sweep(8, now: now, stations)
                sweepOwed = max(0, sweepOwed - 8)
            } while sweepOwed > 0 && weft_cycles() < deadline
        }
        reader.leave()
        cache.endBurst()
        returning.endBurst()
    }

    /// Fragments whose datagram did not become whole in time.
    func expireFragments() {
        let expired = reassembler.expire(now: clock.milliseconds)
        if expired > 0 { counters.drops.add(.fragmentExpired, expired, port: .none) }
    }

    /// Time stamp counter ticks a millisecond, measured once at start.
    public static let cyclesPerMillisecond: UInt64 = {
        let start = (weft_cycles(), weft_monotonic_nanoseconds())
        while weft_monotonic_nanoseconds() - start.1 < 2_000_000 { weft_pause() }
        let nanoseconds = weft_monotonic_nanoseconds() - start.1
        return max(1, (weft_cycles() - start.0) * 1_000_000 / nanoseconds)
    }()

    /// Nothing came: spin, or sleep until something does, or the next frame is due that comes by the clock.
    @inline(never)
    private func rest(_ spent: UInt64) {
        counters.add(.idleCycles, spent)
        if sweepOwed > 0 { return sweepStep(until: weft_cycles() &+ pieceTicks) }
        if settleAt >= 0 {
            settleDue = 0
            return
        }
        let now = weft_monotonic_nanoseconds()
        var wait = idle.pause(now: now, canBeWoken: mailbox.descriptor >= 0)
        guard wait > 0 else { return weft_pause() }
        var count = 0
        if mailbox.descriptor >= 0 { watch(mailbox.descriptor, &count) }
        // A port that is switched off would stay readable: nobody takes what waits there.
        for i in 0..<polled.count {
            polled[i]._withUnsafeGuaranteedRef { receiver in
                if receiver.counters.adminDown || receiver.isFinished { return }
                if let descriptor = receiver.pollDescriptor { watch(descriptor, &count) }
                let due = receiver.nextFrameDue
                if due != .max { wait = min(wait, due > now ? due - now : 0) }
            }
        }
        counters.add(.sleeps, 1)
        tracker.offline(worker: number)
        _ = weft_poll(watched, UInt32(truncatingIfNeeded: count), wait)
        tracker.quiescent(worker: number)
        mailbox.clearDescriptor()
    }

    @inline(__always) private func watch(_ descriptor: Int32, _ count: inout Int) {
        watched[count] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        count &+= 1
    }
}
