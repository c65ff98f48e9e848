import Base
import Flow

// The loop over a list of actions. Each action is one function in the file of its aspect.

extension Translator {
    /// Runs a list of actions on the flow, until its end, `exit`, or a failure.
    func run(_ code: Unmanaged<ActionCode>, inBucket: Bool) {
        let (steps, count) = code._withUnsafeGuaranteedRef { ($0.steps, $0.count) }
        if count == 0 {
            note(.ruleDrop)
            trace { $0.action("drop") }
        }
        let listIsLast = isLast
        defer { isLast = listIsLast }
        for i in 0..<count {
            if hasExited || failure != nil { return }
            trace { $0.action(code.takeUnretainedValue().actions[i]) }
            isLast = listIsLast && i + 1 == count && actionSet.count == actionSetFloor
            if run(steps + i, code, i, inBucket: inBucket) == .endsList { return }
        }
    }

    enum Continuation { case next, endsList }

    /// One step. `code` and `i` say where it comes from.
    func run(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ i: Int, inBucket: Bool) -> Continuation
    {
        if innerIsUnknown, needsInner(step) { revealInner() }
        switch step.pointee.op {
        case .assign: assign(step)
        case .assignTCI: assignTCI(step)
        case .assignLabel: assignLabel(step)
        case .assignInPort: assignInPort(step)
        case .deleteOption: deleteOption(step.pointee.target)
        case .move: move(step)
        case .push: push(step.pointee.source)
        case .pop: pop(step.pointee.target)
        case .writeMetadata: writeRegister(Slot.metadata.word, step.pointee.high, step.pointee.highMask)
        case .pushVLAN: pushVLAN(UInt16(truncatingIfNeeded: step.pointee.number))
        case .popVLAN: popVLAN()
        case .pushMPLS: pushMPLS(UInt16(truncatingIfNeeded: step.pointee.number))
        case .popMPLS: popMPLS(UInt16(truncatingIfNeeded: step.pointee.number))
        case .decTTL: return decrementTTL(messages: step.pointee.number)
        case .decMPLSTTL: return decrementMPLSTTL()
        case .setQueue: setQueue(step.pointee.number)
        case .popQueue: popQueue()
        case .resubmit: resubmit(step)
        case .gotoTable: visit(table: UInt8(truncatingIfNeeded: step.pointee.number), inPort: inPortNumber)
        case .exit: hasExited = true
        case .clone: clone(child(code, step))
        case .writeActions: write(actions: child(code, step))
        case .clearActions: clearActionSet()
        case .checkLength: return checkLength(step, code, rest: i + 1)
        default: return runOutput(step, code, i, inBucket: inBucket)
        }
        return .next
    }

    private func runOutput(
        _ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ i: Int, inBucket: Bool
    ) -> Continuation {
        switch step.pointee.op {
        case .output: output(to: PortNumber(step.pointee.number))
        case .outputTruncated: outputTruncated(to: PortNumber(step.pointee.number), step.pointee.second)
        case .outputRegister: outputRegister(step.pointee.source)
        case .controller:
            controller(reason: step.pointee.number, meter: step.pointee.second)
            if step.pointee.flag { pause() }
        case .meter: meter(step.pointee.number)
        case .enqueue: enqueue(to: PortNumber(step.pointee.number), queue: step.pointee.second)
        case .group: if !visitGroup(step.pointee.number) { return .endsList }
        case .bundle: bundle(step, code, i)
        case .multipath: multipath(step, code, i)
        case .learn: learn(step, code, i)
        case .finTimeout:
            finTimeout(
                idle: UInt16(truncatingIfNeeded: step.pointee.number),
                hard: UInt16(truncatingIfNeeded: step.pointee.second))
        case .conntrack: conntrack(step, code)
        case .conntrackClear: conntrackClear()
        case .drop: note(.ruleDrop)
        default: break
        }
        return .next
    }

    private func child(_ code: Unmanaged<ActionCode>, _ step: UnsafePointer<ActionStep>) -> Unmanaged<ActionCode> {
        code._withUnsafeGuaranteedRef { .passUnretained($0.children[Int(step.pointee.child)]) }
    }

    private func resubmit(_ step: UnsafePointer<ActionStep>) {
        if step.pointee.flag, !hasOriginalTuple {
            return trace { $0.error("resubmit(ct) with non-tracked or non-IP packet!") }
        }
        let number = step.pointee.number == 255 ? table : UInt8(truncatingIfNeeded: step.pointee.number)
        let port = PortNumber(step.pointee.second)
        visit(table: number, inPort: port == .inPort ? inPortNumber : port, byOriginalTuple: step.pointee.flag)
    }
}
