import Base
import Conntrack
import FlowCache
import Pipeline

extension Switch {
    /// Seconds between two looks at what is due.
    public static let tickPeriod = 0.1

    /// Nanoseconds of a tick for connections whose time is up.
    private static let upkeepShare: UInt64 = 5_000_000

    /// What is due now: learned rules are made, statistics are folded, timeouts are looked at, devices are watched. The control
    /// thread calls it each `tickPeriod` (real time). Virtual time passes in `warp` alone, so then only what packets asked
    /// for and what happens to devices is due.
    public func tick() {
        drainRequests()
        lookAtDevices()
        let now = clock.milliseconds
        guard !clock.isVirtual else { return }
        // The control thread has others to serve: what is left waits for the next tick.
        let end = SwitchClock.monotonicNanoseconds() + Self.upkeepShare
        upkeepConnections(now) { SwitchClock.monotonicNanoseconds() < end }
        guard now >= nextUpkeep else { return }
        nextUpkeep = now + 500
        settle()
        expire(now)
    }

    /// Makes the rules that packets have asked for, but not for ever: packets may ask faster than rules are made, and what
    /// is left is made at the next tick.
    public func drainRequests() {
        for _ in 0..<4 where !model.learnQueue.isEmpty { model.applyLearned(now: clock.milliseconds) }
    }

    /// Credits rules, groups and stations with all that packets have done up to now. Afterwards `model.counters` is exact.
    ///
    /// - Parameter connections: credits connections too, so that packets and bytes in a dump are exact.
    public func settle(connections: Bool = false) {
        onEveryWorker { worker, done in worker.settle(connections: connections, done: done) }
    }

    private func expire(_ now: UInt64) {
        for rule in model.expireRules(now: now) { expiredRules.append(rule) }
        if expiredRules.count > 1024 { expiredRules.removeFirst(expiredRules.count - 1024) }
        for case let bridge? in model.state.bridges { bridge.stations.expire(now: now) }
    }

    /// Virtual time only: lets `milliseconds` pass, in steps fine enough that everything happens in its order.
    public func warp(_ milliseconds: UInt64) throws(SwitchError) {
        guard clock.isVirtual else {
            throw SwitchError("time runs by itself; only weftd --virtual-time lets it be moved")
        }
        var left = milliseconds
        while left > 0 {
            let step = min(left, 100)
            clock.advance(step)
            left -= step
            passTime()
        }
    }

    private func passTime() {
        let now = clock.milliseconds
        onEveryWorker { worker in worker.sweepAll(now: now) }
        upkeepConnections(now) { true }
        drainRequests()
        settle()
        expire(now)
    }

    /// Connections whose time is up, and states that no frame comes back to any more.
    private func upkeepConnections(_ now: UInt64, while goesOn: () -> Bool) {
        tracker.upkeep(now: now, while: goesOn)
        model.frozen.collect(now: now)
    }
}
