import Base
import Conntrack
import FlowCache
import Pipeline

extension Switch {
    /// Seconds between two looks at what is due.
    public static let tickPeriod = 0.1

    /// Nanoseconds that one `upkeepConnections` takes at the most.
    private static let upkeepShare: UInt64 = 5_000_000

    /// What is due now: learned rules are made, statistics are folded, timeouts are looked at, devices are watched. The control
    /// thread calls it each `tickPeriod` (real time). Virtual time passes in `warp` alone, so then only what packets asked
    /// for and what happens to devices is due.
    ///
    /// - Returns: whether there is more to do for connections than others should wait for, and nobody goes on with it yet:
    ///   `upkeepConnections` does.
    public func tick() -> Bool {
        drainRequests()
        lookAtDevices()
        let now = clock.milliseconds
        guard !clock.isVirtual else { return false }
        model.frozen.collect(now: now)
        if now >= nextUpkeep {
            nextUpkeep = now + 500
            settle()
            expire(now)
        }
        return !owesUpkeep && upkeepConnections()
    }

    /// Real time only: a piece of the work for connections, those whose time is up and those to come. True: there is more; call
    /// again when others have been served.
    public func upkeepConnections() -> Bool {
        let end = SwitchClock.monotonicNanoseconds() + Self.upkeepShare
        repeat {
            owesUpkeep = tracker.upkeep(now: clock.milliseconds)
        } while owesUpkeep && SwitchClock.monotonicNanoseconds() < end
        return owesUpkeep
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
        while tracker.upkeep(now: now) {}
        model.frozen.collect(now: now)
        drainRequests()
        settle()
        expire(now)
    }
}
