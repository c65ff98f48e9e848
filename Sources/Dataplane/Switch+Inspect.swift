import Base
import CLinux
import Conntrack
import Flow
import FlowCache
import Pipeline
import Ports
import Synchronization

/// What the caches of all workers did, and hold.
public struct CacheSummary: Sendable, Equatable {
    public var exactHits: UInt64 = 0
    public var signatureHits: UInt64 = 0
    public var megaflowHits: UInt64 = 0
    public var misses: UInt64 = 0
    public var tupleProbes: UInt64 = 0
    public var revalidated: UInt64 = 0
    public var invalidated: UInt64 = 0
    public var evicted: UInt64 = 0
    public var expired: UInt64 = 0
    public var megaflows: UInt64 = 0
    public var sessionHits: UInt64 = 0
    public var sessionsRefused: UInt64 = 0
    public var sessionsMade: UInt64 = 0
    /// Ways of packets of which no session could be made.
    public var sessionsUnfit: UInt64 = 0
    public var sessionsEvicted: UInt64 = 0
    public var sessions: UInt64 = 0
    public var sessionPaths: UInt64 = 0
    /// Of the worker that has most.
    public var masks: UInt64 = 0

    public init() {}
}

/// Every frame that came in, and where it ended.
public struct Balance: Sendable, Equatable {
    public var received: UInt64 = 0
    public var injected: UInt64 = 0
    /// Copies made of frames that go to several places.
    public var copies: UInt64 = 0
    public var sent: UInt64 = 0
    public var drops: [DropReason: UInt64] = [:]
    /// Fragments that wait for the rest of their datagram.
    public var held: UInt64 = 0

    public var dropped: UInt64 { drops.values.reduce(0, &+) }
    public var isEven: Bool { received &+ injected &+ copies == sent &+ dropped &+ held }

    /// What a port received and sent, and what it was to send and dropped.
    mutating func add(_ port: Port) {
        let transmitted = port.transmitted
        received &+= port.received.packets
        sent &+= transmitted.packets
        drops.merge(transmitted.drops, uniquingKeysWith: &+)
    }
}

extension Switch {
    public var cacheSummary: CacheSummary {
        var sum = CacheSummary()
        for counters in workers.map(\.counters) {
            sum.sessionHits &+= counters[.sessionHits]
            sum.sessionsRefused &+= counters[.sessionsRefused]
            sum.sessionsMade &+= counters[.sessionsMade]
            sum.sessionsUnfit &+= counters[.sessionsUnfit]
            sum.sessionsEvicted &+= counters[.sessionsEvicted]
            sum.sessions &+= counters[.sessions]
            sum.sessionPaths &+= counters[.sessionPaths]
            sum.exactHits &+= counters[.exactHits]
            sum.signatureHits &+= counters[.signatureHits]
            sum.megaflowHits &+= counters[.megaflowHits]
            sum.misses &+= counters[.misses]
            sum.tupleProbes &+= counters[.tupleProbes]
            sum.revalidated &+= counters[.revalidated]
            sum.invalidated &+= counters[.invalidated]
            sum.evicted &+= counters[.evicted]
            sum.expired &+= counters[.expired]
            sum.megaflows &+= counters[.megaflows]
            sum.masks = max(sum.masks, counters[.masks])
        }
        return sum
    }

    /// Drops by reason over all workers: what rules, limits and frames themselves caused. Drops at ports are theirs.
    public var workerDrops: [DropReason: UInt64] {
        var sum = workerDrops(of: .none)
        for case let port? in model.state.ports { sum.merge(workerDrops(of: port.index), uniquingKeysWith: &+) }
        return sum
    }

    /// The share of frames that came in through `port`; for `none`, of frames without a port and of ports that are gone.
    public func workerDrops(of port: PortIndex) -> [DropReason: UInt64] {
        var sum: [DropReason: UInt64] = [:]
        for worker in workers { worker.counters.drops.collect(port, into: &sum) }
        return sum
    }

    /// What ports that are gone refused to send, by reason.
    public var departedDrops: [DropReason: UInt64] { detached.drops }

    /// The balance now. While traffic runs it is even only up to what is under way.
    public var balance: Balance {
        var sum = detached
        sum.drops.merge(workerDrops, uniquingKeysWith: &+)
        sum.held = UInt64(reassembler.held)
        for worker in workers {
            sum.injected &+= worker.counters[.injected]
            sum.copies &+= worker.counters[.copies]
        }
        for port in ports.values.map(\.port) + sources + sinks {
            sum.add(port)
        }
        return sum
    }

    /// All megaflows of all workers, with statistics of this moment.
    public func megaflows() -> [MegaflowDescription] {
        settle()
        // Slice by slice, joined here: a worker must not move an array of all that it has.
        let found = Mutex<[[MegaflowDescription]]>([])
        onEveryWorker { worker, done in
            worker.describe(take: { flows in found.withLock { $0.append(flows) } }, done: done)
        }
        return found.withLock { $0 }.flatMap { $0 }
    }

    /// All ways that sessions take, of all workers, with statistics since each was found.
    public func sessionPaths() -> [SessionPathDescription] {
        settle()
        let found = Mutex<[[SessionPathDescription]]>([])
        onEveryWorker { worker, done in
            worker.describeSessions(take: { paths in found.withLock { $0.append(paths) } }, done: done)
        }
        return found.withLock { $0 }.flatMap { $0 }
    }

    /// Empties all caches, their statistics paid out.
    public func flushCaches() { onEveryWorker { worker in worker.flushCache() } }

    /// `flow-limit` and `max-idle` of every worker's caches. More megaflows than the caches were made for do not fit.
    public func setCaches(flowLimit: Int, maximumIdle: UInt64) throws(SwitchError) {
        guard flowLimit <= options.cache.flowLimit else {
            throw SwitchError(
                "flow-limit \(flowLimit): the caches were made for \(options.cache.flowLimit); more takes a restart with the "
                    + "limit in the configuration file")
        }
        onEveryWorker { worker in
            worker.cache.flowLimit = flowLimit
            worker.cache.maximumIdle = maximumIdle
            worker.returning.flowLimit = flowLimit
            worker.returning.maximumIdle = maximumIdle
            worker.sessions.maximumIdle = maximumIdle
        }
    }

    /// `pmd/clear`.
    public func clearWorkerStatistics() { onEveryWorker { worker in worker.counters.clear() } }

    /// Latency of frames inside the switch, receipt to transmission, in nanoseconds: the value below which the given shares of
    /// frames lie.
    public func latency(_ shares: [Double]) -> [Double] {
        var classes = Array(repeating: UInt64(0), count: WorkerCounters.latencyClasses)
        for worker in workers {
            for i in 0..<classes.count { classes[i] &+= weft_atomic_load(worker.counters.latencies + i) }
        }
        let total = classes.reduce(0, &+)
        let nanosecondsPerTick = 1e6 / Double(Worker.cyclesPerMillisecond)
        return shares.map { share in
            var left = UInt64(Double(total) * share)
            for (number, count) in classes.enumerated() {
                if left < count { return Double(WorkerCounters.latencyFloor(number)) * nanosecondsPerTick }
                left -= count
            }
            return 0
        }
    }
}
