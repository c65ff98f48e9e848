// Changes to what has been written already.
extension ProgramBuilder {
    /// Makes what was written since `start` the body of a `clone`.
    public mutating func wrapInClone(from start: Int) {
        words.insert(Self.head(.clone, immediate: UInt32(words.count - start)), at: start)
    }

    /// If the program ends with a `clone`, puts its body in its place: nothing comes after it that could need the original.
    public mutating func unwrapLastClone() {
        var index = 0
        while let (op, end) = step(at: index) {
            if op == .clone, end == words.count {
                words.remove(at: index)
            } else {
                index = end
            }
        }
    }

    /// The step at `index`, and where it ends, bodies included.
    private func step(at index: Int) -> (op: DatapathOp, end: Int)? {
        words.withUnsafeBufferPointer { words in
            guard let start = words.baseAddress, let step = ProgramStep(start, count: words.count, at: index) else {
                return nil
            }
            return (step.op, step.end(start))
        }
    }
}
