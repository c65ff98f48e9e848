import Balancer
import Base
import CLinux
import Conntrack
import Dispatch
import Flow
import FlowCache
import Logging
import Memory
import Pipeline
import Ports
import Synchronization

/// # Dataplane: the switch as a whole
///
/// A `Switch` joins the configuration (`SwitchModel`), the ports and the workers. It is the one object that `weftd`,
/// `weft-replay` and the tests drive.
///
/// **Threads.** Everything here is called by one thread, the control thread, unless it says otherwise. The control thread
/// never touches what a worker owns; it posts work to the worker's mailbox and, where it needs the result,
/// waits for it. Workers never wait for anybody: they read the configuration through a wait-free reader and
/// leave `learn` requests in a queue.
///
/// **Time.** `clock` is real or virtual. Nothing that lives by it (rule timeouts, station ageing, megaflow expiry) reads
/// another clock. `tick` does what is due; with virtual time `warp` advances step by step and does it. Network devices are
/// followed in real time, whatever the clock.
///
/// **Balance.** At any quiet moment: frames received + injected + copies = frames transmitted + drops + fragments that
/// wait for their datagram, where drops are those of the workers and of the ports. `balance` adds it up; tests hold it after every run.
public final class Switch {
    public struct Options: Sendable {
        public var workers = 1
        /// Cores to pin the workers to, in order; empty pins worker n to the n-th core that the process may use, the
        /// highest first, when there are more cores than workers.
        public var cores: [Int] = []
        public var cache = FlowCacheConfiguration()
        public var isTimeVirtual = false
        /// What the connection tracker is made with.
        public var tracking = TrackerConfiguration()
        public var burst = 32

        public init() {}
    }

    public let options: Options
    public let model = SwitchModel()
    public let clock: SwitchClock
    public let log: Logger
    /// Monotonic nanoseconds.
    public let started = weft_monotonic_nanoseconds()
    public internal(set) var workers: [Worker] = []
    /// Ports with a device, file or socket behind them, by index.
    public internal(set) var ports: [PortIndex: AttachedPort] = [:]
    /// Files that feed ports or stand in for them (`weft-replay`).
    var sources: [Port] = []
    var sinks: [Port] = []
    /// What ports that are gone have done.
    var detached = Balance()
    var isRunning = false
    /// Milliseconds of the switch's clock.
    var nextUpkeep: UInt64 = 0
    /// The last piece of work for connections did not end it.
    public internal(set) var owesUpkeep = false
    var deviceWatch: DeviceWatch?
    /// Milliseconds of the monotonic clock.
    var nextLook: UInt64 = 0
    /// Connections, of all workers.
    public let tracker: ConnectionTracker
    /// Services, and who chooses their backends.
    public let balancer: Balancer
    /// Fragments on their way through connection tracking.
    public let reassembler = FragmentReassembler(seed: .random(in: 0 ... .max))
    /// Rules whose time was up, the last 1,024.
    public internal(set) var expiredRules: [ExpiredRule] = []

    public init(_ options: Options, log: Logger) throws(SwitchError) {
        self.options = options
        self.log = log
        clock = SwitchClock(isVirtual: options.isTimeVirtual)
        tracker = ConnectionTracker(options.tracking, workers: options.workers)
        balancer = Balancer(connections: tracker.backendCounts, seed: options.tracking.seed)
        tracker.chooser = balancer.chooser
        let cores = try Self.placement(options)
        for number in 0..<options.workers {
            guard let reader = model.makeReader() else {
                throw SwitchError("\(options.workers) workers: there can be 512 at the most")
            }
            workers.append(
                Worker(
                    number: number, core: cores[number], model: model, clock: clock, reader: reader,
                    cache: options.cache, tracker: tracker, reassembler: reassembler,
                    burstSize: options.burst))
        }
        model.whenPortsGo = { [weak self] ports in
            self?.onEveryWorker { worker in worker.counters.drops.retire(ports) }
        }
    }

    /// Core of each worker.
    private static func placement(_ options: Options) throws(SwitchError) -> [Int?] {
        var allowed = [Int32](repeating: 0, count: 1024)
        let count = min(Int(weft_allowed_cores(&allowed, Int32(allowed.count))), allowed.count)
        let usable = allowed.prefix(count).map(Int.init)
        for core in options.cores where !usable.contains(core) {
            throw SwitchError("core \(core) is not available; this process may use cores \(usable)")
        }
        if !options.cores.isEmpty {
            guard options.cores.count >= options.workers else {
                throw SwitchError("\(options.workers) workers need as many cores, got \(options.cores.count)")
            }
            return options.cores.map { $0 }
        }
        guard usable.count >= options.workers else { return Array(repeating: nil, count: options.workers) }
        return usable.reversed().prefix(options.workers).map { $0 }
    }

    /// Starts the workers.
    public func start() throws(SwitchError) {
        guard !isRunning else { return }
        for worker in workers {
            guard worker.start() else {
                stop()
                throw SwitchError("cannot start a thread for worker \(worker.number)")
            }
        }
        isRunning = true
    }

    /// Ends the workers' threads; ports, caches and counters stay, and `start` goes on with them.
    public func pause() {
        for worker in workers { worker.stop() }
        isRunning = false
    }

    /// Stops the workers and closes all ports.
    public func stop() {
        pause()
        for port in ports.values.map(\.port) + sources + sinks { port.close() }
        ports.removeAll()
        sources.removeAll()
        sinks.removeAll()
    }

    /// Ends the connections of backends that are gone, and frees what the balancer has replaced: each worker has finished
    /// what it was doing, and sees only the new.
    @discardableResult
    public func settleServices(ending gone: Set<UInt32> = []) -> Int {
        guard balancer.hasLeaving else { return 0 }
        onEveryWorker { (_: Worker) in }
        let ended = tracker.flush(backends: gone)
        balancer.reclaim()
        return ended
    }

    /// Runs `body` on every worker, between two bursts, and waits until all have done it.
    func onEveryWorker(_ body: @escaping @Sendable (Worker) -> Void) {
        guard isRunning else {
            for worker in workers { body(worker) }
            return
        }
        let group = DispatchGroup()
        for worker in workers {
            group.enter()
            worker.post {
                body(worker)
                group.leave()
            }
        }
        group.wait()
    }

    /// Runs `body` on every worker; it calls `done` when it is through, perhaps some bursts later.
    func onEveryWorker(_ body: @escaping @Sendable (Worker, _ done: @escaping @Sendable () -> Void) -> Void) {
        let group = DispatchGroup()
        for worker in workers {
            group.enter()
            worker.post { body(worker) { group.leave() } }
        }
        if !isRunning { for worker in workers { worker.runMailbox() } }
        group.wait()
    }
}

/// Why the switch refused something. The text is a sentence without a full stop.
public struct SwitchError: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
