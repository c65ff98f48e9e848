import Base
import Flow
import Synchronization

/// What workers learned, on the way to the control thread, which makes the rules. It holds at most 4,096 requests; more are
/// dropped and counted, and asked for again by later packets.
public final class LearnQueue: Sendable {
    public static var capacity: Int { 4096 }

    private struct Content {
        var requests: [LearnRequest] = []
        var dropped: UInt64 = 0
        var wake: (@Sendable () -> Void)?
    }
    private let content = Mutex(Content())

    public init() {}

    /// Called, on a worker, when the queue was empty and is not any more.
    public func onFirst(_ wake: @escaping @Sendable () -> Void) { content.withLock { $0.wake = wake } }

    /// Any thread. False if the queue could not take all of them.
    @discardableResult
    public func post(_ requests: [LearnRequest]) -> Bool {
        guard !requests.isEmpty else { return true }
        let (taken, wake) = content.withLock { content -> (Int, (@Sendable () -> Void)?) in
            let wasEmpty = content.requests.isEmpty
            let taken = min(requests.count, Self.capacity - content.requests.count)
            content.requests.append(contentsOf: requests[..<taken])
            content.dropped += UInt64(requests.count - taken)
            return (taken, wasEmpty && taken > 0 ? content.wake : nil)
        }
        wake?()
        return taken == requests.count
    }

    /// Requests that found the queue full.
    public var dropped: UInt64 { content.withLock { $0.dropped } }
    public var isEmpty: Bool { content.withLock { $0.requests.isEmpty } }

    func takeAll() -> [LearnRequest] {
        content.withLock { content in
            let all = content.requests
            content.requests = []
            return all
        }
    }
}

extension SwitchModel {
    /// Makes the rules that `learn` actions asked for since the last call. Returns how many rules there are more or
    /// other now. What cannot be made (a table is full, the `limit` is reached) is left out.
    @discardableResult
    public func applyLearned(now: UInt64) -> Int {
        let requests = learnQueue.takeAll()
        guard !requests.isEmpty else { return 0 }
        var changed = 0
        for (bridge, ofBridge) in Dictionary(grouping: requests, by: \.bridge) {
            guard bridge < books.count, bridge < state.bridges.count, state.bridges[bridge] != nil else { continue }
            let needed = ofBridge.filter { !refresh($0, now: now) }
            guard !needed.isEmpty else { continue }
            let change = runPlan(on: bridge, now: now) { (plan: inout FlowPlan) in
                for request in needed { plan.learn(request) }
            }
            changed += change.added + change.modified
        }
        return changed
    }

    /// Renews the rule if it is there already, just like that.
    private func refresh(_ request: LearnRequest, now: UInt64) -> Bool {
        guard let rule = state.bridges[request.bridge]?.learnedRule(request) else { return false }
        counters.touch(rule.counter, now: now)
        return true
    }
}

extension BridgeState {
    /// The rule that a `learn` action asks for, if it is there as asked: its hard timeout only has to be renewed.
    public func learnedRule(_ request: LearnRequest) -> Rule? {
        guard request.table < 255,
            let rule = tables[Int(request.table)]?.rule(request.match, priority: request.priority),
            request.isSame(as: rule)
        else { return nil }
        return rule
    }
}

extension FlowPlan {
    /// What ovs-actions(7), "learn", says: a strict modification that adds the rule if there is none, unless the table has
    /// `limit` rules with this cookie.
    mutating func learn(_ request: LearnRequest) {
        guard request.table < 255, bridge.learnedRule(request) == nil else { return }
        if request.limit != 0 {
            var count = 0
            for place in book.places(cookie: request.cookie)
            where bridge.slab.rule(at: place)?.table == request.table {
                count += 1
            }
            guard count < request.limit else { return }
        }
        try? run(request.mod)
    }
}
