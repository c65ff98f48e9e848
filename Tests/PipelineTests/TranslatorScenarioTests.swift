import Base
import Flow
import Foundation
import Pipeline
import Testing

/// The scenarios, which were recorded from Open vSwitch, through translator and executor alone. What a cache would answer is
/// compared on the way: an earlier answer whose mask covers a packet must be the packet's own.
@Suite struct TranslatorScenarioTests {
    static let families = ["conjunction", "groups", "l2l4", "malformed", "misc", "normal", "trace"]

    static func load(_ family: String) throws -> [[String: Any]] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Scenarios/\(family).json")
        let value = try JSONSerialization.jsonObject(with: Data(contentsOf: path))
        return value as? [[String: Any]] ?? []
    }

    @Test(arguments: families) func recorded(_ family: String) throws {
        for scenario in try Self.load(family) {
            let name = scenario["name"] as? String ?? "?"
            do {
                try play(scenario)
            } catch {
                Issue.record("\(name): \(error)")
            }
        }
    }

    func play(_ scenario: [String: Any]) throws {
        let device = TranslatorSwitch()
        let version = OpenFlowVersion(name: scenario["openflow"] as? String ?? "") ?? .openFlow15
        for line in scenario["setup"] as? [String] ?? [] { try device.command(line) }
        for (bridge, flows) in scenario["flows"] as? [String: [String]] ?? [:] {
            for flow in flows { try device.changeFlows(["add-flow", bridge, flow], version) }
        }
        for (number, step) in (scenario["steps"] as? [[String: Any]] ?? []).enumerated() {
            if let wrong = try play(step, device) {
                throw TranslatorSwitch.Refused(description: "step \(number) \(describe(step)): \(wrong)")
            }
        }
        try compareCounters(scenario, device)
    }

    private func describe(_ step: [String: Any]) -> String {
        var shown = step
        shown["out"] = nil
        return String("\(shown)".prefix(600))
    }

    private func play(_ step: [String: Any], _ device: TranslatorSwitch) throws -> String? {
        if let words = step["trace"] as? [String] {
            let text = try device.trace(words[0], words[1], words.count > 2 ? words[2] : nil)
            return differs(text, step)
        }
        if let left = step["warp"] as? Int {
            let tick = step["tick"] as? Int ?? 1000
            var left = left
            while left > 0 {
                device.warp(UInt64(min(left, tick)))
                left -= tick
            }
        } else if let line = step["run"] as? String {
            try device.command(line)
        } else if let port = step["in"] as? String, let frame = step["frame"] as? String {
            let got = try device.inject(port, TranslatorSwitch.bytes(frame))
            return try differs(got, step["out"] as? [String: [String]] ?? [:], frame).map {
                try "\($0)\n\(device.trace(port, frame))"
            }
        }
        return nil
    }

    private func differs(_ got: [String: [[UInt8]]], _ wanted: [String: [String]], _ sent: String) -> String? {
        for port in Set(got.keys).union(wanted.keys).sorted() {
            let here = (got[port] ?? []).map { $0.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
            let there = (wanted[port] ?? []).map { $0 == "=" ? sent : $0 }
            if here != there { return "\(port): got \(here), expected \(there)" }
        }
        return nil
    }

    private func differs(_ text: String, _ step: [String: Any]) -> String? {
        var lines: [String: String] = [:]
        for line in text.split(separator: "\n") {
            if let colon = line.firstRange(of: ": ") {
                lines[String(line[..<colon.lowerBound])] = String(line[colon.upperBound...])
            }
        }
        guard let final = lines["Final flow"], let actions = lines["Datapath actions"] else {
            return "incomplete: \(text)"
        }
        let wanted = step["final"] as? String ?? ""
        let shown = final == "unchanged" ? step["start"] as? String ?? "" : final
        if shown.split(separator: ",").sorted() != wanted.split(separator: ",").sorted() {
            return "final flow \(shown), expected \(wanted)\n\(text)"
        }
        if (actions == "drop") != (step["drop"] as? Bool ?? false) { return "datapath actions \(actions)\n\(text)" }
        return nil
    }

    private func compareCounters(_ scenario: [String: Any], _ device: TranslatorSwitch) throws {
        for (bridge, wanted) in scenario["packets"] as? [String: [String: Int]] ?? [:] {
            var have: [String: Int] = [:]
            for case let table? in device.model.state.bridge(named: bridge)?.tables ?? [] {
                table.forEachRule { rule in
                    let count = device.model.counters.value(rule.counter).packets
                    have["0x" + String(rule.cookie, radix: 16), default: 0] += Int(count)
                }
            }
            for (cookie, packets) in wanted where have[cookie, default: 0] != packets {
                throw TranslatorSwitch.Refused(
                    description: "flow \(cookie) of \(bridge) counts \(have[cookie] ?? 0) packets, expected \(packets)")
            }
        }
    }
}
