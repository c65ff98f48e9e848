import Base
import Control
import Dataplane
import Flow
import FlowCache
import FrameSupport
import Logging
import Pipeline

/// A switch in virtual time that is never started: all work is done by the caller's thread. Commands are those of the
/// control socket.
final class OracleSwitch {
    struct Refused: Error, CustomStringConvertible { let description: String }

    let device: Switch
    private let commands: SwitchCommands
    private let registry = CommandRegistry()

    init(_ levels: FlowCacheConfiguration.Levels = .none, exactEntries: Int = 256, flowLimit: Int = 1000) throws {
        let log = Logger(label: "oracle") { _ in SwiftLogNoOpLogHandler() }
        var options = Switch.Options()
        options.isTimeVirtual = true
        options.cache.levels = levels
        options.cache.exactEntries = exactEntries
        options.cache.signatureEntries = 4 * exactEntries
        options.cache.flowLimit = flowLimit
        device = try Switch(options, log: log)
        commands = SwitchCommands(device, log: log)
        commands.bind(to: registry)
    }

    @discardableResult
    func run(_ words: [String]) throws -> String {
        let response = registry.execute(Request(method: words[0], parameters: Array(words.dropFirst()), id: 1))
        if let error = response.error { throw Refused(description: "\(words.joined(separator: " ")): \(error)") }
        guard case .string(let text) = response.result else { return response.result.text }
        return text
    }

    /// Whether a command was taken.
    @discardableResult
    func accepts(_ words: [String]) -> Bool { (try? run(words)) != nil }

    func index(_ port: String) -> PortIndex? { device.model.state.port(named: port)?.index }
}

/// A configuration as command lines, out of a seed. What is refused (a missing prerequisite) is refused by every switch.
struct OracleScenario {
    var lines: [[String]] = []
    let vlanLimit: Int
    /// Ports through which frames come.
    static let entries = ["p1", "p2", "p3", "p4", "p5", "q2", "r1"]

    init(seed: Int, hasEffects: Bool = false, usesNormal: Bool = true) {
        vlanLimit = [1, 2, 0][seed % 3]
        let fragments = ["normal", "normal", "nx-match", "drop"][seed / 3 % 4]
        lines.append(["set", "vlan-limit=\(vlanLimit)"])
        lines.append(["add-br", "br0", "fail-mode=secure", "local=none", "frags=\(fragments)"])
        lines.append(["add-br", "br1", "fail-mode=secure", "local=none"])
        lines.append(["add-br", "br2", "fail-mode=\(usesNormal ? "standalone" : "secure")", "local=none"])
        if !usesNormal { lines.append(["add-flow", "br2", "actions=all"]) }
        addPorts(seed)
        var rules = OracleRules(seed: UInt64(seed) &* 31 &+ 1000)
        rules.hasEffects = hasEffects
        rules.usesNormal = usesNormal
        for number in 1...5 { lines.append(["add-group", "br0", rules.group(number)]) }
        // Many rules make masks wide; with few, it is the actions that have to widen them.
        let isPlain = seed % 4 == 1
        for _ in 0..<(isPlain ? 16 : 15 + rules.random.below(50)) {
            for flow in rules.flows(table: rules.random.below(5), isPlain: isPlain) {
                lines.append(["add-flow", "br0", flow])
            }
        }
        if rules.chance(70) {
            lines.append(["add-flow", "br0", "priority=0,actions=\(usesNormal ? "NORMAL" : "flood")"])
        }
        for _ in 0..<6 {
            let actions = rules.random.pick([
                "output:2,in_port", "output:2", usesNormal ? "NORMAL" : "all", "dec_ttl,output:3",
            ])
            lines.append(["add-flow", "br1", "\(rules.match()),actions=\(actions)"])
        }
        lines.append(["add-flow", "br1", "priority=0,actions=mod_dl_src:02:00:00:00:00:09,output:2,output:3"])
    }

    private mutating func addPorts(_ seed: Int) {
        let tunnel =
            seed % 2 == 0 ? ["vlan-mode=dot1q-tunnel", "tag=3", "cvlans=1,2"] : ["vlan-mode=native-tagged", "tag=1"]
        let ports: [(String, String, [String])] = [
            ("br0", "p1", ["ofport=1"]), ("br0", "p2", ["ofport=2", "tag=1", "priority-tags=if-nonzero"]),
            ("br0", "p3", ["ofport=3", "trunks=1,2"]),
            ("br0", "p4", ["ofport=4", "vlan-mode=native-untagged", "tag=2"]), ("br0", "p5", ["ofport=5"] + tunnel),
            ("br1", "q2", ["ofport=2"]), ("br2", "r1", ["ofport=1"]),
        ]
        for (bridge, port, options) in ports { lines.append(["add-port", bridge, port, "type=null"] + options) }
        for (bridge, port, peer, number) in [
            ("br0", "p6", "q1", 6), ("br1", "q1", "p6", 1), ("br1", "q3", "r2", 3), ("br2", "r2", "q3", 2),
        ] { lines.append(["add-port", bridge, port, "type=patch", "peer=\(peer)", "ofport=\(number)"]) }
    }
}
