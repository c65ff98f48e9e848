// Changes to what has been written already.
extension ProgramBuilder {
    /// Makes what was written since `start` the body of a `clone`.
    public mutating func wrapInClone(from start: Int) {
        words.insert(Self.head(.clone, immediate: UInt32(words.count - start)), at: start)
    }

    /// If the program ends with a `clone`, puts its body in its place: nothing comes after it that could need the original.
    public mutating func unwrapLastClone() {
        var index = 0
        while let step = step(at: index) {
            let end = end(of: step)
            if step.op == .clone, end == words.count {
                words.remove(at: index)
            } else {
                index = end
            }
        }
    }

    private func step(at index: Int) -> ProgramStep? {
        words.withUnsafeBufferPointer { words in
            words.baseAddress.flatMap { ProgramStep($0, count: words.count, at: index) }
        }
    }

    /// Where the op and its bodies end.
    private func end(of step: ProgramStep) -> Int {
        switch step.op {
        case .clone: step.next + Int(step.immediate)
        case .checkLength:
            step.next + Int(words[step.operands] >> 32) + Int(words[step.operands] & 0xffff_ffff)
        default: step.next
        }
    }
}
