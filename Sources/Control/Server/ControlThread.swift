import Foundation

/// The one thread on which commands run and configuration changes, in the order in which they were handed over.
///
/// Between commands it does the periodic work of the switch (timeouts, statistics), so that this too needs
/// no locks.
public final class ControlThread: @unchecked Sendable {
    public typealias Job = @Sendable () -> Void

    // Guarded by the condition.
    private let condition = NSCondition()
    private var jobs: [Job] = []
    private var isStopping = false
    private var hasEnded = false
    private var period: (interval: TimeInterval, job: Job)?

    public init() {
        let thread = Thread { [self] in run() }
        thread.name = "control"
        // Configuration files nest, and their reader recurses.
        thread.stackSize = 16 << 20
        thread.start()
    }

    /// Runs a job on the thread, after those that are already waiting. Any thread. After `stop` jobs are let go.
    public func submit(_ job: @escaping Job) {
        condition.lock()
        if !isStopping { jobs.append(job) }
        condition.signal()
        condition.unlock()
    }

    /// Runs a job on the thread and waits for what it gives. Not from the thread itself.
    public func wait<Value: Sendable>(_ job: @escaping @Sendable () -> Value) -> Value {
        let done = DispatchSemaphore(value: 0)
        let box = Box<Value>()
        submit {
            box.value = job()
            done.signal()
        }
        done.wait()
        guard let value = box.value else { fatalError("the control thread has stopped") }
        return value
    }

    /// Repeats a job about every so many seconds for as long as the thread runs; it replaces an earlier one.
    public func every(seconds: Double, _ job: @escaping Job) {
        condition.lock()
        period = (seconds, job)
        condition.signal()
        condition.unlock()
    }

    /// Ends the thread when all jobs handed over so far are done, and waits for that.
    public func stop() {
        condition.lock()
        isStopping = true
        condition.broadcast()
        while !hasEnded { condition.wait() }
        condition.unlock()
    }

    private func run() {
        var due = Date.distantFuture
        condition.lock()
        while true {
            if !jobs.isEmpty {
                let batch = jobs
                jobs = []
                condition.unlock()
                for job in batch { job() }
                condition.lock()
            } else if isStopping {
                break
            }
            if let period {
                if due == .distantFuture { due = Date(timeIntervalSinceNow: period.interval) }
                // Jobs that bring about further ones do not keep it from its turn.
                let isDue = due.timeIntervalSinceNow <= 0 || jobs.isEmpty && !condition.wait(until: due)
                if isDue, due.timeIntervalSinceNow <= 0 {
                    condition.unlock()
                    period.job()
                    condition.lock()
                    due = Date(timeIntervalSinceNow: period.interval)
                }
            } else if jobs.isEmpty, !isStopping {
                condition.wait()
            }
        }
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    private final class Box<Value>: @unchecked Sendable { var value: Value? }
}
