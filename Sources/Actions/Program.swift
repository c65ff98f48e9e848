import Base

/// Builds a datapath program. Kept by the translator and emptied for each packet, so its storage is reused.
public struct ProgramBuilder: Sendable {
    public internal(set) var words: [UInt64] = []

    public init() { words.reserveCapacity(256) }

    public mutating func removeAll() { words.removeAll(keepingCapacity: true) }

    public var isEmpty: Bool { words.isEmpty }

    public var hasOnlyMeters: Bool { words.allSatisfy { $0 &>> 56 == UInt64(DatapathOp.meter.rawValue) } }

    @inlinable public static func head(_ op: DatapathOp, flags: UInt8 = 0, operands: Int = 0, immediate: UInt32 = 0)
        -> UInt64
    {
        UInt64(op.rawValue) &<< 56 | UInt64(flags) &<< 48 | UInt64(operands) &<< 32 | UInt64(immediate)
    }

    public mutating func append(_ op: DatapathOp, immediate: UInt32 = 0, flags: UInt8 = 0) {
        words.append(Self.head(op, flags: flags, immediate: immediate))
    }

    public mutating func append(_ op: DatapathOp, immediate: UInt32 = 0, flags: UInt8 = 0, _ operands: UInt64...) {
        words.append(Self.head(op, flags: flags, operands: operands.count, immediate: immediate))
        words.append(contentsOf: operands)
    }

    /// Opens a body (of `clone`); close it with `end`.
    public mutating func beginClone() -> Int {
        words.append(Self.head(.clone))
        return words.count - 1
    }

    public mutating func endClone(_ start: Int) {
        words[start] = Self.head(.clone, immediate: UInt32(words.count - 1 - start))
    }

    public mutating func truncate(to count: Int) { words.removeLast(words.count - count) }
}

/// A step of a program under inspection.
public struct ProgramStep {
    public let op: DatapathOp
    public let flags: UInt8
    public let immediate: UInt32
    /// Index of the first operand.
    public let operands: Int
    /// Index of the next step.
    public let next: Int
}

extension ProgramStep {
    /// The step at `index`, nil behind the end.
    public init?(_ words: UnsafePointer<UInt64>, count: Int, at index: Int) {
        guard index < count, let op = DatapathOp(code: UInt8(words[index] >> 56)) else { return nil }
        self.op = op
        flags = UInt8(truncatingIfNeeded: words[index] >> 48)
        immediate = UInt32(truncatingIfNeeded: words[index])
        operands = index + 1
        next = index + 1 + Int(UInt16(truncatingIfNeeded: words[index] >> 32))
    }

    /// Where the step ends, bodies included.
    public func end(_ words: UnsafePointer<UInt64>) -> Int {
        switch op {
        case .clone: next + Int(immediate)
        case .checkLength: next + Int(words[operands] >> 32) + Int(words[operands] & 0xffff_ffff)
        default: next
        }
    }

    /// The first `track` op of a program, in whatever body.
    public static func firstTrack(_ words: UnsafePointer<UInt64>, count: Int) -> ProgramStep? {
        var index = 0
        while let step = ProgramStep(words, count: count, at: index) {
            if step.op == .track { return step }
            index = step.next
        }
        return nil
    }

    /// Calls `body` with each state that a program sends frames back to, bodies of other ops included.
    public static func forEachRecirculation(_ words: UnsafePointer<UInt64>, count: Int, _ body: (UInt32) -> Void) {
        var index = 0
        while let step = ProgramStep(words, count: count, at: index) {
            if step.op == .recirculate { body(step.immediate) }
            index = step.next
        }
    }
}
