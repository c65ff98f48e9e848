import Base
import Dataplane
import FlowCache
import FrameSupport

/// What happens to a switch in the test of levels.
enum LevelStep {
    case command([String])
    case warp(UInt64)
    /// One frame, by command: what it causes is done before the next.
    case inject(String, [UInt8])
    /// Frames waiting in receive queues, taken in bursts.
    case poll([(String, [UInt8])])
    /// Counters of rules and groups, drops, balance, buffers.
    case check

    var text: String {
        switch self {
        case .command(let words): words.joined(separator: " ")
        case .warp(let milliseconds): "time/warp \(milliseconds)"
        case .inject(let port, let frame): "inject \(port) \(hex(frame))"
        case .poll(let frames): "poll" + frames.map { "\n    \($0.0) \(hex($0.1))" }.joined()
        case .check: "check"
        }
    }
}

/// One switch of the test of levels with its ports.
final class LevelRun {
    let sw: OracleSwitch
    private var ports: [(name: String, port: CollectingPort, source: FeedingPort)] = []

    init(_ levels: FlowCacheConfiguration.Levels, flowLimit: Int) throws {
        sw = try OracleSwitch(levels, flowLimit: flowLimit)
    }

    /// What can be seen of a step: frames by port, texts.
    func run(_ step: LevelStep) -> String {
        switch step {
        case .command(let words):
            let accepted = sw.accepts(words)
            if accepted, words[0] == "add-port", words.contains("type=null") { connect(words[2]) }
            if accepted, words[0] == "del-port" { ports.removeAll { $0.name == words.last } }
            return (accepted ? "" : "refused ") + sent()
        case .warp(let milliseconds):
            try? sw.device.warp(milliseconds)
            return sent()
        case .inject(let port, let frame):
            guard let index = sw.index(port) else { return "no port" }
            do { try sw.device.inject([frame], port: index) } catch { return "\(error)" }
            return sent()
        case .poll(let frames):
            for (name, frame) in frames { ports.first { $0.name == name }?.source.enqueue(frame) }
            while sw.device.poll() > 0 {}
            return sent()
        case .check: return figures()
        }
    }

    private func connect(_ name: String) {
        guard let index = sw.index(name) else { return }
        let port = CollectingPort(name: name)
        guard (try? sw.device.divert(index, to: port)) != nil else { return }
        let source = FeedingPort(name: name)
        sw.device.feed(index, from: source)
        ports.append((name, port, source))
    }

    private func sent() -> String {
        var text = ""
        for (name, port, _) in ports {
            for frame in port.take() { text += "\(name) \(hex(frame))\n" }
        }
        return text
    }

    private func figures() -> String {
        sw.device.settle()
        var text = ""
        for bridge in ["br0", "br1", "br2"] {
            for command in ["dump-flows", "dump-group-stats", "fdb/show"] {
                text += (try? sw.run([command, bridge])) ?? ""
            }
        }
        let drops = sw.device.workerDrops.map { "\($0.key) \($0.value)\n" }.sorted()
        text += drops.joined()
        text += sw.device.balance.isEven ? "" : "the balance is not even: \(sw.device.balance)\n"
        text += sw.device.buffersInUse == 0 ? "" : "\(sw.device.buffersInUse) buffers in use\n"
        return text
    }
}

/// The first step at which a level differs from the switch without caches, and in what.
func firstDifference(
    _ setup: [[String]], _ steps: [LevelStep], _ levels: [FlowCacheConfiguration.Levels], flowLimit: Int
) throws -> (step: Int, levels: FlowCacheConfiguration.Levels, text: String)? {
    let reference = try LevelRun(.none, flowLimit: flowLimit)
    let others = try levels.map { ($0, try LevelRun($0, flowLimit: flowLimit)) }
    for (number, step) in (setup.map { LevelStep.command($0) } + steps).enumerated() {
        let expected = reference.run(step)
        if expected.contains("the balance is not even") || expected.contains("buffers in use") {
            return (number - setup.count, .none, expected)
        }
        for (levels, run) in others {
            let found = run.run(step)
            guard found != expected else { continue }
            let before = Set(expected.split(separator: "\n"))
            let after = Set(found.split(separator: "\n"))
            let text =
                before.subtracting(after).map { "- \($0)" }.joined(separator: "\n") + "\n"
                + after.subtracting(before).map { "+ \($0)" }.joined(separator: "\n")
            return (number - setup.count, levels, text)
        }
    }
    return nil
}
