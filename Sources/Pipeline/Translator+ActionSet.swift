import Base
import Flow

// The action set: what `write_actions` collects on the way through the tables, run at the end in an order of its own.

/// One list that `write_actions` added. Referred to unretained: the rule lives as long as the translation.
struct ActionSetEntry {
    var code: Unmanaged<ActionCode>
}

extension Translator {
    func write(actions code: Unmanaged<ActionCode>) {
        let (steps, count) = code._withUnsafeGuaranteedRef { ($0.steps, $0.count) }
        // The field `actset_output` has the port of the set's output action, as long as there is no group.
        for i in 0..<count where !actionSetHasGroup {
            if steps[i].setClass == .output {
                let port = steps[i].op == .output ? steps[i].number : PortNumber.controller.rawValue
                writePlain(Slot.actionSetOutput, UInt64(port))
            } else if steps[i].op == .group {
                writePlain(Slot.actionSetOutput, UInt64(PortNumber.unset.rawValue))
                actionSetHasGroup = true
            }
        }
        actionSet.append(ActionSetEntry(code: code))
    }

    func clearActionSet() {
        actionSet.removeLast(actionSet.count - actionSetFloor)
        writePlain(Slot.actionSetOutput, UInt64(PortNumber.unset.rawValue))
        actionSetHasGroup = false
    }

    /// Runs the action set and empties it. A table that is resubmitted to from here writes into a new set, which is never run.
    func runActionSet() {
        guard actionSet.count > actionSetFloor else { return }
        let start = runningSets.count
        for i in actionSetFloor..<actionSet.count { runningSets.append(actionSet[i]) }
        actionSet.removeLast(actionSet.count - actionSetFloor)
        if !hasExited, failure == nil {
            trace { $0.beginActionSet() }
            let ownIsLast = isLast
            isLast = true
            runSet(from: start, to: runningSets.count)
            isLast = ownIsLast
            trace { $0.endRule() }
        }
        runningSets.removeLast(runningSets.count - start)
    }

    /// Runs a bucket, which is an action set too.
    func runAsSet(_ code: Unmanaged<ActionCode>) {
        let start = runningSets.count
        runningSets.append(ActionSetEntry(code: code))
        runSet(from: start, to: start + 1, inBucket: true)
        runningSets.removeLast()
    }

    private func runSet(from start: Int, to end: Int, inBucket: Bool = false) {
        guard let last = finalAction(start, end) else {
            note(.actionSetWithoutOutput)
            return trace { $0.action("drop") }
        }
        let setIsLast = isLast
        defer { isLast = setIsLast }
        isLast = false
        for slot in 0..<ActionSetClass.slotCount {
            var found: (entry: Int, step: Int)?
            for entry in start..<end {
                let (steps, count) = steps(entry)
                for i in 0..<count where Int(steps[i].setClass.rawValue) == slot { found = (entry, i) }
            }
            if let found, !runStep(found.entry, found.step, inBucket) { return }
        }
        for entry in start..<end {
            let (steps, count) = steps(entry)
            for i in 0..<count where steps[i].setClass == .set { if !runStep(entry, i, inBucket) { return } }
        }
        isLast = setIsLast
        _ = runStep(last.entry, last.step, inBucket)
    }

    private func steps(_ entry: Int) -> (UnsafeMutablePointer<ActionStep>, Int) {
        runningSets[entry].code._withUnsafeGuaranteedRef { ($0.steps, $0.count) }
    }

    /// False if nothing more is to be run.
    private func runStep(_ entry: Int, _ i: Int, _ inBucket: Bool) -> Bool {
        if hasExited || failure != nil { return false }
        let code = runningSets[entry].code
        trace { $0.action(code.takeUnretainedValue().actions[i]) }
        return run(steps(entry).0 + i, code, i, inBucket: inBucket) == .next
    }

    /// Without one of these at its end, a set does nothing.
    private func finalAction(_ start: Int, _ end: Int) -> (entry: Int, step: Int)? {
        var found: (entry: Int, step: Int)?
        var highest = ActionSetClass.conntrack.rawValue
        for entry in start..<end {
            let (steps, count) = steps(entry)
            for i in 0..<count where steps[i].setClass.isFinal && steps[i].setClass.rawValue >= highest {
                found = (entry, i)
                highest = steps[i].setClass.rawValue
            }
        }
        return found
    }
}
