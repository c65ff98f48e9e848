import Synchronization

/// A slot through which the control thread gives one worker an object, or takes it away again.
///
/// The worker looks at a flag once a burst and only then takes the lock, without waiting for it: if the control thread
/// happens to hold it, the next burst will do. The control thread keeps whatever it offered until the worker has taken
/// something later, so that descriptors and memory are given back there and never by the worker.
final class Handoff<Value: AnyObject & Sendable>: Sendable {
    private struct Kept {
        var older: [Value] = []
        var latest: Value?
    }
    /// True from an offer until the worker took it.
    private let changed = Atomic<Bool>(false)
    private let slot = Mutex<Value?>(nil)
    private let kept = Mutex(Kept())

    /// Control thread: the worker will use `value` from its next burst on. What was offered before and never taken is let
    /// go at once, so that offers to a queue that nobody uses do not pile up.
    func offer(_ value: Value?) {
        collect()
        let untaken = slot.withLock { slot -> Value? in
            let isUntaken = changed.load(ordering: .acquiring)
            let latest = kept.withLock { kept in
                let latest = kept.latest
                if !isUntaken, let latest { kept.older.append(latest) }
                kept.latest = value
                return latest
            }
            slot = value
            changed.store(true, ordering: .releasing)
            return isUntaken ? latest : nil
        }
        _ = untaken
    }

    /// Control thread: lets go of what the worker no longer uses.
    func collect() {
        guard !changed.load(ordering: .acquiring) else { return }
        let done = kept.withLock { kept in
            defer { kept.older = [] }
            return kept.older
        }
        _ = done
    }

    /// Worker: true if something new was offered.
    @inline(__always) var hasNews: Bool { changed.load(ordering: .acquiring) }

    /// Worker: what was offered last, into `current`. Leaves it alone if the control thread is in the middle of an offer.
    @inline(never) func take(into current: inout Value?) {
        guard changed.load(ordering: .acquiring) else { return }
        _ = slot.withLockIfAvailable { offered in
            current = offered
            offered = nil
            changed.store(false, ordering: .releasing)
        }
    }
}
