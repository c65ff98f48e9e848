import Base
import Flow

/// What translating a packet may do to the switch beside giving a program. One for all workers; without one, translation
/// leaves no trace (`trace`).
public final class TranslationEffects: Sendable {
    let learnQueue: LearnQueue?
    let counters: Counters?

    var isAllowed: Bool { counters != nil }

    public init(learnQueue: LearnQueue, counters: Counters) {
        self.learnQueue = learnQueue
        self.counters = counters
    }

    /// Forbids everything.
    init() {
        learnQueue = nil
        counters = nil
    }

    func learn(_ request: LearnRequest) { learnQueue?.post([request]) }

    func shorten(_ rule: CounterHandle, idle: UInt16, hard: UInt16) {
        counters?.lowerTimeouts(rule, idle: idle, hard: hard)
    }
}
