import Base
import Dispatch
import Flow
import Pipeline
import Testing

@Suite("Counters") struct StateCounterTests {
    private func rule(_ model: SwitchModel, priority: UInt16) throws -> Rule {
        let table = try #require(model.state.bridges[0]?.tables[0])
        return try #require(table.rule(Match(), priority: priority))
    }

    private func flow(_ model: SwitchModel, _ text: String, as command: FlowSpec.Command = .add) throws {
        try model.apply(FlowMod(FlowParser().parse(text, as: command)), to: "br0", now: 1)
    }

    /// A worker found the counter of a rule good; before it adds, the rule is deleted and another takes its place.
    @Test("what is added late for a deleted rule is not another rule's") func lateAddition() throws {
        let model = SwitchModel()
        try model.addBridge("br0", now: 1)
        try flow(model, "priority=7,actions=drop")
        let old = try rule(model, priority: 7).counter
        let reader = try #require(model.makeReader())
        _ = reader.enter()
        let account = try #require(model.counters.account(old))
        // The last thing that deleting a rule does.
        model.counters.release(old)
        #expect(model.counters.account(old) == nil)
        let before = model.changes.generation
        let adding = DispatchGroup()
        let mod = try FlowMod(FlowParser().parse("priority=8,actions=drop", as: .add))
        DispatchQueue.global().async(group: adding) { _ = try? model.apply(mod, to: "br0", now: 2) }
        // The new rule is there; the change waits for the reader.
        while model.changes.generation == before {}
        account.add(packets: 1000, bytes: 60_000, now: 3)
        reader.leave()
        adding.wait()
        let new = try rule(model, priority: 8).counter
        #expect(new.slot != old.slot)
        #expect(model.counters.value(new).packets == 0)
    }

    @Test("slots are used again once readers have passed") func reuse() throws {
        let model = SwitchModel()
        try model.addBridge("br0", now: 1)
        var slots: Set<UInt32> = []
        for _ in 0..<1000 {
            try flow(model, "priority=7,actions=drop")
            slots.insert(try rule(model, priority: 7).counter.slot)
            try flow(model, "priority=7", as: .deleteStrict)
        }
        #expect(slots.count <= 2)
        #expect(model.counters.releasedCount <= 1)
    }

    @Test("a change that is refused gives nothing free") func refused() throws {
        let model = SwitchModel()
        try model.addBridge("br0", now: 1)
        try model.setFlowLimit(3, bridge: "br0", table: 0)
        let mods = try (1...5).map { try FlowMod(FlowParser().parse("priority=\($0),actions=drop", as: .add)) }
        #expect(throws: BatchError.self) { try model.apply(FlowModBatch(mods), to: "br0", now: 1) }
        #expect(model.counters.releasedCount > 0)
        try flow(model, "priority=1,actions=drop")
        #expect(model.counters.releasedCount == 0)
    }

    @Test("when all others are taken, those that wait for readers are used") func exhaustion() throws {
        let counters = Counters(slotLimit: 4096)
        let handles = (0..<4096).compactMap { _ in counters.allocate(now: 1) }
        #expect(handles.count == 4096 && counters.allocate(now: 1) == nil)
        for handle in handles { counters.release(handle) }
        #expect(counters.allocate(now: 1) == nil)
        var waits = 0
        counters.waitForReaders = { waits += 1 }
        let again = try #require(counters.allocate(now: 2))
        let old = try #require(handles.first { $0.slot == again.slot })
        counters.add(old, packets: 1, bytes: 1, now: 3)
        counters.add(again, packets: 2, bytes: 2, now: 3)
        #expect(waits == 1 && counters.releasedCount == 0)
        #expect(counters.value(again).packets == 2 && counters.value(old).packets == 0)
    }
}
