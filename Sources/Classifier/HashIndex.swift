/// A multimap from 32-bit hashes to 32-bit values in one flat block: open addressing, linear probing, eight bytes a slot.
///
/// A slot holds hash and value + 1, zero if free. The home of a hash is its lower bits, and the hash is at hand in the
/// slot, so growing and removing (by moving later entries back, without tombstones) never look at what the values
/// stand for. At most half of the slots are used.
struct HashIndex: ~Copyable {
    private(set) var slots: UnsafeMutablePointer<UInt64>
    private(set) var indexMask: Int
    private(set) var count = 0

    init() {
        slots = .allocate(capacity: 4)
        slots.initialize(repeating: 0, count: 4)
        indexMask = 3
    }

    deinit { slots.deallocate() }

    /// Value of the first entry with this hash for which `isWanted` says yes.
    @inline(__always)
    func first(_ hash: UInt32, where isWanted: (UInt32) -> Bool) -> UInt32? {
        var at = Int(hash) & indexMask
        while true {
            let slot = slots[at]
            if slot == 0 { return nil }
            if UInt32(truncatingIfNeeded: slot &>> 32) == hash {
                let value = UInt32(truncatingIfNeeded: slot) &- 1
                if isWanted(value) { return value }
            }
            at = (at &+ 1) & indexMask
        }
    }

    @inline(__always)
    func contains(_ hash: UInt32) -> Bool { first(hash) { _ in true } != nil }

    /// Adds an entry, whether or not there is one with this hash.
    mutating func insert(_ hash: UInt32, _ value: UInt32) {
        if count &* 2 > indexMask { grow() }
        place(UInt64(hash) &<< 32 | UInt64(value &+ 1))
        count &+= 1
    }

    /// Replaces one value of a hash by another.
    mutating func replace(_ hash: UInt32, _ old: UInt32, by new: UInt32) {
        if let at = position(hash, old) { slots[at] = UInt64(hash) &<< 32 | UInt64(new &+ 1) }
    }

    mutating func remove(_ hash: UInt32, _ value: UInt32) {
        guard var hole = position(hash, value) else { return }
        count &-= 1
        var at = hole
        while true {
            at = (at &+ 1) & indexMask
            let slot = slots[at]
            if slot == 0 { break }
            // An entry may move back to the hole unless its home lies behind the hole.
            let home = Int(slot &>> 32) & indexMask
            if (at &- home) & indexMask >= (at &- hole) & indexMask {
                slots[hole] = slot
                hole = at
            }
        }
        slots[hole] = 0
    }

    /// Counts one more or less for a hash. Maps used this way hold one entry a hash, whose value is the count; it goes
    /// with the last.
    mutating func count(_ hash: UInt32, add: Bool) {
        guard let old = first(hash, where: { _ in true }) else {
            if add { insert(hash, 1) }
            return
        }
        if add {
            replace(hash, old, by: old &+ 1)
        } else if old > 1 {
            replace(hash, old, by: old &- 1)
        } else {
            remove(hash, old)
        }
    }

    private func position(_ hash: UInt32, _ value: UInt32) -> Int? {
        let wanted = UInt64(hash) &<< 32 | UInt64(value &+ 1)
        var at = Int(hash) & indexMask
        while slots[at] != 0 {
            if slots[at] == wanted { return at }
            at = (at &+ 1) & indexMask
        }
        return nil
    }

    private mutating func place(_ slot: UInt64) {
        var at = Int(slot &>> 32) & indexMask
        while slots[at] != 0 { at = (at &+ 1) & indexMask }
        slots[at] = slot
    }

    private mutating func grow() {
        let old = slots
        let oldCount = indexMask &+ 1
        slots = .allocate(capacity: oldCount &* 2)
        slots.initialize(repeating: 0, count: oldCount &* 2)
        indexMask = oldCount &* 2 &- 1
        for i in 0..<oldCount where old[i] != 0 { place(old[i]) }
        old.deallocate()
    }
}
