import NIOCore
import NIOPosix
import Synchronization

/// Checks the health of targets: opens sockets when `HealthBook` says so, and tells of those that come up or go down.
///
/// All of it happens on one thread of its own. `insert` and `remove` may be called on any thread and return at
/// once; `onChange` is called on that thread, in order, and must not wait. A change may still be told of a target that
/// was removed a moment ago; it carries the target, so that the receiver can compare.
public final class HealthMonitor: Sendable {
    public typealias OnChange = @Sendable (HealthChange) -> Void

    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let engine: HealthEngine
    private let hasEnded = Mutex(false)

    public init(limits: HealthLimits = HealthLimits(), onChange: @escaping OnChange) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
        engine = HealthEngine(limits, loop, onChange)
    }

    /// Adds targets, or replaces those of the same id. One that stays as it is keeps its state and its turn.
    public func insert(_ targets: [HealthTarget]) { post { $0.insert(targets) } }

    /// Forgets targets by id, and cuts off their checks.
    public func remove(_ ids: [UInt64]) { post { $0.remove(ids) } }

    /// What is known about targets, by id; those that are not checked are left out. Waits for the monitor's thread, once; not from
    /// `onChange`.
    public func statistics(of ids: [UInt64]) -> [UInt64: HealthStatistics] {
        ask { engine in
            var found: [UInt64: HealthStatistics] = [:]
            for id in ids { found[id] = engine.book.statistics(of: id, now: engine.now) }
            return found
        } ?? [:]
    }

    /// How the checking itself is doing. Waits for the monitor's thread; not from `onChange`.
    public var load: HealthLoad { ask { $0.book.load } ?? HealthLoad() }

    /// Cuts all checks off and ends the thread when their sockets are closed. Not from `onChange`. Afterwards nothing
    /// is checked and nothing known any more.
    public func stop() {
        let isFirst = hasEnded.withLock { ended in
            defer { ended = true }
            return !ended
        }
        guard isFirst else { return }
        let ended = loop.makePromise(of: Void.self)
        loop.execute { self.engine.stop(ended) }
        try? ended.futureResult.wait()
        try? group.syncShutdownGracefully()
    }

    private func post(_ job: @escaping @Sendable (HealthEngine) -> Void) {
        // From `onChange`: the thread runs, and somebody may hold the lock who waits for it.
        if loop.inEventLoop { return loop.execute { job(self.engine) } }
        hasEnded.withLock { ended in
            if !ended { loop.execute { job(self.engine) } }
        }
    }

    /// Nil after the end.
    private func ask<Value: Sendable>(_ question: @escaping @Sendable (HealthEngine) -> Value) -> Value? {
        hasEnded.withLock { ended in
            ended ? nil : try? loop.submit { question(self.engine) }.wait()
        }
    }
}

/// The inside of a monitor. Event loop thread only.
final class HealthEngine: @unchecked Sendable {
    private(set) var book: HealthBook
    private let loop: any EventLoop
    private let onChange: HealthMonitor.OnChange
    private let security = HealthSecurity()
    /// Checks under way, by turn.
    private var probes: [UInt64: HealthProbe] = [:]
    private var timer: (due: UInt64, task: Scheduled<Void>)?
    private var isPumping = false
    private var ended: EventLoopPromise<Void>?

    /// Checks that begin before answers get a look again.
    private static let atOnce = 64

    init(_ limits: HealthLimits, _ loop: any EventLoop, _ onChange: @escaping HealthMonitor.OnChange) {
        book = HealthBook(limits: limits)
        self.loop = loop
        self.onChange = onChange
    }

    /// Milliseconds.
    var now: UInt64 { loop.now.uptimeNanoseconds / 1_000_000 }

    func insert(_ targets: [HealthTarget]) { cut(book.insert(targets, now: now)) }
    func remove(_ ids: [UInt64]) { cut(book.remove(ids)) }

    func stop(_ promise: EventLoopPromise<Void>) {
        ended = promise
        timer?.task.cancel()
        cut(book.set([], now: now))
        endIfDone()
    }

    private func cut(_ turns: [UInt64]) {
        for turn in turns { probes[turn]?.cancel() }
        pump()
    }

    private func endIfDone() {
        guard probes.isEmpty, let promise = ended else { return }
        ended = nil
        promise.succeed(())
    }

    /// Begins what is due, and sees to it that it is called again.
    private func pump() {
        // A check that ends as it begins comes back here; the loop below goes on by itself.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        for _ in 0..<Self.atOnce {
            guard let start = book.next(now: now) else { return wait() }
            begin(start)
        }
        loop.execute { self.pump() }
    }

    private func begin(_ start: HealthBook.Start) {
        let began = loop.now
        let probe = HealthProbe(start.target, loop, security) { result in
            self.probes[start.turn] = nil
            let now = self.loop.now
            let change = self.book.finish(
                start, result, duration: UInt64((now - began).nanoseconds / 1000), now: self.now)
            if let change { self.onChange(change) }
            self.pump()
            self.endIfDone()
        }
        probes[start.turn] = probe
        probe.start()
    }

    private func wait() {
        guard let due = book.wake() else { return }
        if let timer, timer.due <= due, timer.due > now { return }
        timer?.task.cancel()
        let delay = due > now ? due - now : 0
        timer = (due, loop.scheduleTask(in: .milliseconds(Int64(delay))) { self.pump() })
    }
}
