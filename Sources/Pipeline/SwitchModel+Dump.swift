import Base
import Flow

/// How `dump-flows` shows flows.
public struct FlowListing: Sendable {
    /// `--stats` and `--no-stats` of ovs-ofctl.
    public var showsStatistics = true
    /// `idle_age` and `hard_age`, as OpenFlow 1.0 with its extensions and OpenFlow 1.5 report them.
    public var showsAges = false

    public init() {}
}

/// Sums over flows: `dump-aggregate`.
public struct FlowAggregate: Sendable, Equatable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var flows = 0

    public init() {}

    /// As ovs-ofctl prints it, behind the name of the reply.
    public var text: String { "packet_count=\(packets) byte_count=\(bytes) flow_count=\(flows)" }
}

extension SwitchModel {
    /// The rules that `selection` is about, read as a loose deletion would read it (all of them without one), by table,
    /// falling priority and age.
    public func selectRules(_ selection: FlowMod? = nil, of bridge: String) throws(StateError) -> [Rule] {
        let bridge = try self.bridge(bridge)
        var criteria = selection ?? FlowMod(.delete)
        criteria.command = criteria.isStrict ? .deleteStrict : .delete
        let plan = FlowPlan(bridge: bridge, book: books[bridge.number], counters: counters, now: 0)
        return plan.select(criteria).sorted { a, b in
            (a.rule.table, b.rule.priority, a.rule.created, a.place)
                < (b.rule.table, a.rule.priority, b.rule.created, b.place)
        }.map(\.rule)
    }

    /// One line for each rule, as `ovs-ofctl dump-flows` prints it, without the leading space.
    public func dumpFlows(
        _ rules: [Rule], now: UInt64, listing: FlowListing = FlowListing(), context: FlowContext = FlowContext()
    ) -> [String] {
        let printer = FlowPrinter(context)
        return rules.map { rule in
            rule.line(counters.value(rule.counter), now: now, listing: listing, printer: printer)
        }
    }

    public func aggregate(_ rules: [Rule]) -> FlowAggregate {
        var sum = FlowAggregate()
        for rule in rules {
            let value = counters.value(rule.counter)
            sum.packets &+= value.packets
            sum.bytes &+= value.bytes
            sum.flows += 1
        }
        return sum
    }

    /// Tables that hold flows, with their number.
    public func activeTables(of bridge: String) throws(StateError) -> [(table: UInt8, flows: Int)] {
        try self.bridge(bridge).tables.compactMap { table in
            guard let table, table.count > 0 else { return nil }
            return (table.number, table.count)
        }
    }
}

extension Rule {
    fileprivate func line(_ value: CounterValue, now: UInt64, listing: FlowListing, printer: FlowPrinter) -> String {
        var text = ""
        let shows = listing.showsStatistics
        if shows || cookie != 0 { text += "cookie=0x\(String(cookie, radix: 16)), " }
        if shows { text += "duration=\(DurationText.text(milliseconds: now &- min(created, now))), " }
        if shows || table != 0 { text += "table=\(table), " }
        if shows {
            text += "n_packets=\(flags.contains(.noPacketCounts) ? 0 : value.packets), "
            text += "n_bytes=\(flags.contains(.noByteCounts) ? 0 : value.bytes), "
        }
        let (idle, hard) = timeouts(value)
        if idle != 0 { text += "idle_timeout=\(idle), " }
        if hard != 0 { text += "hard_timeout=\(hard), " }
        text += printer.text(FlowSpec.Flags(rawValue: flags.subtracting(.hidden).rawValue))
        if importance != 0 { text += "importance=\(importance), " }
        if shows, listing.showsAges {
            text += "idle_age=\(Self.age(value.used, now)), "
            let age = Self.age(value.modified, now)
            if age != Self.age(created, now) { text += "hard_age=\(age), " }
        }
        return text + printer.text(match, priority: priority, actions: actions)
    }

    /// Seconds, at most what 16 bits hold.
    private static func age(_ time: UInt64, _ now: UInt64) -> UInt64 { min((now &- min(time, now)) / 1000, 65535) }
}

/// Durations as ovs-ofctl writes them.
public enum DurationText {
    /// `12s`, `1.25s`.
    public static func text(milliseconds: UInt64) -> String {
        let rest = milliseconds % 1000
        guard rest != 0 else { return "\(milliseconds / 1000)s" }
        var fraction = String(rest + 1000).dropFirst()
        while fraction.last == "0" { fraction = fraction.dropLast() }
        return "\(milliseconds / 1000).\(fraction)s"
    }
}
