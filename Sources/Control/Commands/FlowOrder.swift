import Base
import Pipeline

/// In which order `dump-flows` shows flows: ovs-ofctl(8), --sort and --rsort. By table and falling priority if not said
/// otherwise.
struct FlowOrder {
    private let key: String
    private let isReversed: Bool
    private static let keys = ["priority", "table", "cookie", "n_packets", "n_bytes", "duration"]

    init(_ invocation: Invocation) throws(CommandError) {
        isReversed = invocation.has("--rsort")
        let named = invocation.options["--rsort"] ?? invocation.options["--sort"]
        key = named.map { $0.isEmpty ? "priority" : $0 } ?? ""
        guard key.isEmpty || Self.keys.contains(key) else {
            throw .refused(
                "--sort: unknown field \"\(key.echoed)\", expected one of \(Self.keys.joined(separator: ", "))")
        }
    }

    /// Equal ones stay in the order that they had.
    func sort(_ rules: inout [Rule], _ counters: Counters) {
        guard !key.isEmpty else { return }
        let values = rules.map { value($0, counters) }
        let order = rules.indices.sorted {
            isReversed ? (values[$1], $0) < (values[$0], $1) : (values[$0], $0) < (values[$1], $1)
        }
        rules = order.map { rules[$0] }
    }

    private func value(_ rule: Rule, _ counters: Counters) -> UInt64 {
        switch key {
        case "table": UInt64(rule.table)
        case "cookie": rule.cookie
        case "n_packets": counters.value(rule.counter).packets
        case "n_bytes": counters.value(rule.counter).bytes
        case "duration": UInt64.max - rule.created
        default: UInt64(rule.priority)
        }
    }
}
