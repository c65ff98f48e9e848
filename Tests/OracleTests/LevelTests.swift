import FlowCache
import FrameSupport
import Testing

/// The caches must not be seen: the same frames, commands and time through switches with all levels, with the megaflow
/// table alone and without any; the same frames out of every port, counters of every rule, drops.
///
/// Between the frames flows, groups, ports, mirrors and settings change, time passes, stations move: what a change does
/// not reach in the caches shows as a difference.
@Suite struct LevelTests {
    static var size: (runs: Int, rounds: Int) {
        #if DEBUG
            (3, 12)
        #else
            (36, 150)
        #endif
    }

    /// One frame at a time, with MAC and rule learning.
    @Test(arguments: 0..<size.runs) func oneByOne(_ number: Int) throws {
        try compare(number, hasEffects: true)
    }

    /// Bursts over several ports. Nothing is learned: within a burst, frames with an answer in the cache are looked up before
    /// others teach something.
    @Test(arguments: 0..<size.runs) func inBursts(_ number: Int) throws {
        try compare(number, hasEffects: false)
    }

    private func compare(_ number: Int, hasEffects: Bool) throws {
        let seed = SoundnessTests.seed &* 1000 &+ number
        let scenario = OracleScenario(seed: seed & Int.max, hasEffects: hasEffects, usesNormal: hasEffects)
        var story = LevelStory(seed: UInt64(truncatingIfNeeded: seed), hasEffects: hasEffects)
        let steps = story.steps(rounds: Self.size.rounds)
        let flowLimit = number % 3 == 2 ? 24 : 2000
        let levels: [FlowCacheConfiguration.Levels] = [.all, .megaflow]
        guard let failure = try firstDifference(scenario.lines, steps, levels, flowLimit: flowLimit) else { return }
        let until = Array(steps.prefix(failure.step + 1))
        func fails(_ setup: [[String]], _ steps: [LevelStep]) -> Bool {
            ((try? firstDifference(setup, steps, [failure.levels], flowLimit: flowLimit)) ?? nil) != nil
        }
        var few = minimised(until, tries: 300) { fails(scenario.lines, $0) }
        for i in few.indices {
            guard case .poll(let frames) = few[i] else { continue }
            let needed = minimised(frames, tries: 100) {
                fails(scenario.lines, few[..<i] + [.poll($0)] + few[(i + 1)...])
            }
            few[i] = .poll(needed)
        }
        let lines = minimised(scenario.lines, tries: 200) { fails($0, few) }
        let again = try firstDifference(lines, few, [failure.levels], flowLimit: flowLimit) ?? failure
        Issue.record(
            """
            seed \(seed), level \(failure.levels), flow limit \(flowLimit)
            \(lines.map { $0.joined(separator: " ") }.joined(separator: "\n"))
            \(few.map(\.text).joined(separator: "\n"))
            differs (- without caches, + with them):
            \(again.text)
            """)
    }
}

/// Frames, changes and time, out of a seed.
struct LevelStory {
    private var rules: OracleRules
    private var frames: OracleFrames
    private let hasEffects: Bool
    /// Frames that come again and again.
    private var common: [(String, [UInt8])] = []

    init(seed: UInt64, hasEffects: Bool) {
        rules = OracleRules(seed: seed ^ 0x1234)
        rules.hasEffects = hasEffects
        rules.usesNormal = hasEffects
        frames = OracleFrames(seed: seed)
        self.hasEffects = hasEffects
        for _ in 0..<40 { common.append(newFrame()) }
    }

    private mutating func newFrame() -> (String, [UInt8]) {
        let kind = frames.random.pick(FrameClass.allCases)
        return (frames.random.pick(OracleScenario.entries), frames.frame(kind))
    }

    private mutating func next() -> (String, [UInt8]) {
        guard frames.chance(85) else { return newFrame() }
        var (port, frame) = common[frames.random.below(common.count)]
        if frames.chance(20) { frame = frames.mutated(frame) }
        return (port, frame)
    }

    mutating func steps(rounds: Int) -> [LevelStep] {
        var steps: [LevelStep] = []
        for round in 0..<rounds {
            if hasEffects {
                for _ in 0..<14 {
                    let (port, frame) = next()
                    steps.append(.inject(port, frame))
                }
            } else {
                for _ in 0..<2 {
                    let count = 1 + frames.random.below(frames.chance(20) ? 60 : 14)
                    steps.append(.poll((0..<count).map { _ in next() }))
                }
            }
            for _ in 0..<rules.random.below(3) { steps.append(change()) }
            if round % 5 == 4 || round == rounds - 1 { steps.append(.check) }
        }
        return steps
    }

    private mutating func change() -> LevelStep {
        let table = rules.random.below(5)
        let port = rules.random.pick(["p1", "p2", "p3", "p4", "p5"])
        switch rules.random.below(24) {
        case 0...4: return .command(["add-flow", "br0", rules.flows(table: table, isPlain: rules.chance(20))[0]])
        case 5, 6:
            return .command([
                "mod-flows", "br0", "table=\(table),\(looseMatch()),actions=\(rules.actions(table: table))",
            ])
        case 7, 8: return .command(["del-flows", "br0", "table=\(table),\(looseMatch())"])
        case 9: return .command(["del-flows", "br0", rules.random.pick(["ip", "in_port=1", "ipv6", "arp", "mpls"])])
        case 10: return .command(["add-flow", "br1", "\(rules.match()),actions=output:\(1 + rules.random.below(3))"])
        case 11, 12: return .command(["mod-group", "--may-create", "br0", rules.group(1 + rules.random.below(5))])
        case 13: return .command(["del-groups", "br0", "group_id=\(1 + rules.random.below(5))"])
        case 14, 15: return .command(["set-port", port, "admin=\(rules.random.pick(["up", "down", "up"]))"])
        case 16:
            return .command([
                "mod-port", "br0", port,
                rules.random.pick(["no-flood", "flood", "no-forward", "forward", "no-receive", "receive", "receive"]),
            ])
        case 17:
            return .command(["set-port", port, rules.random.pick(["tag=1", "tag=2", "trunks=1,3", "trunks=", "tag="])])
        case 18: return .command(rules.random.pick([["fdb/flush", "br0"], ["fdb/flush"], ["dp/flush"]]))
        case 19: return .command(["set", "vlan-limit=\(rules.random.below(3))"])
        case 20: return .command(mirror())
        case 21:
            return .command(
                rules.chance(30)
                    ? ["del-port", port] : ["add-port", "br0", port, "type=null", "ofport=\(port.dropFirst())"])
        default:
            return .warp(
                UInt64(rules.random.pick([1, 50, 999, 1000, 2500, 3000, 5000, rules.chance(10) ? 310_000 : 12000])))
        }
    }

    private mutating func looseMatch() -> String {
        rules.random.pick(["ip", "in_port=2", "ipv6", "arp", "tcp", "dl_dst=02:00:00:00:00:01", "vlan_tci=0", "mpls"])
    }

    private mutating func mirror() -> [String] {
        rules.random.pick([
            ["add-mirror", "br0", "m0", "select-src-port=p1", "select-dst-port=p2", "output-port=p5"],
            ["add-mirror", "br0", "m1", "select-all=true", "select-vlan=1", "output-vlan=2"],
            ["del-mirror", "br0", "m0"], ["del-mirror", "br0", "m1"], ["del-mirror", "br0", "m0"],
        ])
    }
}
