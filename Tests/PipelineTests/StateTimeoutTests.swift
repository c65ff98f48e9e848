import Base
import Flow
import Pipeline
import Testing

@Suite("Timeouts and learned flows") struct StateTimeoutTests {
    func add(
        _ model: SwitchModel, _ port: UInt64, idle: UInt16 = 0, hard: UInt16 = 0, _ actions: [Action] = [], now: UInt64
    )
        throws
    {
        var mod = FlowMod(.add, match: .fields(inPort: port), actions: actions)
        mod.idleTimeout = idle
        mod.hardTimeout = hard
        try model.apply(mod, to: "br0", now: now)
    }

    func ports(_ model: SwitchModel) -> [UInt64] { model.rules().map { $0.match.key[.inPort] }.sorted() }

    @Test("idle counts from the last packet, hard from the last change, both exclusive") func basics() throws {
        let model = try SwitchModel.withBridge()
        try add(model, 1, idle: 10, now: 1000)
        try add(model, 2, hard: 10, now: 1000)
        try add(model, 3, now: 1000)
        #expect(model.expireRules(now: 11_000).isEmpty)
        let used = try #require(model.rules().first { $0.match.key[.inPort] == 1 })
        model.counters.add(used.counter, packets: 1, bytes: 60, now: 5000)
        var expired = model.expireRules(now: 11_001)
        #expect(expired.count == 1 && expired[0].reason == .hard)
        #expect(ports(model) == [1, 3])
        #expect(model.expireRules(now: 15_000).isEmpty)
        expired = model.expireRules(now: 15_001)
        #expect(expired.count == 1 && expired[0].reason == .idle)
        #expect(ports(model) == [3])
        _ = model.snapshot()
    }

    @Test("modifying renews the hard timeout, adding again does not renew the idle one") func renewal() throws {
        let model = try SwitchModel.withBridge()
        try add(model, 1, hard: 10, now: 0)
        try add(model, 2, idle: 10, now: 0)
        try model.apply(FlowMod(.modify, match: .fields(inPort: 1), actions: [.drop]), to: "br0", now: 8000)
        try add(model, 2, idle: 10, [.drop], now: 8000)
        model.expireRules(now: 12_000)
        #expect(ports(model) == [1])
        model.expireRules(now: 18_001)
        #expect(ports(model).isEmpty)
    }

    @Test("small steps get to every rule") func steps() throws {
        let model = try SwitchModel.withBridge()
        for port in 0..<50 as Range<UInt64> { try add(model, port, idle: port % 2 == 0 ? 1 : 100, now: 0) }
        for _ in 0..<50 { model.expireRules(now: 5000, limit: 3) }
        #expect(ports(model) == (0..<50).filter { $0 % 2 == 1 })
    }

    @Test("fin_timeout lowers timeouts, also of a flow that had none") func finTimeout() throws {
        let model = try SwitchModel.withBridge()
        try add(model, 1, idle: 60, [.finTimeout(idle: 5, hard: 9)], now: 0)
        try add(model, 2, [.finTimeout(idle: 5, hard: 0)], now: 0)
        for rule in model.rules() { model.counters.lowerTimeouts(rule.counter, idle: 5, hard: 9) }
        for rule in model.rules() { model.counters.lowerTimeouts(rule.counter, idle: 7, hard: 8) }
        let lines = model.dumpFlows(try model.selectRules(of: "br0"), now: 0)
        #expect(lines.allSatisfy { $0.contains("idle_timeout=5, hard_timeout=8, ") })
        for rule in model.rules() { model.counters.add(rule.counter, packets: 1, bytes: 1, now: 4000) }
        #expect(model.expireRules(now: 8000).isEmpty)
        #expect(model.expireRules(now: 8001).map(\.reason) == [.hard, .hard])
    }

    func request(_ port: UInt64, out: UInt32 = 1, cookie: UInt64 = 7, limit: UInt32 = 0, hard: UInt16 = 10)
        -> LearnRequest
    {
        LearnRequest(
            bridge: 0, table: 4, priority: 9, match: .fields(inPort: port), cookie: cookie,
            actions: [.output(PortNumber(out))], hardTimeout: hard, limit: limit)
    }

    @Test("learning adds, renews, and modifies as a strict modification does") func learning() throws {
        let model = try SwitchModel.withBridge()
        model.learnQueue.post([request(1), request(1), request(2)])
        #expect(model.applyLearned(now: 1000) == 2)
        #expect(model.learnQueue.isEmpty)
        let generation = model.changes.generation
        model.learnQueue.post([request(1)])
        #expect(model.applyLearned(now: 5000) == 0)
        #expect(model.changes.generation == generation)
        model.expireRules(now: 11_001)
        #expect(ports(model) == [1])
        model.learnQueue.post([request(1, out: 3, cookie: 8, hard: 99)])
        #expect(model.applyLearned(now: 12_000) == 1)
        let rule = try #require(model.rules().first)
        // As OVS does it: actions and cookie change, the timeout stays.
        #expect(rule.actions == [.output(PortNumber(3))] && rule.cookie == 8 && rule.hardTimeout == 10)
        #expect(rule.table == 4 && rule.priority == 9)
        _ = model.snapshot()
    }

    @Test("a limit counts the rules with the cookie in the table") func limit() throws {
        let model = try SwitchModel.withBridge()
        model.learnQueue.post((1...5).map { request($0, limit: 3) } + [request(6, cookie: 1, limit: 3)])
        model.applyLearned(now: 0)
        #expect(ports(model) == [1, 2, 3, 6])
        #expect(model.state.bridge(named: "br0")?.tables[4]?.count(cookie: 7) == 3)
    }

    @Test("delete_learned takes what was learned along with the last flow that learns it") func deleteLearned() throws {
        let model = try SwitchModel.withBridge()
        var learn = LearnParameters()
        learn.table = 4
        learn.cookie = 7
        learn.deleteLearned = true
        try add(model, 101, [.learn(learn)], now: 0)
        try add(model, 102, idle: 5, [.learn(learn)], now: 0)
        model.learnQueue.post([request(1), request(2), request(3, cookie: 6)])
        model.applyLearned(now: 0)
        #expect(model.rules().count == 5)
        try model.apply(FlowMod(.delete, match: .fields(inPort: 101)), to: "br0", now: 0)
        #expect(ports(model) == [1, 2, 3, 102])
        model.expireRules(now: 5001)
        #expect(ports(model) == [3])
        _ = model.snapshot()
    }

    @Test("a flow that is modified and learns the same as before keeps what was learned") func keepsLearned() throws {
        let model = try SwitchModel.withBridge()
        var learn = LearnParameters()
        learn.table = 4
        learn.cookie = 7
        learn.deleteLearned = true
        try add(model, 101, [.learn(learn)], now: 0)
        model.learnQueue.post([request(1)])
        model.applyLearned(now: 0)
        try add(model, 101, [.learn(learn), .drop], now: 0)
        #expect(ports(model) == [1, 101])
        try add(model, 101, [.drop], now: 0)
        #expect(ports(model) == [101])
    }

    @Test("a full queue drops and counts") func fullQueue() throws {
        let queue = LearnQueue()
        #expect(queue.post(Array(repeating: request(1), count: LearnQueue.capacity - 1)))
        #expect(!queue.post([request(1), request(2)]))
        #expect(queue.dropped == 1)
    }
}
