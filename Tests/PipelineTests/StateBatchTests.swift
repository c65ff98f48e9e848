import Base
import Flow
import Pipeline
import Testing

@Suite("Batches") struct StateBatchTests {
    static func randomMod(_ random: inout Random) -> FlowMod {
        let commands: [FlowMod.Command] = [.add, .add, .add, .add, .modify, .modifyStrict, .delete, .deleteStrict]
        var mod = FlowMod(
            commands[random.below(commands.count)], table: UInt8(random.below(3)),
            priority: UInt16(random.below(4)),
            match: .fields(
                inPort: random.below(3) > 0 ? UInt64(random.below(5)) : nil,
                ethDst: random.below(2) > 0 ? UInt64(random.below(5)) : nil),
            actions: [.output(PortNumber(UInt32(random.below(4)))), .group(UInt32(random.below(2)))],
            cookie: random.below(2) == 0 ? UInt64(random.below(4)) : nil)
        if random.below(5) == 0 {
            mod.cookieMatch = .init(value: UInt64(random.below(4)), mask: random.below(2) == 0 ? .max : 1)
        }
        mod.idleTimeout = UInt16(random.below(3))
        if random.below(8) == 0 { mod.flags.insert(.resetCounts) }
        if random.below(6) == 0 {
            mod.actions.append(
                .learn(
                    {
                        var learn = LearnParameters()
                        learn.deleteLearned = true
                        learn.table = UInt8(random.below(3))
                        learn.cookie = UInt64(random.below(4))
                        return learn
                    }()))
        }
        return mod
    }

    @Test("one bad change among many leaves everything as it was", arguments: 0..<6 as Range<UInt64>)
    func atomicity(seed: UInt64) throws {
        var random = Random(seed: seed)
        let model = try SwitchModel.withBridge()
        for id in 0..<2 as Range<UInt32> {
            try model.apply(GroupMod(.add, id: id, buckets: [.init(actions: [.drop])]), to: "br0", now: 1)
        }
        for round in 0..<8 as Range<UInt64> {
            var batch = FlowModBatch()
            for _ in 0..<(1 + random.below(30)) { batch.append(Self.randomMod(&random)) }
            let before = model.snapshot()
            let counts = model.rules().map { model.counters.value($0.counter) }
            let generation = model.changes.generation
            var bad = batch
            let place = random.below(batch.mods.count + 1)
            bad.mods.insert(FlowMod(.add, actions: [.group(99)]), at: place)
            do throws(BatchError) {
                try model.apply(bad, to: "br0", now: 100 + round)
                Issue.record("accepted")
            } catch {
                #expect(error.index == place)
                #expect(error.error.kind == .badGroup)
            }
            #expect(model.snapshot() == before)
            #expect(model.rules().map { model.counters.value($0.counter) } == counts)
            #expect(model.changes.generation == generation)
            // The same without the bad one, at once and one by one, comes to the same.
            let (twin, _) = try copyOfRules(model)
            let change = try model.apply(batch, to: "br0", now: 100 + round)
            for mod in batch.mods { try twin.apply(mod, to: "br0", now: 100 + round) }
            #expect(Self.visible(model) == Self.visible(twin))
            #expect(change.added + change.modified + change.deleted > 0 || model.snapshot() == before)
            for rule in model.rules() { model.counters.add(rule.counter, packets: 1, bytes: 60, now: 100 + round) }
        }
    }

    static func visible(_ model: SwitchModel) -> [String] {
        model.rules().map { rule in
            "\(rule.table) \(rule.priority) \(rule.cookie) \(rule.idleTimeout) \(rule.flags.rawValue) \(rule.actions) "
                + "\(rule.match.key[.inPort]) \(rule.match.mask[.inPort]) \(rule.match.key[.ethDst])"
        }.sorted()
    }

    private func copyOfRules(_ model: SwitchModel) throws -> (SwitchModel, Int) {
        let twin = try SwitchModel.withBridge()
        for id in 0..<2 as Range<UInt32> {
            try twin.apply(GroupMod(.add, id: id, buckets: [.init(actions: [.drop])]), to: "br0", now: 1)
        }
        let rules = model.rules()
        for rule in rules { try twin.apply(FlowMod(rule.spec), to: "br0", now: 1) }
        return (twin, rules.count)
    }

    @Test("replace-flows keeps what is the same, with its counters, and makes the rest so") func replace() throws {
        let model = try SwitchModel.withBridge()
        func add(_ port: UInt64, _ out: UInt32) -> FlowMod {
            FlowMod(.add, match: .fields(inPort: port), actions: [.output(PortNumber(out))])
        }
        try model.apply(FlowModBatch([add(1, 1), add(2, 1), add(3, 1)]), to: "br0", now: 1000)
        for rule in model.rules() { model.counters.add(rule.counter, packets: 5, bytes: 5, now: 1100) }
        let change = try model.replaceFlows(
            FlowModBatch([add(1, 1), add(2, 2), add(4, 4), add(4, 5)]), of: "br0", now: 2000)
        #expect(change.unchanged == 1 && change.modified == 1 && change.added == 1 && change.deleted == 1)
        let rules = model.rules().sorted { $0.match.key[.inPort] < $1.match.key[.inPort] }
        #expect(rules.map { $0.match.key[.inPort] } == [1, 2, 4])
        #expect(rules.map(\.created) == [1000, 2000, 2000])
        #expect(rules.map { model.counters.value($0.counter).packets } == [5, 5, 0])
        #expect(rules[2].actions == [.output(PortNumber(5))])
        _ = model.snapshot()
        let before = model.snapshot()
        #expect(throws: BatchError.self) {
            try model.replaceFlows(
                FlowModBatch([add(9, 9), FlowMod(.add, actions: [.group(4)])]), of: "br0", now: 3000)
        }
        #expect(model.snapshot() == before)
    }

    @Test("rules keep their cookies in order through hundreds of random changes", arguments: 0..<3 as Range<UInt64>)
    func cookieIndex(seed: UInt64) throws {
        var random = Random(seed: seed &+ 100)
        let model = try SwitchModel.withBridge()
        for id in 0..<2 as Range<UInt32> {
            try model.apply(GroupMod(.add, id: id, buckets: [.init(actions: [.drop])]), to: "br0", now: 1)
        }
        for _ in 0..<250 {
            try model.apply(Self.randomMod(&random), to: "br0", now: 1)
            let cookie = UInt64(random.below(4))
            var criteria = FlowMod(.delete)
            criteria.cookieMatch = .init(value: cookie)
            let found = try model.selectRules(criteria, of: "br0").map(\.summary).sorted()
            #expect(found == model.rules().filter { $0.cookie == cookie }.map(\.summary).sorted())
        }
        _ = model.snapshot()
    }
}
