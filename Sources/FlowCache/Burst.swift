import Flow
import Memory

/// The packets that go through the caches together, and what is known about each, in arrays side by side so that the
/// stages can run ahead with their prefetches. Owned by a `FlowCache`; valid until its next burst.
public struct Burst {
    /// 80 words for each packet; words from `FlowKey.coreWords` on are zero unless the frame needed them.
    public let keys: UnsafeMutablePointer<UInt64>
    public let packets: UnsafeMutablePointer<Packet>
    /// Hash of the key for the exact and signature caches.
    @usableFromInline let hashes: UnsafeMutablePointer<UInt64>
    /// Action block found, nil while there is none.
    @usableFromInline let blocks: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>
    /// Candidate entry of the exact cache.
    @usableFromInline let candidates: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>
    /// Whether further words of the key were written and must be cleared before the next use.
    @usableFromInline let extended: UnsafeMutablePointer<Bool>
    /// For an unresolved packet, the megaflow that matches but may not hold any more; `UInt32.max` if there is none.
    @usableFromInline let suspects: UnsafeMutablePointer<UInt32>
    /// Positions of packets that the caches had no answer for, in order of arrival.
    public let unresolved: UnsafeMutablePointer<UInt16>

    /// Words of a key that packets can differ in: beyond the first five they are cleared when they were written.
    @usableFromInline let keyWords: Int

    init(keyWords: Int) {
        self.keyWords = keyWords
        let n = FlowCacheLimits.maximumBurst
        keys = .allocate(capacity: n * FlowKey.wordCount)
        keys.initialize(repeating: 0, count: n * FlowKey.wordCount)
        packets = .allocate(capacity: n)
        hashes = .allocate(capacity: n)
        blocks = .allocate(capacity: n)
        candidates = .allocate(capacity: n)
        extended = .allocate(capacity: n)
        extended.initialize(repeating: false, count: n)
        suspects = .allocate(capacity: n)
        unresolved = .allocate(capacity: n)
    }

    func deallocate() {
        keys.deallocate()
        packets.deallocate()
        hashes.deallocate()
        blocks.deallocate()
        candidates.deallocate()
        extended.deallocate()
        suspects.deallocate()
        unresolved.deallocate()
    }

    @inlinable public func key(_ i: Int) -> UnsafeMutablePointer<UInt64> { keys + i &* FlowKey.wordCount }

    /// What to do with packet `i`; nil if there is no answer for it.
    @inlinable @inline(__always) public func block(_ i: Int) -> ActionBlock? {
        guard let words = blocks[i] else { return nil }
        return ActionBlock(words)
    }

    /// Room for the key of packet `i`, its further words zero.
    @inlinable @inline(__always) public func freshKey(_ i: Int) -> UnsafeMutablePointer<UInt64> {
        let key = key(i)
        if extended[i] {
            (key + FlowKey.coreWords).update(repeating: 0, count: keyWords &- FlowKey.coreWords)
            extended[i] = false
        }
        return key
    }
}
