import Base
import Flow
import Foundation
import Testing

/// One line of `Resources/lines.tsv`.
struct RecordedLine: CustomTestStringConvertible, Sendable {
    enum Outcome: String { case accepted, refused, dropped }

    var version: OpenFlowVersion
    var outcome: Outcome
    var line: String
    var shown: String
    var shownIn15: String

    var testDescription: String { "OpenFlow\(version.rawValue) \(line)" }

    static func load(_ name: String) -> [RecordedLine] {
        guard let url = Bundle.module.url(forResource: "Resources/\(name)", withExtension: "tsv"),
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return [] }
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { row in
            var columns = row.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            while columns.count < 5 { columns.append("") }
            guard let number = Int(columns[0]), let version = OpenFlowVersion(rawValue: number),
                let outcome = Outcome(rawValue: columns[1])
            else { return nil }
            return RecordedLine(
                version: version, outcome: outcome, line: columns[2], shown: columns[3], shownIn15: columns[4])
        }
    }
}

/// A switch with ports p1 to p8, no group and no meter.
func testContext(_ version: OpenFlowVersion = .openFlow15) -> FlowContext {
    var context = FlowContext(version: version)
    context.portNumber = { name in
        name.hasPrefix("p") ? UInt32(name.dropFirst()).map { PortNumber($0) } : nil
    }
    context.groupExists = { _ in false }
    context.meterExists = { _ in false }
    return context
}

func shown(_ flow: FlowSpec, _ version: OpenFlowVersion) -> String {
    let printer = FlowPrinter(FlowContext(version: version))
    return printer.text(flow.flags) + printer.text(flow.match, priority: flow.priority, actions: flow.actions)
}

@Suite struct SyntaxTests {
    @Test func resourceIsThere() { #expect(RecordedLine.load("lines").count > 100) }

    @Test(arguments: RecordedLine.load("lines"))
    func recordedLine(_ recorded: RecordedLine) throws {
        let parser = FlowParser(testContext(recorded.version))
        switch recorded.outcome {
        case .accepted:
            let flow = try parser.parse(recorded.line)
            #expect(shown(flow, recorded.version) == recorded.shown)
            if !recorded.shownIn15.isEmpty { #expect(shown(flow, .openFlow15) == recorded.shownIn15) }
        case .refused, .dropped:
            #expect(throws: FlowSyntaxError.self) { try parser.parse(recorded.line) }
        }
    }
}
