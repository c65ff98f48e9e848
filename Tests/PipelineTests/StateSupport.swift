import Base
import Flow
import Pipeline
import Testing

/// A seeded source of randomness, the same on every machine.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 2 &+ 1 }

    mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

extension Match {
    /// A match on some fields, whole.
    static func fields(inPort: UInt64? = nil, ethDst: UInt64? = nil, ipv4Dst: (UInt64, UInt64)? = nil) -> Match {
        var match = Match()
        if let inPort {
            match.key[.inPort] = inPort
            match.mask.setExact(.inPort)
        }
        if let ethDst {
            match.key[.ethDst] = ethDst
            match.mask.setExact(.ethDst)
        }
        if let (value, mask) = ipv4Dst {
            match.key[.ethType] = 0x800
            match.mask.setExact(.ethType)
            match.key[.ipv4Dst] = value & mask
            match.mask[.ipv4Dst] = mask
        }
        return match
    }
}

extension Rule {
    /// All that a user can see of a rule, but for times and counts.
    var summary: String {
        var text = "table=\(table) priority=\(priority) cookie=\(cookie) idle=\(idleTimeout) hard=\(hardTimeout)"
        text += " importance=\(importance) flags=\(flags.rawValue) created=\(created) slot=\(counter)"
        for slot in [Slot.inPort, .ethDst, .ethType, .ipv4Dst] where match.mask[slot] != 0 {
            text += " \(slot.word).\(slot.shift)=\(match.key[slot])/\(match.mask[slot])"
        }
        return text + " \(actions)"
    }
}

extension SwitchModel {
    /// Everything in each of the two copies, which have to be equal.
    func snapshot(_ location: SourceLocation = #_sourceLocation) -> [String] {
        var copies: [[String]] = []
        change([]) { state in copies.append(state.lines) }
        #expect(copies[0] == copies[1], sourceLocation: location)
        return copies[0]
    }

    /// The rules of a bridge, by table and falling priority.
    func rules(_ bridge: String = "br0") -> [Rule] {
        var rules: [Rule] = []
        for case let table? in state.bridge(named: bridge)?.tables ?? [] { table.forEachRule { rules.append($0) } }
        return rules.sorted { ($0.table, $1.priority, $0.summary) < ($1.table, $0.priority, $1.summary) }
    }

    /// A bridge without flows.
    static func withBridge(now: UInt64 = 1000) throws -> SwitchModel {
        let model = SwitchModel()
        var settings = BridgeSettings()
        settings.failMode = .secure
        try model.addBridge("br0", settings, now: now)
        return model
    }
}

extension SwitchState {
    var lines: [String] {
        var lines: [String] = []
        for case let bridge? in bridges {
            lines.append("bridge \(bridge.name) \(bridge.settings) \(bridge.ports.sorted { $0.key < $1.key })")
            lines.append(contentsOf: bridge.mirrors.map { "mirror \($0)" })
            lines.append(contentsOf: bridge.meters.values.map { "meter \($0)" }.sorted())
            for group in bridge.groups.values.sorted(by: { $0.id < $1.id }) {
                lines.append("group \(group.id) \(group.kind) \(group.selection) \(group.buckets)")
            }
            var rules: [String] = []
            for case let table? in bridge.tables { table.forEachRule { rules.append($0.summary) } }
            lines.append(contentsOf: rules.sorted())
        }
        for case let port? in ports { lines.append("port \(port)") }
        return lines
    }
}
