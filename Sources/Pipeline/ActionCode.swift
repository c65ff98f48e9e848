import Base
import Conntrack
import Flow

/// A list of actions, prepared for running: one step for each action, in an array of trivial values.
///
/// An `Action` is an enum with indirect payloads, good to parse, compare and print. Walking such values for each new
/// flow would spend most of the time on reference counts and on finding out again where a field lies. So each rule and
/// each bucket compiles its actions once, when it is made: fields become words and masks, and what has many parts
/// (`learn`, `bundle`) stays in the list of actions, where `actions[i]` belongs to `steps[i]`.
public final class ActionCode: @unchecked Sendable {
    /// What the steps were made of.
    public let actions: [Action]
    /// The lists inside `clone` and `write_actions`, which name them by number.
    let children: [ActionCode]
    let steps: UnsafeMutablePointer<ActionStep>
    let count: Int
    /// For the actions inside `ct(exec(...))`: what the `ct` asks for, zone and values of mark and label aside.
    let request: TrackRequest
    /// Has an `output` with a length.
    let truncates: Bool

    public convenience init(_ actions: [Action]) { self.init(actions, request: TrackRequest()) }

    init(_ actions: [Action], request: TrackRequest) {
        self.actions = actions
        count = actions.count
        steps = .allocate(capacity: max(count, 1))
        var children: [ActionCode] = []
        for (i, action) in actions.enumerated() {
            (steps + i).initialize(to: ActionStep(action, &children))
        }
        self.children = children
        self.request = request.marking(UnsafeBufferPointer(start: steps, count: count))
        truncates = actions.contains {
            if case .outputTruncated = $0 { true } else { false }
        }
    }

    deinit { steps.deallocate() }
}

/// One action, ready to run.
struct ActionStep: Sendable {
    enum Op: UInt8, Sendable {
        case output, outputTruncated, outputRegister, controller, enqueue, group, bundle, drop
        case resubmit, gotoTable, clone, exit, conjunction
        case writeActions, clearActions, writeMetadata
        /// Bits of one or two words.
        case assign
        /// Bits of the outer TCI; value and mask as in the key.
        case assignTCI
        /// Bits of the outermost label stack entry.
        case assignLabel
        case assignInPort
        /// Takes a tunnel option away.
        case deleteOption
        case move, push, pop
        case pushVLAN, popVLAN, pushMPLS, popMPLS
        case decTTL, decMPLSTTL
        case setQueue, popQueue
        case multipath, checkLength, learn, finTimeout
        case conntrack, conntrackClear
        case meter
        case nothing
    }

    var op: Op
    /// A yes or no that depends on the op: push a tag where there is none, `resubmit(ct)`, 16-bit number.
    var flag = false
    /// Where it stands in the order of the action set.
    var setClass: ActionSetClass = .invalid
    /// Number of the list inside.
    var child: UInt16 = 0
    /// Table, EtherType, port, queue, length.
    var number: UInt32 = 0
    var second: UInt32 = 0
    var target = FieldRun.none
    var source = FieldRun.none
    /// For `assign`: in the place that they have in the words of the key; `high` is for `target.word`, `low` for the word
    /// behind it, and only `high` counts unless the field is wide.
    var high: UInt64 = 0
    var low: UInt64 = 0
    var highMask: UInt64 = 0
    var lowMask: UInt64 = 0

    init(_ op: Op) { self.op = op }
}

/// The order in which an action set is executed (OpenFlow 1.5.1, 5.6 "Action Set", as Open vSwitch has it).
enum ActionSetClass: UInt8, Sendable {
    // Only the last of each is kept.
    case popVLAN, popMPLS, pushMPLS, pushVLAN, decTTL, decMPLSTTL
    // Of all these, one is executed: the last of the highest class. Without any, nothing is.
    case conntrack, conntrackClear, resubmit, output, group
    // All are kept, in order.
    case set
    case invalid

    static var slotCount: Int { 6 }
    var isSlot: Bool { rawValue < 6 }
    var isFinal: Bool { rawValue >= ActionSetClass.conntrack.rawValue && rawValue <= ActionSetClass.group.rawValue }
}
