import Base
import Flow

/// What the control thread needs to know of a list of actions without walking it each time.
struct RuleTraits: OptionSet, Sendable {
    let rawValue: UInt8
    static let usesGroups = RuleTraits(rawValue: 1)
    static let usesMeters = RuleTraits(rawValue: 2)
    /// Has a `learn` with `delete_learned`.
    static let ownsLearned = RuleTraits(rawValue: 4)
    /// Has a `fin_timeout`, so it can time out although it was made without timeouts.
    static let lowersTimeouts = RuleTraits(rawValue: 8)
    static let conjunctive = RuleTraits(rawValue: 16)
    static let goesToTable = RuleTraits(rawValue: 32)
    /// Names a `tun_metadata` field.
    static let usesTunnelOptions = RuleTraits(rawValue: 64)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ actions: [Action]) {
        self = actions.tunnelOptions == 0 ? [] : .usesTunnelOptions
        for action in actions {
            switch action {
            case .output, .drop, .setField: break
            case .group: insert(.usesGroups)
            case .meter: insert(.usesMeters)
            case .learn(let learn): if learn.deleteLearned { insert(.ownsLearned) }
            case .finTimeout: insert(.lowersTimeouts)
            case .conjunction: insert(.conjunctive)
            case .gotoTable: insert(.goesToTable)
            case .clone(let nested), .writeActions(let nested): formUnion(RuleTraits(nested))
            case .conntrack(let conntrack): formUnion(RuleTraits(conntrack.actions))
            default: break
            }
        }
    }
}

extension Sequence<Action> {
    /// Calls `body` for each action, those inside `clone`, `write_actions` and `ct(exec(...))` included.
    func forEachFlattened(_ body: (Action) -> Void) {
        for action in self {
            body(action)
            switch action {
            case .clone(let nested), .writeActions(let nested): nested.forEachFlattened(body)
            case .conntrack(let conntrack): conntrack.actions.forEachFlattened(body)
            default: break
            }
        }
    }

    var groups: Set<UInt32> {
        var found: Set<UInt32> = []
        forEachFlattened { if case .group(let id) = $0 { found.insert(id) } }
        return found
    }

    /// Those that instructions name; `controller(meter_id=...)` does not hold on to its meter.
    var meters: Set<UInt32> {
        var found: Set<UInt32> = []
        forEachFlattened { if case .meter(let id) = $0 { found.insert(id) } }
        return found
    }

    /// Whether `out_port=port` selects such a rule: outputs that name the port.
    func sends(to port: PortNumber) -> Bool {
        var found = false
        forEachFlattened { action in
            switch action {
            case .output(port), .outputTruncated(port, _), .enqueue(port, _): found = true
            case .controller: if port == .controller { found = true }
            default: break
            }
        }
        return found
    }
}
