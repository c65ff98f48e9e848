import CLinux

/// Which parts of the configuration changed, and when: what caches ask to know whether an answer still holds.
///
/// Time is counted in changes: the `generation`. Beside it stands, for each of the 64 bits of `Dependencies`, the generation
/// at which the bit was last touched. An answer computed at generation g holds as long as none of its bits was touched
/// after g. There is no history that could run over, and nothing ever has to be flushed.
///
/// Every thread may touch (workers do when they learn a MAC address); it takes no lock. A bit's entry is raised first and the
/// generation last, so whoever reads a generation also finds the bits that led to it.
public final class ChangeLog: @unchecked Sendable {
    /// Word 0: generation. From word 8, one for each bit.
    @usableFromInline let words: UnsafeMutablePointer<UInt64>
    @usableFromInline static var firstBit: Int { 8 }

    public init() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 72 * 8, alignment: 64)
        words = memory.bindMemory(to: UInt64.self, capacity: 72)
        words.initialize(repeating: 0, count: 72)
        words[0] = 1
    }

    deinit { words.deallocate() }

    /// Number of changes so far, from 1. Read it before the state that an answer is computed from.
    @inlinable @inline(__always) public var generation: UInt64 { weft_atomic_load_acquire(words) }

    /// Says that what `dependencies` name has changed. Call it when readers can see the change.
    public func touch(_ dependencies: Dependencies) {
        guard !dependencies.isEmpty else { return }
        while true {
            let seen = weft_atomic_load_acquire(words)
            var bits = dependencies.rawValue
            while bits != 0 {
                weft_atomic_max(words + Self.firstBit + bits.trailingZeroBitCount, seen &+ 1)
                bits &= bits &- 1
            }
            // Someone else's change came between: the entries might be older than the generation that says they are known.
            if weft_atomic_compare_exchange(words, seen, seen &+ 1) { return }
        }
    }

    /// All that was touched after `generation`.
    public func touchedSince(_ generation: UInt64) -> Dependencies {
        var result: UInt64 = 0
        for bit in 0..<64 where weft_atomic_load(words + Self.firstBit + bit) > generation {
            result |= 1 &<< UInt64(bit)
        }
        return Dependencies(rawValue: result)
    }

    /// Whether any of `dependencies` was touched after `generation`.
    @inlinable public func wasTouched(_ dependencies: Dependencies, since generation: UInt64) -> Bool {
        var bits = dependencies.rawValue
        while bits != 0 {
            if weft_atomic_load(words + Self.firstBit + bits.trailingZeroBitCount) > generation { return true }
            bits &= bits &- 1
        }
        return false
    }
}
