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
        serve()
        runMailbox()
    }

    @inline(never)
    private func serve() {
        while !stopping.load(ordering: .relaxed) {
            if mailbox.hasWork { mailbox.run() }
            let before = weft_cycles()
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
            process(count)
        }
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

    /// A bounded piece of housekeeping each millisecond: settling statistics, expiry; each quarter of a second the ranking. A
    /// worker that slept makes up for the milliseconds that it missed.
    @inline(__always)
    private func upkeep() {
        let cycles = weft_cycles()
        guard cycles >= upkeepDue else { return }
        let missed = upkeepDue == 0 ? 0 : (cycles &- upkeepDue) / ticksPerMillisecond
        upkeepDue = cycles &+ ticksPerMillisecond
        housekeeping(cycles, megaflows: Int(min(64 &* (missed &+ 1), 4096)))
    }

    @inline(never)
    private func housekeeping(_ cycles: UInt64, megaflows: Int) {
        let state = reader.enter()
        state._withUnsafeGuaranteedRef { state in
            let now = clock.milliseconds
            cache.sweep(megaflows, now: now) { credit, used in state.stationSeen(credit, now: used) }
            returning.sweep(megaflows, now: now) { credit, used in state.stationSeen(credit, now: used) }
        }
        reader.leave()
        cache.endBurst()
        returning.endBurst()
        tracker.quiescent(worker: number)
        expireFragments()
        if cycles >= rankDue {
            rankDue = cycles &+ 250 &* ticksPerMillisecond
            cache.rank()
            returning.rank()
            publishCacheStatistics()
        }
    }

    /// Fragments whose datagram did not become whole in time.
    func expireFragments() {
        let expired = reassembler.expire(now: clock.milliseconds)
        if expired > 0 { count(.fragmentExpired, expired) }
    }

    /// Time stamp counter ticks a millisecond, measured once at start.
    public static let cyclesPerMillisecond: UInt64 = {
        let start = (weft_cycles(), weft_monotonic_nanoseconds())
        while weft_monotonic_nanoseconds() - start.1 < 2_000_000 { weft_pause() }
        let nanoseconds = weft_monotonic_nanoseconds() - start.1
        return max(1, (weft_cycles() - start.0) * 1_000_000 / nanoseconds)
    }()

    /// Nothing came: spin, or sleep until something does.
    @inline(never)
    private func rest(_ spent: UInt64) {
        counters.add(.idleCycles, spent)
        let milliseconds = idle.pause(now: weft_monotonic_nanoseconds(), canBeWoken: mailbox.descriptor >= 0)
        guard milliseconds > 0 else { return weft_pause() }
        counters.add(.sleeps, 1)
        var descriptors: [pollfd] = []
        if mailbox.descriptor >= 0 {
            descriptors.append(pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0))
        }
        var wait = milliseconds
        // A port that is switched off would stay readable: nobody takes what waits there.
        for receiver in receivers where !receiver.counters.adminDown && !receiver.isFinished {
            if let descriptor = receiver.pollDescriptor {
                descriptors.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
            } else if receiver.mustBeAsked {
                wait = 1
            }
        }
        tracker.offline(worker: number)
        poll(&descriptors, nfds_t(descriptors.count), wait)
        tracker.quiescent(worker: number)
        mailbox.clearDescriptor()
    }
}
