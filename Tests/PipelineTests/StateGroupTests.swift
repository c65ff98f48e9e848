import Base
import Flow
import Pipeline
import Testing

@Suite("Groups") struct StateGroupTests {
    static func bucket(
        _ out: UInt32, id: UInt32? = nil, weight: UInt16? = nil, watch: UInt32? = nil
    ) -> GroupMod.Bucket {
        GroupMod.Bucket(
            id: id, weight: weight, watchPort: watch.map { PortNumber($0) }, actions: [.output(PortNumber(out))])
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let name: String
        let mod: GroupMod
        let error: StateError.Kind
        var testDescription: String { name }
    }

    static let refusals: [Refusal] = [
        Refusal(name: "exists", mod: GroupMod(.add, id: 1, buckets: [bucket(1)]), error: .groupExists),
        Refusal(name: "unknown", mod: GroupMod(.modify, id: 9, buckets: [bucket(1)]), error: .unknownGroup),
        Refusal(name: "reserved number", mod: GroupMod(.add, id: 0xffff_ff01), error: .invalidGroup),
        Refusal(name: "no number", mod: GroupMod(.add, id: nil), error: .invalidGroup),
        Refusal(name: "indirect, none", mod: GroupMod(.add, id: 9, kind: .indirect), error: .invalidGroup),
        Refusal(
            name: "indirect, two", mod: GroupMod(.add, id: 9, kind: .indirect, buckets: [bucket(1), bucket(2)]),
            error: .invalidGroup),
        Refusal(
            name: "failover without watch", mod: GroupMod(.add, id: 9, kind: .fastFailover, buckets: [bucket(1)]),
            error: .invalidGroup),
        Refusal(
            name: "watch in all", mod: GroupMod(.add, id: 9, kind: .all, buckets: [bucket(1, watch: 1)]),
            error: .watchUnsupported),
        Refusal(
            name: "weight in all", mod: GroupMod(.add, id: 9, kind: .all, buckets: [bucket(1, weight: 3)]),
            error: .invalidGroup),
        Refusal(
            name: "two buckets of one id", mod: GroupMod(.add, id: 9, buckets: [bucket(1, id: 3), bucket(2, id: 3)]),
            error: .bucketExists),
        Refusal(
            name: "bucket id out of range", mod: GroupMod(.add, id: 9, buckets: [bucket(1, id: 0xffff_ff01)]),
            error: .badBucket),
        Refusal(
            name: "insert one that is there", mod: GroupMod(.insertBuckets(.last), id: 1, buckets: [bucket(1, id: 2)]),
            error: .bucketExists),
        Refusal(
            name: "insert behind nothing", mod: GroupMod(.insertBuckets(.bucket(7)), id: 1, buckets: [bucket(1)]),
            error: .unknownBucket),
        Refusal(
            name: "insert at all", mod: GroupMod(.insertBuckets(.all), id: 1, buckets: [bucket(1)]), error: .badBucket),
        Refusal(
            name: "remove what is not there", mod: GroupMod(.removeBuckets(.bucket(7)), id: 1), error: .unknownBucket),
        Refusal(
            name: "remove with buckets", mod: GroupMod(.removeBuckets(.all), id: 1, buckets: [bucket(1)]),
            error: .badBucket),
        Refusal(
            name: "itself", mod: GroupMod(.add, id: 9, buckets: [.init(actions: [.group(9)])]), error: .invalidGroup),
        Refusal(
            name: "goto in a bucket", mod: GroupMod(.add, id: 9, buckets: [.init(actions: [.gotoTable(3)])]),
            error: .badBucket),
    ]

    func model() throws -> SwitchModel {
        let model = try SwitchModel.withBridge()
        try model.apply(
            GroupMod(.add, id: 1, kind: .select, buckets: [Self.bucket(1), Self.bucket(2), Self.bucket(3)]), to: "br0",
            now: 1)
        return model
    }

    @Test("what OVS refuses is refused, and nothing changes", arguments: refusals) func refuse(_ test: Refusal) throws {
        let model = try model()
        let before = model.snapshot()
        do throws(BatchError) {
            try model.apply([GroupMod(.add, id: 5, buckets: [Self.bucket(1)]), test.mod], to: "br0", now: 2)
            Issue.record("accepted")
        } catch {
            #expect(error.error.kind == test.error)
            #expect(error.index == 1)
        }
        #expect(model.snapshot() == before)
    }

    @Test("buckets go in first, last or behind another, and out likewise") func positions() throws {
        let model = try model()
        func ids() -> [UInt32] { model.state.bridge(named: "br0")?.groups[1]?.buckets.map(\.id) ?? [] }
        func run(_ command: GroupMod.Command, _ buckets: GroupMod.Bucket...) throws {
            try model.apply(GroupMod(command, id: 1, buckets: buckets), to: "br0", now: 2)
        }
        #expect(ids() == [0, 1, 2])
        try run(.insertBuckets(.first), Self.bucket(7, id: 10), Self.bucket(7, id: 11))
        #expect(ids() == [10, 11, 0, 1, 2])
        try run(.insertBuckets(.bucket(0)), Self.bucket(7, id: 20))
        #expect(ids() == [10, 11, 0, 20, 1, 2])
        try run(.insertBuckets(.last), Self.bucket(7))
        #expect(ids() == [10, 11, 0, 20, 1, 2, 3])
        try run(.removeBuckets(.first))
        try run(.removeBuckets(.last))
        try run(.removeBuckets(.bucket(20)))
        #expect(ids() == [11, 0, 1, 2])
        #expect(model.state.bridge(named: "br0")?.groups[1]?.kind == .select)
        try run(.removeBuckets(.all))
        #expect(ids().isEmpty)
        _ = model.snapshot()
    }

    @Test("deleting a group deletes the flows that refer to it") func deletion() throws {
        let model = try model()
        try model.apply(GroupMod(.addOrModify, id: 2, buckets: [Self.bucket(5)]), to: "br0", now: 2)
        for (port, actions) in [
            (1, [Action.group(1)]), (2, [.clone([.group(2)])]), (3, [.writeActions([.group(1)])]), (4, [.drop]),
        ] as [(UInt64, [Action])] {
            try model.apply(FlowMod(.add, match: .fields(inPort: port), actions: actions), to: "br0", now: 3)
        }
        #expect(model.references(toGroup: 1, bridge: "br0") == 2)
        let change = try model.apply(GroupMod(.delete, id: 1), to: "br0", now: 4)
        #expect(change.deleted == 2)
        #expect(model.rules().map { $0.match.key[.inPort] }.sorted() == [2, 4])
        try model.apply(GroupMod(.delete, id: nil), to: "br0", now: 5)
        #expect(model.rules().map { $0.match.key[.inPort] } == [4])
        #expect(model.state.bridge(named: "br0")?.groups.isEmpty == true)
        try model.apply(GroupMod(.delete, id: 77), to: "br0", now: 6)
        _ = model.snapshot()
    }

    @Test("a modified group keeps its age and begins its counters anew") func modification() throws {
        let model = try model()
        let old = try #require(model.state.bridge(named: "br0")?.groups[1])
        model.counters.add(old.counter, packets: 3, bytes: 3, now: 2)
        try model.apply(GroupMod(.modify, id: 1, kind: .all, buckets: [Self.bucket(9)]), to: "br0", now: 900)
        let new = try #require(model.state.bridge(named: "br0")?.groups[1])
        #expect(new.created == 1 && new.kind == .all && new.buckets.map(\.weight) == [0])
        #expect(model.counters.value(new.counter).packets == 0)
    }

    @Test("lines as ovs-ofctl prints them, which read back to the same group") func dump() throws {
        let model = try SwitchModel.withBridge()
        let texts = [
            "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=bucket_id:0,weight:5,actions=output:1,"
                + "bucket=bucket_id:7,actions=output:2",
            "group_id=2,type=ff,bucket=bucket_id:0,watch_port:1,actions=output:1",
        ]
        for text in texts { try model.apply(GroupMod(GroupParser().parse(text)), to: "br0", now: 1) }
        let shown = try model.dumpGroups(of: "br0")
        #expect(shown.map { try? GroupParser().parse($0) } == texts.map { try? GroupParser().parse($0) })
        #expect(
            try model.dumpGroupStatistics(of: "br0", id: 2, now: 1501) == [
                "group_id=2,duration=1.5s,ref_count=0,packet_count=0,byte_count=0,bucket0:packet_count=0,byte_count=0"
            ])
    }
}
