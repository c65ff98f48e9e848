import Base
import Flow
import Synchronization

/// A rule that a `learn` action asks for.
public struct LearnRequest: Sendable {
    /// Bridge number.
    public var bridge: Int
    /// The rule: table, priority, match, actions, cookie, timeouts, flags.
    public var mod: FlowMod
    /// Most rules with the same cookie in the table; 0 is any number.
    public var limit: UInt32
    /// Milliseconds when the packet came that asked for it.
    public var time: UInt64

    /// `mod.command` is of no importance.
    public init(bridge: Int, mod: FlowMod, limit: UInt32, time: UInt64) {
        self.bridge = bridge
        self.mod = mod
        self.limit = limit
        self.time = time
    }
}

/// What workers learned, on the way to the control thread, which makes the rules. It holds at most 65,536 requests; more are
/// dropped and counted, and asked for again by later packets.
public final class LearnQueue: Sendable {
    public static var capacity: Int { 65_536 }

    private struct Content {
        var requests: [LearnRequest] = []
        var dropped: UInt64 = 0
        var wake: (@Sendable () -> Void)?
    }
    private let content = Mutex(Content())

    public init() {}

    /// Called, on a worker, when the queue was empty and is not any more.
    public func onFirst(_ wake: @escaping @Sendable () -> Void) { content.withLock { $0.wake = wake } }

    /// Any thread. False if the queue is full.
    @discardableResult
    public func post(_ request: LearnRequest) -> Bool {
        let (taken, wake) = content.withLock { content -> (Bool, (@Sendable () -> Void)?) in
            guard content.requests.count < Self.capacity else {
                content.dropped += 1
                return (false, nil)
            }
            content.requests.append(request)
            return (true, content.requests.count == 1 ? content.wake : nil)
        }
        wake?()
        return taken
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
    public func applyLearned() -> Int {
        let requests = learnQueue.takeAll()
        guard !requests.isEmpty else { return 0 }
        var changed = 0
        for (bridge, ofBridge) in Dictionary(grouping: requests, by: \.bridge) {
            guard bridge < books.count, bridge < state.bridges.count, state.bridges[bridge] != nil else { continue }
            let needed = ofBridge.filter { !refresh($0) }
            guard !needed.isEmpty else { continue }
            let change = runPlan(on: bridge, now: needed.map(\.time).max() ?? 0) { (plan: inout FlowPlan) in
                for request in needed { plan.learn(request) }
            }
            changed += change.added + change.modified
        }
        return changed
    }

    /// Renews the rule if it is there already, just like that.
    private func refresh(_ request: LearnRequest) -> Bool {
        guard let rule = state.bridges[request.bridge]?.learnedRule(request.mod) else { return false }
        counters.touch(rule.counter, now: request.time)
        return true
    }
}

extension BridgeState {
    /// The rule that a `learn` action asks for, if it is there, whose hard timeout then only has to be renewed.
    public func learnedRule(_ mod: FlowMod) -> Rule? {
        guard let number = mod.table, number < 255,
            let rule = tables[Int(number)]?.rule(mod.match, priority: mod.priority), mod.isSame(as: rule)
        else { return nil }
        return rule
    }
}

extension FlowPlan {
    /// What ovs-actions(7), "learn", says: a strict modification that adds the rule if there is none, unless the table has
    /// `limit` rules with this cookie.
    mutating func learn(_ request: LearnRequest) {
        var mod = request.mod
        mod.command = .modifyStrict
        mod.cookie = mod.cookie ?? 0
        mod.cookieMatch = nil
        guard let table = mod.table, table < 255, bridge.learnedRule(mod) == nil else { return }
        if request.limit != 0 {
            var count = 0
            for place in book.places(cookie: mod.cookie ?? 0) where bridge.slab.rule(at: place)?.table == table {
                count += 1
            }
            guard count < request.limit else { return }
        }
        try? run(mod)
    }
}
