import Base
import Flow
import Pipeline
import Testing

@Suite("Flow mods") struct StateFlowModTests {
    /// One flow mod as text: command, then `key=value` words, then outputs.
    static func mod(_ text: String) -> FlowMod {
        let words = text.split(separator: " ").map(String.init)
        let commands: [String: FlowMod.Command] = [
            "add": .add, "mod": .modify, "mod-strict": .modifyStrict, "del": .delete, "del-strict": .deleteStrict,
        ]
        var fields: [String: String] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            fields[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        func number(_ name: String) -> UInt64? { fields[name].flatMap { UInt64($0) } }
        let out = number("out").map { [Action.output(PortNumber(UInt32($0)))] } ?? []
        var mod = FlowMod(
            commands[words[0]] ?? .add, table: number("table").map { UInt8($0) },
            priority: UInt16(number("priority") ?? 32768),
            match: .fields(inPort: number("in_port"), ethDst: number("dl_dst")),
            actions: out + (number("group").map { [.group(UInt32($0))] } ?? []), cookie: number("cookie"))
        if let cookie = number("match_cookie") {
            mod.cookieMatch = .init(value: cookie, mask: number("cookie_mask") ?? .max)
        }
        mod.idleTimeout = UInt16(number("idle") ?? 0)
        mod.hardTimeout = UInt16(number("hard") ?? 0)
        mod.importance = UInt16(number("importance") ?? 0)
        if fields["check_overlap"] != nil { mod.flags.insert(.checkOverlap) }
        if fields["reset_counts"] != nil { mod.flags.insert(.resetCounts) }
        mod.outPort = number("out_port").map { PortNumber(UInt32($0)) }
        mod.outGroup = number("out_group").map { UInt32($0) }
        return mod
    }

    /// What is left, in short: table, priority, fields, cookie, timeouts, outputs.
    static func short(_ rule: Rule) -> String {
        var text = "t\(rule.table) p\(rule.priority)"
        if rule.match.mask[.inPort] != 0 { text += " in\(rule.match.key[.inPort])" }
        if rule.match.mask[.ethDst] != 0 { text += " dst\(rule.match.key[.ethDst])" }
        if rule.cookie != 0 { text += " c\(rule.cookie)" }
        if rule.idleTimeout != 0 { text += " idle\(rule.idleTimeout)" }
        if rule.importance != 0 { text += " imp\(rule.importance)" }
        for action in rule.actions {
            if case .output(let port) = action { text += " out\(port.rawValue)" }
            if case .group(let group) = action { text += " group\(group)" }
        }
        return text
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let mods: [String]
        let left: [String]
        var error: StateError.Kind?
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "add", mods: ["add in_port=1 out=2"], left: ["t0 p32768 in1 out2"]),
        Case(
            name: "add replaces the same match and priority, cookie and timeouts included",
            mods: ["add in_port=1 cookie=5 idle=9 out=2", "add in_port=1 out=3"], left: ["t0 p32768 in1 out3"]),
        Case(
            name: "another priority or table is another flow",
            mods: ["add in_port=1 out=2", "add in_port=1 priority=7 out=3", "add table=4 in_port=1 out=4"],
            left: ["t0 p32768 in1 out2", "t0 p7 in1 out3", "t4 p32768 in1 out4"]),
        Case(
            name: "check_overlap refuses a different match that some packet could hit too",
            mods: ["add in_port=1 out=2", "add dl_dst=5 check_overlap out=3"], left: ["t0 p32768 in1 out2"],
            error: .overlap),
        Case(
            name: "check_overlap allows other priorities, disjoint matches and the same match",
            mods: [
                "add in_port=1 out=2", "add dl_dst=5 priority=1 check_overlap out=3",
                "add in_port=2 check_overlap out=3",
                "add in_port=1 check_overlap out=4",
            ],
            left: ["t0 p32768 in1 out4", "t0 p32768 in2 out3", "t0 p1 dst5 out3"]),
        Case(
            name: "loose modify changes actions of all more specific flows and nothing else",
            mods: [
                "add in_port=1 priority=3 cookie=7 idle=5 importance=2 out=2", "add in_port=1 dl_dst=5 out=2",
                "add in_port=2 out=2", "mod in_port=1 idle=60 importance=9 out=9",
            ],
            left: ["t0 p32768 in1 dst5 out9", "t0 p32768 in2 out2", "t0 p3 in1 c7 idle5 imp2 out9"]),
        Case(
            name: "strict modify changes the one with this priority",
            mods: ["add in_port=1 priority=3 out=2", "add in_port=1 out=2", "mod-strict in_port=1 priority=3 out=9"],
            left: ["t0 p32768 in1 out2", "t0 p3 in1 out9"]),
        Case(
            name: "modify sets a cookie if it has one",
            mods: ["add in_port=1 cookie=7 out=2", "mod in_port=1 cookie=8 out=3"],
            left: ["t0 p32768 in1 c8 out3"]),
        Case(
            name: "modify that finds nothing adds, with everything it says",
            mods: ["mod in_port=1 table=3 cookie=4 idle=5 out=2", "mod-strict in_port=2 priority=8 out=2"],
            left: ["t0 p8 in2 out2", "t3 p32768 in1 c4 idle5 out2"]),
        Case(
            name: "modify that asks for a cookie adds nothing",
            mods: ["add in_port=1 cookie=7 out=2", "mod match_cookie=9 out=3", "mod match_cookie=7 out=4"],
            left: ["t0 p32768 in1 c7 out4"]),
        Case(
            name: "loose delete",
            mods: [
                "add in_port=1 out=2", "add in_port=1 dl_dst=4 table=2 out=2", "add in_port=2 out=2", "del in_port=1",
            ],
            left: ["t0 p32768 in2 out2"]),
        Case(
            name: "delete in one table", mods: ["add in_port=1 out=2", "add table=2 in_port=1 out=2", "del table=2"],
            left: ["t0 p32768 in1 out2"]),
        Case(
            name: "strict delete needs match and priority",
            mods: [
                "add in_port=1 out=2", "add priority=9 in_port=1 out=2", "add in_port=1 dl_dst=3 out=2",
                "del-strict in_port=1 priority=9", "del-strict dl_dst=3",
            ],
            left: ["t0 p32768 in1 dst3 out2", "t0 p32768 in1 out2"]),
        Case(
            name: "delete by whole cookie",
            mods: [
                "add in_port=1 cookie=5 out=2", "add in_port=2 cookie=6 out=2", "add in_port=3 cookie=5 out=2",
                "del match_cookie=5",
            ],
            left: ["t0 p32768 in2 c6 out2"]),
        Case(
            name: "delete by part of a cookie",
            mods: ["add in_port=1 cookie=5 out=2", "add in_port=2 cookie=6 out=2", "del match_cookie=4 cookie_mask=5"],
            left: ["t0 p32768 in1 c5 out2"]),
        Case(
            name: "whole cookie with match, strict and table",
            mods: [
                "add in_port=1 cookie=5 out=2", "add in_port=1 priority=2 cookie=5 out=2",
                "add table=1 in_port=1 cookie=5 out=2",
                "del-strict in_port=1 match_cookie=5 table=0",
            ],
            left: ["t0 p2 in1 c5 out2", "t1 p32768 in1 c5 out2"]),
        Case(
            name: "out_port restricts deletion, not modification",
            mods: ["add in_port=1 out=2", "add in_port=2 out=3", "del out_port=3", "mod out_port=9 out=4"],
            left: ["t0 p32768 in1 out4"]),
        Case(
            name: "out_group", mods: ["add in_port=1 group=1", "add in_port=2 out=3", "del out_group=1"],
            left: ["t0 p32768 in2 out3"]),
        Case(name: "unknown group", mods: ["add in_port=1 group=77"], left: [], error: .badGroup),
        Case(name: "no table 255", mods: ["add table=255 in_port=1 out=1"], left: [], error: .badTable),
    ]

    @Test("each command does what ovs-ofctl's does", arguments: cases) func table(_ test: Case) throws {
        let model = try SwitchModel.withBridge()
        try model.apply(
            GroupMod(.add, id: 1, buckets: [.init(actions: [.output(PortNumber(2))])]), to: "br0", now: 1)
        var error: StateError.Kind?
        for text in test.mods {
            do throws(StateError) { try model.apply(Self.mod(text), to: "br0", now: 5) } catch let refused {
                error = refused.kind
                #expect(!refused.message.isEmpty)
            }
        }
        #expect(error == test.error)
        #expect(model.rules().map(Self.short).sorted() == test.left.sorted())
        _ = model.snapshot()
    }

    @Test("counters go on when a flow is added again or modified, unless reset_counts; duration begins anew with add")
    func counters() throws {
        let model = try SwitchModel.withBridge()
        func only() throws -> Rule { try #require(model.rules().first) }
        try model.apply(Self.mod("add in_port=1 out=2"), to: "br0", now: 1000)
        model.counters.add(try only().counter, packets: 3, bytes: 300, now: 1500)
        try model.apply(Self.mod("add in_port=1 out=3"), to: "br0", now: 2000)
        #expect(model.counters.value(try only().counter).packets == 3)
        #expect(try only().created == 2000)
        try model.apply(Self.mod("mod in_port=1 out=4"), to: "br0", now: 3000)
        #expect(model.counters.value(try only().counter).packets == 3)
        #expect(try only().created == 2000)
        #expect(model.counters.value(try only().counter).modified == 3000)
        try model.apply(Self.mod("mod in_port=1 reset_counts out=4"), to: "br0", now: 4000)
        #expect(model.counters.value(try only().counter).packets == 0)
        #expect(model.counters.value(try only().counter).used == 1500)
        // Credits of a deleted flow are nobody's, also not its successor's.
        let old = try only().counter
        try model.apply(Self.mod("del"), to: "br0", now: 5000)
        try model.apply(Self.mod("add in_port=1 out=2"), to: "br0", now: 6000)
        model.counters.add(old, packets: 9, bytes: 9, now: 6500)
        #expect(model.counters.value(try only().counter).packets == 0)
    }

    @Test("a full table refuses, and replacing a flow in it does not count") func fullTable() throws {
        let model = try SwitchModel.withBridge()
        try model.setFlowLimit(2, bridge: "br0", table: 0)
        for port in 1...2 { try model.apply(Self.mod("add in_port=\(port) out=2"), to: "br0", now: 1) }
        #expect(throws: StateError.self) { try model.apply(Self.mod("add in_port=3 out=2"), to: "br0", now: 1) }
        try model.apply(Self.mod("add in_port=2 out=7"), to: "br0", now: 1)
        try model.apply(Self.mod("add table=1 in_port=3 out=2"), to: "br0", now: 1)
        try model.apply(Self.mod("del in_port=1"), to: "br0", now: 1)
        try model.apply(Self.mod("add in_port=3 out=2"), to: "br0", now: 1)
        #expect(model.rules().count == 3)
    }

    @Test("goto_table goes forward only; groups and meters have to be there") func checks() throws {
        let model = try SwitchModel.withBridge()
        func kind(_ actions: [Action], table: UInt8 = 0) -> StateError.Kind? {
            do throws(StateError) {
                try model.apply(FlowMod(.add, table: table, actions: actions), to: "br0", now: 1)
                return nil
            } catch { return error.kind }
        }
        #expect(kind([.gotoTable(5)]) == nil)
        #expect(kind([.gotoTable(5)], table: 5) == .badGoto)
        #expect(kind([.gotoTable(255)]) == .badGoto)
        #expect(kind([.meter(1)]) == .badMeter)
        var meter = MeterSpec()
        meter.id = .number(1)
        meter.flags = .kilobitsPerSecond
        meter.bands = [.init(kind: .drop, rate: 1000, burst: 0)]
        try model.addMeter(meter, to: "br0", now: 1)
        #expect(throws: StateError.self) { try model.addMeter(meter, to: "br0", now: 1) }
        #expect(kind([.meter(1)]) == nil)
        #expect(kind([.meter(2)]) == .badMeter)
        #expect(kind([.writeActions([.group(3)])]) == .badGroup)
        #expect(kind([.clone([.group(3)])]) == .badGroup)
    }

    @Test("a change names the tables that it touched, and no others") func dependencies() throws {
        let model = try SwitchModel.withBridge()
        let before = model.changes.generation
        try model.apply(Self.mod("add table=3 in_port=1 out=2"), to: "br0", now: 1)
        #expect(model.changes.touchedSince(before) == .table(bridge: 0, 3))
        let later = model.changes.generation
        try model.apply(Self.mod("del table=9"), to: "br0", now: 1)
        #expect(model.changes.generation == later)
    }

    @Test("lines as ovs-ofctl prints them") func dump() throws {
        let model = try SwitchModel.withBridge()
        var mod = Self.mod("add in_port=1 priority=10 idle=30 cookie=171 out=2")
        mod.flags = .sendFlowRemoved
        try model.apply(mod, to: "br0", now: 1000)
        try model.apply(Self.mod("add table=2 out=1"), to: "br0", now: 2000)
        model.counters.add(model.rules()[0].counter, packets: 4, bytes: 240, now: 3000)
        let lines = model.dumpFlows(try model.selectRules(of: "br0"), now: 2250)
        #expect(
            lines == [
                "cookie=0xab, duration=1.25s, table=0, n_packets=4, n_bytes=240, idle_timeout=30, send_flow_rem "
                    + "priority=10,in_port=1 actions=output:2",
                "cookie=0x0, duration=0.25s, table=2, n_packets=0, n_bytes=0, actions=output:1",
            ])
        var brief = FlowListing()
        brief.showsStatistics = false
        #expect(
            model.dumpFlows(try model.selectRules(Self.mod("del table=2"), of: "br0"), now: 0, listing: brief) == [
                "table=2, actions=output:1"
            ])
        #expect(model.aggregate(try model.selectRules(of: "br0")).text == "packet_count=4 byte_count=240 flow_count=2")
    }
}
