import Actions
import Base
import Flow

extension Translator {
    /// `check_pkt_larger`: what follows in the list is translated twice, once for long and once for short frames, into the
    /// two bodies of one op. The list ends here; what the callers still have to run sees the flow as it was before.
    func checkLength(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, rest: Int) -> Continuation {
        let hadExited = hasExited
        commit()
        save()
        let sets = enterSets(copying: true)
        let headers = committedHeaders
        let start = translation.program.beginCheckLength(threshold: step.pointee.number)
        let ownIsLast = isLast
        runBody(step, code, rest, isLarger: true)
        let exited = hasExited
        restart()
        committedHeaders = headers
        hasExited = hadExited
        translation.program.otherwiseCheckLength(start)
        runBody(step, code, rest, isLarger: false)
        translation.program.endCheckLength(start)
        isLast = ownIsLast
        hasExited = exited
        leaveSets(sets)
        restart()
        committedHeaders = headers
        frameCount -= 1
        return .endsList
    }

    private func runBody(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ rest: Int, isLarger: Bool)
    {
        trace { $0.detail(isLarger ? "if the packet is larger:" : "if it is not:") }
        write(step.pointee.target, isLarger ? 1 : 0)
        let start = translation.program.words.count
        let (steps, count) = code._withUnsafeGuaranteedRef { ($0.steps, $0.count) }
        for i in rest..<count {
            if hasExited || failure != nil { break }
            trace { $0.action(code.takeUnretainedValue().actions[i]) }
            isLast = i + 1 == count && actionSet.count == actionSetFloor
            if run(steps + i, code, i, inBucket: false) == .endsList { break }
        }
        if failure == nil { runActionSet() }
        if translation.program.words.count == start { translation.program.drop(firstReason ?? .noOutput) }
    }

    /// Flow and base as the innermost `save` has them: the bodies run on copies.
    private func restart() {
        let frame = frames[frameCount - 1]
        flow.update(from: frame.words, count: 4 * FlowKey.wordCount)
        isPristine = frame.isPristine
        isPending = frame.isPending
        innerIsUnknown = frame.innerIsUnknown
        poppedLabels = frame.poppedLabels
    }
}
