import Base
import Conntrack
import Dataplane

extension Invocation {
    /// The arguments without the name of a datapath (`netdev@ovs-netdev`) that `ovs-appctl` lets stand in front: there is one.
    var words: [String] {
        guard let first = arguments.first, first.contains("@"), !first.contains("=") else { return arguments }
        return Array(arguments.dropFirst())
    }
}

// Commands for those who know them from ovs-appctl, in its words.
extension SwitchCommands {
    func bindConntrackAliases(_ registry: CommandRegistry) {
        registry.bind("dpctl/dump-conntrack") { invocation throws(CommandError) in
            try self.dumpConnections(invocation)
        }
        registry.bind("dpctl/flush-conntrack") { invocation throws(CommandError) in
            try self.flushConnections(invocation)
        }
        registry.bind("dpctl/ct-stats-show") { invocation throws(CommandError) in
            try self.showConnectionStatistics(invocation)
        }
        registry.bind("dpctl/ct-get-nconns") { _ throws(CommandError) in
            let count = self.device.tracker.count
            return CommandResult(text: { "\(count)\n" }, json: { JSONValue(count) })
        }
        registry.bind("dpctl/ct-get-maxconns") { _ throws(CommandError) in
            let limit = self.device.tracker.limit
            return CommandResult(text: { "\(limit)\n" }, json: { JSONValue(limit) })
        }
        bindLimitAliases(registry)
        bindSettingAliases(registry)
        registry.bind("dpctl/ipf-get-status") { _ throws(CommandError) in self.fragmentStatus() }
    }

    private func bindLimitAliases(_ registry: CommandRegistry) {
        registry.bind("dpctl/ct-get-limits") { invocation throws(CommandError) in
            var zones: [UInt16] = []
            for word in invocation.words { zones += try Self.zones(word) }
            let all = self.configured.tracking.limits.keys.sorted()
            return self.showLimits(invocation.words.isEmpty ? all : zones, showsTotal: false)
        }
        registry.bind("dpctl/ct-set-limits") { invocation throws(CommandError) in
            try self.setLimits(invocation.words)
            return .done
        }
        registry.bind("dpctl/ct-del-limits") { invocation throws(CommandError) in
            try self.deleteLimits(invocation.words)
            return .done
        }
    }

    private func bindSettingAliases(_ registry: CommandRegistry) {
        func bind(_ name: String, _ setting: @escaping ([String]) throws(CommandError) -> String) {
            registry.bind(name) { invocation throws(CommandError) in
                try self.set([try setting(invocation.words)])
                return .done
            }
        }
        bind("dpctl/ct-set-maxconns") { words throws(CommandError) in "maxconns=\(try Self.last(words, of: 1))" }
        bind("dpctl/ct-enable-tcp-seq-chk") { _ throws(CommandError) in "tcp-seq-check=on" }
        bind("dpctl/ct-disable-tcp-seq-chk") { _ throws(CommandError) in "tcp-seq-check=off" }
        bind("dpctl/ipf-set-enabled") { words throws(CommandError) in "ipf-\(try Self.version(words, of: 1))=on" }
        bind("dpctl/ipf-set-disabled") { words throws(CommandError) in "ipf-\(try Self.version(words, of: 1))=off" }
        bind("dpctl/ipf-set-max-nfrags") { words throws(CommandError) in "max-nfrags=\(try Self.last(words, of: 1))" }
        bind("dpctl/ipf-set-min-frag") { words throws(CommandError) in
            "min-frag-\(try Self.version(words, of: 2))=\(try Self.last(words, of: 2))"
        }
        registry.bind("dpctl/ct-get-tcp-seq-chk") { _ throws(CommandError) in
            let isOn = self.device.tracker.checksSequenceNumbers
            return CommandResult(
                text: { "TCP sequence checking: \(isOn ? "enabled" : "disabled")\n" }, json: { .bool(isOn) })
        }
    }

    private static func last(_ words: [String], of count: Int) throws(CommandError) -> String {
        guard words.count == count, let last = words.last, !last.isEmpty else {
            throw .refused("expected \(count) arguments besides the datapath, found \(words.count)")
        }
        return last
    }

    private static func version(_ words: [String], of count: Int) throws(CommandError) -> String {
        _ = try last(words, of: count)
        guard words[0] == "v4" || words[0] == "v6" else {
            throw .refused("expected v4 or v6, found \"\(words[0].echoed)\"")
        }
        return words[0]
    }

    // MARK: Fragments

    private func fragmentStatus() -> CommandResult {
        let limits = device.reassembler.limits
        let counts = device.reassembler.statistics
        let held = device.reassembler.held
        func lines(_ version: String, _ minimum: Int, _ count: (FragmentCount) -> UInt64) -> String {
            """
            min \(version) frag size: \(minimum)
            \(version) frags accepted: \(count(counts.accepted))
            \(version) frags completed: \(count(counts.completed))
            \(version) frags expired: \(count(counts.expired))
            \(version) frags too small: \(count(counts.tooSmall))
            \(version) frags overlapped: \(count(counts.overlapping) &+ count(counts.duplicate))

            """
        }
        return CommandResult(
            text: {
                """
                v4 enabled: \(limits.isIPv4Enabled ? 1 : 0)
                v6 enabled: \(limits.isIPv6Enabled ? 1 : 0)
                max num frags (v4/v6): \(limits.maximumFragments)
                num frag: \(held)

                """ + lines("v4", limits.minimumIPv4) { $0.ipv4 } + lines("v6", limits.minimumIPv6) { $0.ipv6 }
            },
            json: { self.fragmentJSON() })
    }

    func fragmentJSON() -> JSONValue {
        let counts = device.reassembler.statistics
        func pair(_ count: FragmentCount) -> JSONValue { ["v4": JSONValue(count.ipv4), "v6": JSONValue(count.ipv6)] }
        return [
            "held": JSONValue(device.reassembler.held), "accepted": pair(counts.accepted),
            "completed": pair(counts.completed), "expired": pair(counts.expired), "too_small": pair(counts.tooSmall),
            "duplicate": pair(counts.duplicate), "overlapping": pair(counts.overlapping),
            "refused": pair(counts.refused), "datagrams": JSONValue(counts.datagrams),
        ]
    }
}
