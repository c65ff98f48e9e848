import Base
import Flow

/// Writes down what a translation does, for `trace`: a tree of bridges, tables, actions and remarks.
///
/// The translator's hooks cost one comparison with nil while nobody looks.
final class TraceRecorder {
    enum Kind { case bridge, table, bucket, action, detail, warning, error }

    struct Node {
        var kind: Kind
        var text: String
        var children: [Int] = []
    }

    private let printer: FlowPrinter
    private(set) var nodes: [Node] = []
    private var roots: [Int] = []
    /// Copies of the packet that go back to the tables: the state that each waits in, the flow by then, the zone that
    /// it is tracked in.
    struct Fork {
        var id: UInt32
        var flow: FlowKey
        var zone: UInt16
        /// What tracking found out is forgotten before it comes back.
        var isUntracked = false
    }
    private(set) var forks: [Fork] = []
    /// Nodes that new ones go into.
    private var open: [Int] = []

    init(printer: FlowPrinter = FlowPrinter()) { self.printer = printer }

    private func add(_ kind: Kind, _ text: String) -> Int {
        nodes.append(Node(kind: kind, text: text))
        let new = nodes.count - 1
        if let parent = open.last { nodes[parent].children.append(new) } else { roots.append(new) }
        return new
    }

    func beginBridge(_ name: String) { open.append(add(.bridge, "bridge(\"\(name)\")")) }
    func endBridge() { _ = open.popLast() }

    func beginRule(_ rule: Rule, table: UInt8) {
        let number = table < 10 ? " \(table)" : "\(table)"
        open.append(add(.table, "\(number). \(describe(rule))"))
    }
    func endRule() { _ = open.popLast() }

    /// A lookup that found nothing.
    func miss(_ text: String, table: UInt8) {
        let number = table < 10 ? " \(table)" : "\(table)"
        let node = add(.table, "\(number). \(text)")
        open.append(node)
        action("drop")
        endRule()
    }

    /// Where the packet goes on once connection tracking has seen it.
    func freeze(_ fork: Fork, table: UInt8) {
        forks.append(fork)
        detail(
            "A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table \(table).")
    }

    func thaw(table: UInt8) {
        let node = add(.table, "thaw")
        nodes[node].children.append(nodes.count)
        nodes.append(Node(kind: .bucket, text: "Resuming from table \(table)"))
    }

    func beginActionSet() { open.append(add(.table, "--. Executing action set:")) }
    func beginBucket(_ id: UInt32) { open.append(add(.bucket, "bucket \(id)")) }

    func action(_ action: Action) { _ = add(.action, printer.text([action])) }
    func action(_ text: String) { _ = add(.action, text) }
    func detail(_ text: String) { _ = add(.detail, text) }
    func warning(_ text: String) { _ = add(.warning, text) }
    func error(_ text: String) { _ = add(.error, text) }

    private func describe(_ rule: Rule) -> String {
        let match = printer.text(rule.match)
        let cookie = rule.cookie == 0 ? "" : ", cookie 0x\(String(rule.cookie, radix: 16))"
        return "\(match.isEmpty ? "" : match + ", ")priority \(rule.priority)\(cookie)"
    }

    /// The tree as text, in the layout of `ofproto/trace`.
    var text: String {
        var out = ""
        write(roots, 0, &out)
        return out
    }

    private func write(_ list: [Int], _ level: Int, _ out: inout String) {
        for (i, index) in list.enumerated() {
            let node = nodes[index]
            if node.kind == .bridge { out += "\n" }
            let isNested = i + 1 < list.count || node.kind != .bridge && node.kind != .table
            // The last table of a list continues it (`goto_table`), so it does not go further in.
            let depth = level + (isNested ? 1 : 0)
            let indent = String(repeating: " ", count: depth * 4)
            switch node.kind {
            case .detail: out += "\(indent) -> \(node.text)\n"
            case .warning: out += "\(indent) >> \(node.text)\n"
            case .error: out += "\(indent) >>>> \(node.text) <<<<\n"
            case .bridge: out += "\(indent)\(node.text)\n\(indent)\(String(repeating: "-", count: node.text.count))\n"
            case .table, .bucket, .action: out += "\(indent)\(node.text)\n"
            }
            write(node.children, depth + (isNested ? 1 : 0), &out)
        }
    }
}

extension Translator {
    /// Tells the tracer, if there is one.
    @inline(__always) func trace(_ body: (TraceRecorder) -> Void) {
        if let tracer { body(tracer) }
    }
}
