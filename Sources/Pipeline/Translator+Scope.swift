import Actions
import Base
import Flow

// Actions that work on a copy of the packet: `clone`, buckets, other bridges. What they change must not be seen behind
// them.
//
// The flow is saved before and put back after. The packet itself need not be copied if nothing was written to it, or if
// what was written has a known value in the flow that comes back: the next commit writes that. Only when
// a field is to be again what was received, and that is not in the mask, the ops of the copy go into a `clone` op.

/// Flow and base as they were: four runs of key words.
struct SavedFlow {
    let words: UnsafeMutablePointer<UInt64>
    var isPristine = true
    var isPending = false
    var innerIsUnknown = false
    var poppedLabels = 0
    var changes = 0
    var alterations = 0
    var isTracked = false
    /// Where the ops of the copy begin.
    var programStart = 0
}

extension Translator {
    /// Saves flow and base. Calls of `save` and `restore` nest.
    func save() {
        let count = FlowKey.wordCount
        if frameCount == frames.count {
            frames.append(SavedFlow(words: .allocate(capacity: 4 * count)))
        }
        // Flow, fresh, base and its fresh lie side by side.
        frames[frameCount].words.update(from: flow, count: 4 * count)
        frames[frameCount].isPristine = isPristine
        frames[frameCount].isPending = isPending
        frames[frameCount].innerIsUnknown = innerIsUnknown
        frames[frameCount].poppedLabels = poppedLabels
        frames[frameCount].changes = changes
        frames[frameCount].alterations = alterations
        frames[frameCount].isTracked = isTracked
        frames[frameCount].programStart = translation.program.words.count
        frameCount += 1
    }

    /// Puts back what the last `save` saved.
    func restore() {
        frameCount -= 1
        let frame = frames[frameCount]
        let count = FlowKey.wordCount
        let wrote = changes != frame.changes
        flow.update(from: frame.words, count: 2 * count)
        isPristine = frame.isPristine
        innerIsUnknown = frame.innerIsUnknown
        poppedLabels = frame.poppedLabels
        isTracked = frame.isTracked
        guard wrote else {
            base.update(from: frame.words + 2 * count, count: 2 * count)
            isPending = frame.isPending
            return
        }
        isPending = true
        if translation.program.words.count > frame.programStart,
            alterations != frame.alterations || mustClone()
        {
            translation.program.wrapInClone(from: frame.programStart)
            hasClones = true
            base.update(from: frame.words + 2 * count, count: 2 * count)
            isPending = frame.isPending
        }
    }

    /// Whether the packet has lost something that the flow has as received, of unknown value.
    private func mustClone() -> Bool {
        var lost: UInt64 = 0
        for word in 0..<FlowKey.packetWords {
            // Tags that were written have been read, and so have labels.
            let unread =
                switch word {
                case 0, 4: ~mask[word] & ~0xffff
                case 5: ~mask[word] & 0xffff_ffff
                case 14: 0 as UInt64
                case 15: ~mask[word] & 0xffff_ffff
                default: ~mask[word]
                }
            lost |= fresh[word] & ~baseFresh[word] & unread
        }
        lost |= fresh[Slot.pktMark.word] & ~baseFresh[Slot.pktMark.word] & ~mask[Slot.pktMark.word]
        return lost != 0
    }

    /// `clone(...)`.
    func clone(_ code: Unmanaged<ActionCode>) {
        // What can be told from the length of the frame has to see it as it will be.
        let isApart = !isLast && code._withUnsafeGuaranteedRef { $0.truncates }
        if isApart { commit() }
        let own = (truncation, truncationHeaders, committedHeaders)
        save()
        let sets = enterSets(copying: true)
        run(code, inBucket: false)
        runActionSet()
        leaveSets(sets)
        restore()
        if isApart { (truncation, truncationHeaders, committedHeaders) = own }
    }

    /// Stack and action set of whoever is not inside the copy.
    struct Sets {
        var stackFloor: Int
        var stackBytes: Int
        var actionSetFloor: Int
        var stackCount: Int
        var actionSetCount: Int
    }

    /// Gives a copy of the packet its own stack and action set: another bridge begins with empty ones, a `clone` with what
    /// there is, which it also executes.
    func enterSets(copying: Bool) -> Sets {
        let own = Sets(
            stackFloor: stackFloor, stackBytes: stackBytes, actionSetFloor: actionSetFloor, stackCount: stack.count,
            actionSetCount: actionSet.count)
        if copying {
            for i in own.stackFloor..<own.stackCount { stack.append(stack[i]) }
            for i in own.actionSetFloor..<own.actionSetCount { actionSet.append(actionSet[i]) }
        } else {
            stackBytes = 0
        }
        stackFloor = own.stackCount
        actionSetFloor = own.actionSetCount
        return own
    }

    func leaveSets(_ own: Sets) {
        stack.removeLast(stack.count - own.stackCount)
        actionSet.removeLast(actionSet.count - own.actionSetCount)
        stackFloor = own.stackFloor
        stackBytes = own.stackBytes
        actionSetFloor = own.actionSetFloor
    }

    /// A copy that nothing comes after need not be one.
    func removeLastClone() {
        if hasClones { translation.program.unwrapLastClone() }
    }
}
