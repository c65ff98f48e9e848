import CLinux
import Flow

/// A match without its empty words. A `Match` has 1,280 bytes, of which most rules use less than a tenth; a hundred
/// thousand rules are kept in this form.
struct PackedMatch: Sendable {
    /// One bit for each of the words 0 to 63 of the mask that is not zero, then words 64 to 79.
    let low: UInt64
    let high: UInt64
    /// Key and mask of each word that is there.
    let words: [UInt64]

    init(_ match: Match) {
        var (low, high) = (UInt64(0), UInt64(0))
        for i in 0..<64 where match.mask.bits.words[unchecked: i] != 0 { low |= 1 &<< UInt64(i) }
        for i in 64..<FlowKey.wordCount where match.mask.bits.words[unchecked: i] != 0 { high |= 1 &<< UInt64(i &- 64) }
        self.low = low
        self.high = high
        let count = low.nonzeroBitCount + high.nonzeroBitCount
        words = [UInt64](unsafeUninitializedCapacity: 2 * count) { buffer, initialized in
            var at = 0
            for i in 0..<FlowKey.wordCount where match.mask.bits.words[unchecked: i] != 0 {
                buffer[at] = match.key.words[unchecked: i] & match.mask.bits.words[unchecked: i]
                buffer[at + 1] = match.mask.bits.words[unchecked: i]
                at += 2
            }
            initialized = 2 * count
        }
    }

    var unpacked: Match {
        var match = Match()
        var at = 0
        forEachWord { i in
            match.key.words[unchecked: i] = words[at]
            match.mask.bits.words[unchecked: i] = words[at + 1]
            at += 2
        }
        return match
    }

    private func forEachWord(_ body: (Int) -> Void) {
        var bits = low
        while bits != 0 {
            body(bits.trailingZeroBitCount)
            bits &= bits &- 1
        }
        bits = high
        while bits != 0 {
            body(64 &+ bits.trailingZeroBitCount)
            bits &= bits &- 1
        }
    }
}

extension PackedMatch: Hashable {}
