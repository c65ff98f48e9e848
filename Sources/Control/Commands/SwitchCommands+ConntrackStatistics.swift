import Base
import Conntrack
import Dataplane
import Synchronization

extension SwitchCommands {
    /// Zones that `ct/stats` names; of more, those with most connections.
    private static var mostZones: Int { 64 }

    // MARK: Counting

    /// Counts connections in steps, then answers.
    private func summarize(
        _ filter: ConnectionFilter, talkers: Int, _ isJSON: Bool,
        _ answer: @escaping (ConnectionSummary) -> AnswerSteps.Piece
    ) -> CommandResult {
        var walk = ConnectionWalk(filter)
        var summary = ConnectionSummary()
        var isTold = false
        let steps = AnswerSteps(isJSON: isJSON) {
            guard !isTold else { return nil }
            walk.step(self.device.tracker, slots: 8192, now: self.now) { connection in
                summary.add(connection, talkers: talkers)
                return true
            }
            guard walk.isDone else { return .text("") }
            isTold = true
            return answer(summary)
        }
        return CommandResult(steps: steps)
    }

    /// As `ovs-appctl dpctl/ct-stats-show` has it.
    func showConnectionStatistics(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        let isLong = invocation.has("-m") || invocation.has("--more") || invocation.words.contains("verbose")
        let filter = try Self.filter(invocation.words.filter { $0 != "verbose" })
        return summarize(filter, talkers: 0, invocation.wantsJSON) { summary in
            if invocation.wantsJSON { return .whole(Self.json(summary)) }
            var text = "Connections Stats:\n    Total: \(summary.total)\n"
            for (index, title) in Self.titles {
                guard let count = summary.byProtocol[index] else { continue }
                text += "  \(title): \(count)\n"
                guard index == .tcp, isLong else { continue }
                text += "    Conn per TCP states:\n"
                for (state, count) in summary.tcpStates.sorted(by: { $0.key < $1.key }) {
                    text += "\t  [\(state.name)]=\(count)\n"
                }
            }
            return .text(text)
        }
    }

    private static var titles: [(ProtocolIndex, String)] {
        [(.tcp, "TCP"), (.udp, "UDP"), (.sctp, "SCTP"), (.icmp, "ICMP"), (.icmpv6, "ICMPv6"), (.other, "Other")]
    }

    // MARK: ct/stats

    func connectionStatistics(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        var talkers = 10
        var words: [String] = []
        for word in invocation.words {
            guard word.hasPrefix("talkers=") else {
                words.append(word)
                continue
            }
            do throws(SettingError) { talkers = try SettingValue.integer(String(word.dropFirst(8)), 0...1000) } catch {
                throw .refused("talkers: \(error)")
            }
        }
        let filter = try Self.filter(words)
        device.settle(connections: true)
        return summarize(filter, talkers: talkers, invocation.wantsJSON) { summary in
            invocation.wantsJSON ? .whole(self.statisticsJSON(summary)) : .text(self.statisticsText(summary))
        }
    }

    private func statisticsText(_ summary: ConnectionSummary) -> String {
        let tracker = device.tracker
        var text = "connections: \(summary.total); \(tracker.count) of at most \(tracker.limit) in all zones, "
        text += "\(tracker.memoryUsed >> 10) KiB\n"
        for index in ProtocolIndex.allCases {
            guard let count = summary.byProtocol[index] else { continue }
            text += "  \(index.name): \(count)\n"
            guard index == .tcp else { continue }
            for (state, count) in summary.tcpStates.sorted(by: { $0.key < $1.key }) {
                text += "    \(state.name): \(count)\n"
            }
        }
        text += "  other than TCP: \(summary.answered) answered, \(summary.unanswered) not\n"
        text += zonesText(summary)
        for group in counterGroups {
            text += group.title + ": " + group.counters.map { "\($0.words) \($0.value)" }.joined(separator: ", ") + "\n"
        }
        if !summary.talkers.isEmpty { text += "top talkers:\n" }
        for connection in summary.talkers { text += "  \(connection.text(.statistics))\n" }
        return text
    }

    private func zonesText(_ summary: ConnectionSummary) -> String {
        let tracker = device.tracker
        let zones = Self.largest(summary)
        var text = "zones: \(summary.byZone.count)\n"
        for (zone, count) in zones {
            let limit = tracker.zoneLimit(zone)
            text += "  zone \(zone): \(count)" + (limit == 0 ? "\n" : ", limit \(limit), refused ")
            if limit != 0 { text += "\(tracker.refused(zone: zone))\n" }
        }
        return text
    }

    private static func largest(_ summary: ConnectionSummary) -> ArraySlice<(key: UInt16, value: Int)> {
        summary.byZone.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(mostZones)
    }

    /// Counters since the start, in the order in which they are told.
    struct CounterGroup {
        struct Counter {
            let name: String
            let words: String
            let value: UInt64
        }

        let title: String
        let name: String
        let counters: [Counter]
    }

    var counterGroups: [CounterGroup] {
        let tracker = device.tracker
        func group(_ title: String, _ name: String, _ counters: [(String, TrackCounter)]) -> CounterGroup {
            CounterGroup(
                title: title, name: name,
                counters: counters.map {
                    CounterGroup.Counter(
                        name: String($0.0.map { $0 == " " ? "_" : $0 }), words: $0.0, value: tracker.total($0.1))
                })
        }
        return [
            group(
                "packets", "packets",
                [
                    ("new", .new), ("established", .established), ("related", .related), ("invalid", .invalid),
                    ("again", .repeated),
                ]),
            // They are among the packets above.
            group("without a lookup", "resumed", [("by session", .resumed)]),
            group(
                "connections since the start", "events",
                [
                    ("created", .created), ("expired", .expired), ("flushed", .flushed), ("replaced", .replaced),
                    ("dropped early", .earlyDrop),
                ]),
            group(
                "refused", "refused",
                [
                    ("total limit", .refusedByLimit), ("zone limit", .refusedByZoneLimit),
                    ("memory", .refusedByMemory), ("nat exhausted", .natExhausted),
                    ("clash", .clash),
                ]),
            group(
                "invalid because", "invalid",
                [
                    ("malformed", .malformed), ("network checksum", .badNetworkChecksum),
                    ("transport checksum", .badTransportChecksum), ("tcp flags", .badTCPFlags),
                    ("outside window", .outsideWindow), ("not first packet", .notFirstPacket),
                    ("error of no connection", .unknownError),
                ]),
            natGroup, expectationGroup, fragmentGroup,
        ]
    }

    private var natGroup: CounterGroup {
        let counters = device.tracker.natCounters
        return CounterGroup(
            title: "NAT", name: "nat",
            counters: [
                .init(name: "translated", words: "translated", value: counters.translated.load(ordering: .relaxed)),
                .init(name: "collisions", words: "collisions", value: counters.collisions.load(ordering: .relaxed)),
                .init(name: "exhausted", words: "exhausted", value: counters.exhausted.load(ordering: .relaxed)),
            ])
    }

    private var expectationGroup: CounterGroup {
        let table = device.tracker.expectations
        return CounterGroup(
            title: "announced by helpers", name: "announced",
            counters: [
                .init(name: "waiting", words: "waiting", value: UInt64(table.expected)),
                .init(name: "evicted", words: "evicted", value: table.evicted.load(ordering: .relaxed)),
            ])
    }

    private var fragmentGroup: CounterGroup {
        let counts = device.reassembler.statistics
        func counter(_ words: String, _ count: FragmentCount) -> CounterGroup.Counter {
            .init(name: String(words.map { $0 == " " ? "_" : $0 }), words: words, value: count.ipv4 &+ count.ipv6)
        }
        return CounterGroup(
            title: "fragments", name: "fragments",
            counters: [
                .init(name: "held", words: "held", value: UInt64(device.reassembler.held)),
                counter("accepted", counts.accepted), counter("completed", counts.completed),
                counter("expired", counts.expired), counter("too small", counts.tooSmall),
                counter("duplicate", counts.duplicate), counter("overlapping", counts.overlapping),
                counter("refused", counts.refused),
            ])
    }

    // MARK: As JSON

    private static func json(_ summary: ConnectionSummary) -> JSONValue {
        [
            "total": JSONValue(summary.total),
            "protocols": .object(
                ProtocolIndex.allCases.compactMap { index in
                    summary.byProtocol[index].map { JSONValue.Member(index.name, JSONValue($0)) }
                }),
            "tcp_states": .object(
                summary.tcpStates.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key.name, JSONValue($0.value)) }),
            "answered": JSONValue(summary.answered), "unanswered": JSONValue(summary.unanswered),
        ]
    }

    private func statisticsJSON(_ summary: ConnectionSummary) -> JSONValue {
        guard case .object(var members) = Self.json(summary) else { return .null }
        let tracker = device.tracker
        members.append(JSONValue.Member("limit", JSONValue(tracker.limit)))
        members.append(JSONValue.Member("memory_bytes", JSONValue(tracker.memoryUsed)))
        members.append(
            JSONValue.Member(
                "zones",
                .array(Self.largest(summary).map { ["zone": JSONValue($0.key), "count": JSONValue($0.value)] })))
        for group in counterGroups {
            members.append(
                JSONValue.Member(
                    group.name, .object(group.counters.map { JSONValue.Member($0.name, JSONValue($0.value)) })))
        }
        members.append(JSONValue.Member("talkers", .array(summary.talkers.map(Self.json))))
        return .object(members)
    }
}

extension ProtocolIndex {
    var name: String {
        switch self {
        case .tcp: "tcp"
        case .udp: "udp"
        case .icmp: "icmp"
        case .icmpv6: "icmpv6"
        case .sctp: "sctp"
        case .other: "other"
        }
    }
}
