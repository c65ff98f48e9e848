/// All commands that there are.
public enum CommandCatalogue {
    public static let all: [CommandSpec] = own + openVSwitch

    private static let own: [CommandSpec] =
        bridges + flows + groups + packets + conntrack + balancing + dataplane + configuration + process

    /// Whether some command has this option.
    public static func hasOption(_ option: String) -> Bool {
        all.contains { spec in
            spec.options.contains { $0 == option || ($0.hasSuffix("=") && option.hasPrefix($0)) }
        }
    }

    public static func spec(_ name: String) -> CommandSpec? { byName[name] }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    private static let any = Int.max

    private static let bridges: [CommandSpec] = [
        CommandSpec("show", .bridges, "", 0...0, "bridges, ports, types, OpenFlow numbers, link state, errors"),
        CommandSpec(
            "add-br", .bridges, "BR [KEY=VALUE...]", 1...any, "make a bridge", options: ["--may-exist"],
            keys: BridgeConfiguration.keys),
        CommandSpec(
            "set-br", .bridges, "BR KEY=VALUE...", 2...any, "change settings of a bridge",
            keys: BridgeConfiguration.keys),
        CommandSpec("del-br", .bridges, "BR", 1...1, "delete a bridge and its ports", options: ["--if-exists"]),
        CommandSpec("list-br", .bridges, "", 0...0, "names of all bridges"),
        CommandSpec(
            "add-port", .bridges, "BR PORT [KEY=VALUE...]", 2...any, "add a port to a bridge",
            options: ["--may-exist"], keys: PortConfiguration.keys),
        CommandSpec("del-port", .bridges, "[BR] PORT", 1...2, "remove a port", options: ["--if-exists"]),
        CommandSpec(
            "set-port", .bridges, "PORT KEY=VALUE...", 2...any, "change settings of a port",
            keys: PortConfiguration.keys),
        CommandSpec("list-ports", .bridges, "BR", 1...1, "names of the ports of a bridge"),
        CommandSpec(
            "mod-port", .bridges, "BR PORT ACTION", 3...3,
            "up, down, flood, no-flood, forward, no-forward, receive or no-receive"),
        CommandSpec(
            "add-mirror", .bridges, "BR NAME KEY=VALUE...", 3...any, "copy chosen packets to a port or VLAN",
            keys: MirrorConfiguration.keys),
        CommandSpec("del-mirror", .bridges, "BR NAME", 2...2, "remove a mirror"),
        CommandSpec("port-stats", .bridges, "[PORT]", 0...1, "packets, bytes, errors and drops by reason, each way"),
        CommandSpec("fdb/show", .bridges, "BR", 1...1, "learned MAC addresses"),
        CommandSpec("fdb/stats-show", .bridges, "BR", 1...1, "what the table of MAC addresses went through"),
        CommandSpec("fdb/flush", .bridges, "[BR]", 0...1, "forget learned MAC addresses"),
    ]

    private static let flows: [CommandSpec] = [
        CommandSpec("add-flow", .flows, "BR FLOW", 2...2, "add a flow, or replace the one with the same match"),
        CommandSpec(
            "add-flows", .flows, "BR FILE", 2...3, "apply a file of flows, whole or not at all (- is standard input)",
            readsFile: 1),
        CommandSpec(
            "mod-flows", .flows, "[--strict] BR FLOW", 2...2, "change the actions of matching flows",
            options: ["--strict"]),
        CommandSpec(
            "del-flows", .flows, "[--strict] BR [MATCH]", 1...2, "delete matching flows", options: ["--strict"]),
        CommandSpec(
            "replace-flows", .flows, "BR FILE", 2...3, "make the flows those of a file, keeping what is the same",
            readsFile: 1),
        CommandSpec(
            "dump-flows", .flows, "[--names|--no-names] [--no-stats] [--sort[=FIELD]|--rsort[=FIELD]] BR [MATCH]",
            1...2, "flows with their counters",
            options: [
                "--names", "--no-names", "--stats", "--no-stats", "--sort", "--sort=", "--rsort", "--rsort=",
            ]),
    ]

    private static let groups: [CommandSpec] = [
        CommandSpec(
            "add-group", .groups, "[--may-create] BR GROUP", 2...2, "add a group", options: ["--may-create"]),
        CommandSpec(
            "mod-group", .groups, "[--may-create] BR GROUP", 2...2, "change a group", options: ["--may-create"]),
        CommandSpec(
            "add-groups", .groups, "BR FILE", 2...3,
            "apply a file of groups, whole or not at all (- is standard input)",
            readsFile: 1),
        CommandSpec("insert-buckets", .groups, "BR GROUP", 2...2, "add buckets to a group"),
        CommandSpec("remove-buckets", .groups, "BR GROUP", 2...2, "take buckets from a group"),
        CommandSpec("del-groups", .groups, "BR [GROUP]", 1...2, "delete one group or all"),
        CommandSpec("dump-groups", .groups, "BR [GROUP]", 1...2, "groups and their buckets"),
        CommandSpec("dump-group-stats", .groups, "BR [GROUP]", 1...2, "packets and bytes of groups and buckets"),
        CommandSpec("add-meter", .groups, "BR METER", 2...2, "add a meter"),
        CommandSpec("mod-meter", .groups, "BR METER", 2...2, "change a meter"),
        CommandSpec("del-meters", .groups, "BR [METER]", 1...2, "delete one meter or all"),
        CommandSpec("dump-meters", .groups, "BR [METER]", 1...2, "meters and their bands"),
        CommandSpec("meter-stats", .groups, "BR [METER]", 1...2, "packets and bytes that meters saw"),
        CommandSpec(
            "add-tlv-map", .groups, "BR MAP", 2...2,
            "let tun_metadata fields stand for tunnel options, as in {class=0x102,type=0x80,len=4}->tun_metadata0"),
        CommandSpec("del-tlv-map", .groups, "BR [MAP]", 1...2, "delete the mappings of a map or all"),
        CommandSpec("dump-tlv-map", .groups, "BR", 1...1, "which tunnel options tun_metadata fields stand for"),
    ]

    private static let packets: [CommandSpec] = [
        CommandSpec(
            "trace", .packets, "[--names] BR FLOW [HEX]", 2...3,
            "walk one packet through the tables without sending it", options: ["--names", "-names"]),
        CommandSpec("inject", .packets, "PORT HEX...", 2...any, "process frames as if received on a port"),
        CommandSpec("packet-out", .packets, "BR IN_PORT ACTIONS HEX", 4...4, "run actions on a frame"),
        CommandSpec(
            "capture", .packets, "PORT FILE [count=N] [filter=EXPR] | stop PORT", 2...any,
            "write what crosses a port to a pcap file, or stop that", keys: CaptureSettings.keys),
    ]

    private static let dataplane: [CommandSpec] = [
        CommandSpec("dp/show", .dataplane, "", 0...0, "caches: hits, misses, sizes, masks"),
        CommandSpec("dp/dump-flows", .dataplane, "[-m]", 0...0, "megaflows", options: ["-m", "--names"]),
        CommandSpec("dp/flush", .dataplane, "", 0...0, "empty the caches"),
        CommandSpec("pmd/show", .dataplane, "", 0...0, "which queue is polled by which worker"),
        CommandSpec("pmd/stats", .dataplane, "", 0...0, "cycles per packet, busy share, batch sizes"),
        CommandSpec("pmd/clear", .dataplane, "", 0...0, "start the figures of pmd/stats again"),
        CommandSpec("drops", .dataplane, "", 0...0, "every drop counter by reason, bridge and port"),
        CommandSpec("metrics", .dataplane, "", 0...0, "all figures in Prometheus text format"),
        CommandSpec(
            "time/warp", .dataplane, "MS", 1...1, "move the virtual clock (only with weftd --virtual-time)"),
    ]

    private static let configuration: [CommandSpec] = [
        CommandSpec("config/show", .configuration, "", 0...0, "the running configuration"),
        CommandSpec("config/save", .configuration, "FILE", 1...1, "write the running configuration to a file"),
        CommandSpec(
            "config/load", .configuration, "FILE", 1...2, "make the running configuration that of a file",
            readsFile: 0),
        CommandSpec(
            "set", .configuration, "KEY=VALUE...", 1...any, "change settings of the whole switch",
            keys: GlobalSettings.keys),
        CommandSpec("get", .configuration, "[KEY]", 0...1, "settings of the whole switch", keys: GlobalSettings.keys),
    ]

    private static let process: [CommandSpec] = [
        CommandSpec("log/set", .process, "LEVEL", 1...1, "trace, debug, info, notice, warning, error or critical"),
        CommandSpec("version", .process, "", 0...0, "version of the switch"),
        CommandSpec("help", .process, "[COMMAND]", 0...1, "this list, or the usage of one command"),
        CommandSpec("list-commands", .process, "", 0...0, "names and usages"),
        CommandSpec("exit", .process, "", 0...0, "stop the switch"),
    ]

    /// Names that users of ovs-appctl have in their fingers and scripts.
    private static let openVSwitch: [CommandSpec] =
        [
            ("ofproto/trace", "trace"), ("bridge/dump-flows", "dump-flows"), ("dpctl/dump-flows", "dp/dump-flows"),
            ("dpctl/show", "dp/show"), ("upcall/show", "dp/show"), ("dpctl/del-flows", "dp/flush"),
            ("revalidator/purge", "dp/flush"), ("ofproto/list", "list-br"), ("dpif-netdev/pmd-stats-show", "pmd/stats"),
            ("dpif-netdev/pmd-stats-clear", "pmd/clear"), ("dpif-netdev/pmd-rxq-show", "pmd/show"),
        ].compactMap { name, original in
            own.first { $0.name == original }.map { CommandSpec(name, sameAs: $0) }
        } + [
            CommandSpec(
                "dpif/show", .openVSwitch, "", 0...0, "bridges and ports with their numbers, as ovs-appctl shows them"),
            CommandSpec(
                "dpif/dump-flows", .openVSwitch, "[-m] BR", 1...1, "megaflows of packets that came in through a bridge",
                options: ["-m", "--names"]),
            CommandSpec(
                "vlog/set", .openVSwitch, "[ANY:][console:]LEVEL", 1...1,
                "the same as log/set; there is one level for all"),
        ] + connectionNames

    private static let balancing: [CommandSpec] = [
        CommandSpec(
            "lb/add", .balancing, "SERVICE KEY=VALUE...", 2...any, "spread connections to an address over backends",
            keys: ServiceConfiguration.keys),
        CommandSpec(
            "lb/set", .balancing, "SERVICE[,SERVICE...] KEY=VALUE...", 2...any,
            "change a service, or several at once; connections go on",
            keys: ServiceConfiguration.keys),
        CommandSpec("lb/del", .balancing, "SERVICE", 1...1, "remove a service", options: ["--if-exists"]),
        CommandSpec(
            "lb/backend", .balancing,
            "add SERVICE BACKEND | drain SERVICE IP:PORT | activate SERVICE IP:PORT | weight SERVICE IP:PORT N | "
                + "del SERVICE IP:PORT",
            3...4,
            "add a backend; let it finish its connections; give it new ones again; change its weight; remove it with its "
                + "connections"),
        CommandSpec("lb/show", .balancing, "[SERVICE]", 0...1, "services and their backends"),
        CommandSpec(
            "lb/stats", .balancing, "[SERVICE]", 0...1, "connections, packets and bytes of services and backends"),
    ]

    private static let detail = ["-m", "--more", "-s", "--statistics"]

    private static let conntrack: [CommandSpec] = [
        CommandSpec(
            "ct/dump", .conntrack, "[-m] [-s] [zone=N] [TUPLE [REPLY-TUPLE]]", 0...3,
            "connections; -m adds both TCP states, -s packets, bytes and timeout", options: detail),
        CommandSpec(
            "ct/flush", .conntrack, "[zone=N] [TUPLE [REPLY-TUPLE]]", 0...3,
            "end connections: all, those of a zone, those that match a tuple such as ct_nw_src=10.0.0.1,ct_nw_proto=6"),
        CommandSpec(
            "ct/stats", .conntrack, "[zone=N] [TUPLE [REPLY-TUPLE]] [talkers=N]", 0...4,
            "connections by protocol, state and zone, counters, top talkers"),
        CommandSpec(
            "ct/limits", .conntrack, "[default=N] [zone=N,limit=M]... | zone=N[,N...] | del zone=N[,N...]", 0...any,
            "limits of zones, with counts; set them; remove them"),
        CommandSpec(
            "ct/timeouts", .conntrack, "[zone=N | name=NAME] [KEY=SECONDS...] | del [zone=N | name=NAME]", 0...any,
            "timeouts, under the names of CT_Timeout_Policy; set them; back to the default", keys: TimeoutSettings.keys),
        CommandSpec(
            "ct/set", .conntrack, "[KEY=VALUE...]", 0...any, "settings of connection tracking; change them",
            keys: TrackingSettings.keys),
    ]

    private static let connectionNames: [CommandSpec] = [
        CommandSpec(
            "dpctl/dump-conntrack", .openVSwitch, "[-m] [-s] [DP] [zone=N]", 0...2, "as ct/dump", options: detail),
        CommandSpec(
            "dpctl/flush-conntrack", .openVSwitch, "[DP] [zone=N] [TUPLE [REPLY-TUPLE]]", 0...4, "as ct/flush"),
        CommandSpec(
            "dpctl/ct-stats-show", .openVSwitch, "[-m] [DP] [zone=N] [verbose]", 0...3,
            "connections by protocol and state",
            options: ["-m", "--more"]),
        CommandSpec("dpctl/ct-get-nconns", .openVSwitch, "[DP]", 0...1, "number of connections"),
        CommandSpec("dpctl/ct-get-maxconns", .openVSwitch, "[DP]", 0...1, "as ct/set maxconns"),
        CommandSpec("dpctl/ct-set-maxconns", .openVSwitch, "[DP] N", 1...2, "as ct/set maxconns=N"),
        CommandSpec("dpctl/ct-get-limits", .openVSwitch, "[DP] [zone=N[,N...]]", 0...2, "as ct/limits"),
        CommandSpec(
            "dpctl/ct-set-limits", .openVSwitch, "[DP] [default=N] [zone=N,limit=M]...", 1...any, "as ct/limits"),
        CommandSpec("dpctl/ct-del-limits", .openVSwitch, "[DP] zone=N[,N...]", 1...2, "as ct/limits del"),
        CommandSpec("dpctl/ct-get-tcp-seq-chk", .openVSwitch, "[DP]", 0...1, "as ct/set tcp-seq-check"),
        CommandSpec("dpctl/ct-enable-tcp-seq-chk", .openVSwitch, "[DP]", 0...1, "as ct/set tcp-seq-check=on"),
        CommandSpec("dpctl/ct-disable-tcp-seq-chk", .openVSwitch, "[DP]", 0...1, "as ct/set tcp-seq-check=off"),
        CommandSpec("dpctl/ipf-set-enabled", .openVSwitch, "[DP] v4|v6", 1...2, "as ct/set ipf-v4=on"),
        CommandSpec("dpctl/ipf-set-disabled", .openVSwitch, "[DP] v4|v6", 1...2, "as ct/set ipf-v4=off"),
        CommandSpec("dpctl/ipf-set-min-frag", .openVSwitch, "[DP] v4|v6 BYTES", 2...3, "as ct/set min-frag-v4=BYTES"),
        CommandSpec("dpctl/ipf-set-max-nfrags", .openVSwitch, "[DP] N", 1...2, "as ct/set max-nfrags=N"),
        CommandSpec("dpctl/ipf-get-status", .openVSwitch, "[DP]", 0...1, "settings and counters of reassembly"),
    ]
}
