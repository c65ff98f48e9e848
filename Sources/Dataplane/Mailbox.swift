import CLinux
import Synchronization

/// Work that other threads ask a worker to do between two bursts: attach a queue, settle statistics, inject frames.
///
/// The worker looks at one flag a round. An idle worker sleeps on `descriptor`, which each post makes readable.
final class Mailbox: @unchecked Sendable {
    private let pending = Atomic<Bool>(false)
    private let work = Mutex<[@Sendable () -> Void]>([])
    /// An eventfd, -1 if there is none to be had; then a sleeping worker notices work when it wakes by itself.
    let descriptor: Int32

    init() { descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC)) }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Any thread: `body` will run on the worker.
    func post(_ body: @escaping @Sendable () -> Void) {
        work.withLock { $0.append(body) }
        pending.store(true, ordering: .releasing)
        guard descriptor >= 0 else { return }
        eventfd_write(descriptor, 1)
    }

    @inline(__always) var hasWork: Bool { pending.load(ordering: .relaxed) }

    /// Worker only.
    func run() {
        pending.store(false, ordering: .sequentiallyConsistent)
        let bodies = work.withLock { queue in
            let bodies = queue
            queue.removeAll(keepingCapacity: true)
            return bodies
        }
        for body in bodies { body() }
    }

    /// Worker only: makes `descriptor` unreadable again.
    func clearDescriptor() {
        guard descriptor >= 0 else { return }
        var value: eventfd_t = 0
        eventfd_read(descriptor, &value)
    }
}
