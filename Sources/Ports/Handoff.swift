import Synchronization

/// A slot through which the control thread gives one worker an object, or takes it away again.
///
/// The worker looks at a flag once a burst (one relaxed load) and only then takes the lock, without waiting for it: if
/// the control thread happens to hold it, the next burst will do. The control thread keeps what it offered in
/// `offered` until a later one was taken, so that memory is never given back on the worker.
final class Handoff<Value: AnyObject & Sendable>: Sendable {
    private let changed = Atomic<Bool>(false)
    private let slot = Mutex<Value?>(nil)
    private let graveyard = Mutex<[Value]>([])

    /// Control thread: the worker will use `value` from its next burst on.
    func offer(_ value: Value?) {
        graveyard.withLock { kept in
            // The objects that nobody else holds any more go here, on the control thread.
            var index = 0
            while index < kept.count {
                if isKnownUniquelyReferenced(&kept[index]) { kept.remove(at: index) } else { index += 1 }
            }
            if let value { kept.append(value) }
        }
        slot.withLock { $0 = value }
        changed.store(true, ordering: .releasing)
    }

    /// Control thread: lets go of what the worker no longer uses.
    func collect() {
        graveyard.withLock { kept in
            var index = 0
            while index < kept.count {
                if isKnownUniquelyReferenced(&kept[index]) { kept.remove(at: index) } else { index += 1 }
            }
        }
    }

    /// Worker: true if something new was offered.
    @inline(__always) var hasNews: Bool { changed.load(ordering: .acquiring) }

    /// Worker: what was offered last, into `current`. Leaves it alone if the control thread is in the middle of an offer.
    func take(into current: inout Value?) {
        _ = slot.withLockIfAvailable { offered in
            changed.store(false, ordering: .relaxed)
            current = offered
            offered = nil
        }
    }
}
