import Flow

/// A rule of a conjunction that matches the key of a lookup: one clause, or several, may be satisfied.
struct SoftMatch {
    var subtable: UnsafeMutablePointer<Subtable>
    var record: UnsafeMutablePointer<Record>
}

/// Which clauses of a conjunction are satisfied.
struct ClauseProgress {
    var id: UInt32
    var count: UInt8
    var clauses: UInt64

    var isComplete: Bool { clauses & Conjunction.complete(count) == Conjunction.complete(count) }
}

/// Storage that a lookup needs when it meets conjunctions: one per thread, passed to every lookup, so that the
/// classifier itself stays read-only. It grows to what the largest lookup took; other lookups do not touch it.
public struct ClassifierScratch: ~Copyable {
    var softMatches: UnsafeMutablePointer<SoftMatch>
    var softCount = 0
    private var softCapacity = 64
    /// Sorted by id.
    var progress: UnsafeMutablePointer<ClauseProgress>
    var progressCount = 0
    private var progressCapacity = 16
    /// The key with which a lookup starts again.
    let key: UnsafeMutablePointer<FlowKey>

    public init() {
        softMatches = .allocate(capacity: softCapacity)
        progress = .allocate(capacity: progressCapacity)
        key = .allocate(capacity: 1)
        key.initialize(to: FlowKey())
    }

    deinit {
        softMatches.deallocate()
        progress.deallocate()
        key.deallocate()
    }

    mutating func append(_ match: SoftMatch) {
        if softCount == softCapacity {
            let larger = UnsafeMutablePointer<SoftMatch>.allocate(capacity: softCapacity &* 2)
            larger.moveInitialize(from: softMatches, count: softCount)
            softMatches.deallocate()
            softMatches = larger
            softCapacity &*= 2
        }
        (softMatches + softCount).initialize(to: match)
        softCount &+= 1
    }

    /// Notes that a clause is satisfied. True if that was the last one that its conjunction lacked.
    mutating func satisfy(_ conjunction: Conjunction) -> Bool {
        var low = 0
        var high = progressCount
        while low < high {
            let middle = (low &+ high) / 2
            if progress[middle].id < conjunction.id { low = middle &+ 1 } else { high = middle }
        }
        if low == progressCount || progress[low].id != conjunction.id {
            if progressCount == progressCapacity { growProgress() }
            (progress + (low &+ 1)).update(from: progress + low, count: progressCount &- low)
            progress[low] = ClauseProgress(id: conjunction.id, count: 0, clauses: 0)
            progressCount &+= 1
        }
        let wasComplete = progress[low].count != 0 && progress[low].isComplete
        progress[low].clauses |= conjunction.clauseBit
        progress[low].count = max(progress[low].count, conjunction.count)
        return !wasComplete && progress[low].isComplete
    }

    private mutating func growProgress() {
        let larger = UnsafeMutablePointer<ClauseProgress>.allocate(capacity: progressCapacity &* 2)
        larger.moveInitialize(from: progress, count: progressCount)
        progress.deallocate()
        progress = larger
        progressCapacity &*= 2
    }
}
