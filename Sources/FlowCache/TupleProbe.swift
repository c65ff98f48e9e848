/// What the search through the tuples needs of each, side by side in order of rank: 48 bytes instead of a tuple's own lines.
@usableFromInline
struct TupleProbe {
    /// Mask of words 3 and 4: addresses and ports, where tuples mostly differ.
    @usableFromInline var word3: UInt64
    @usableFromInline var word4: UInt64
    @usableFromInline var tags: UnsafeMutablePointer<UInt8>
    @usableFromInline var groupMask: UInt32
    @usableFromInline var stem: UInt32
    @usableFromInline var maskHash: UInt64
    @usableFromInline var number: UInt32

    init(_ tuple: borrowing Tuple, number: UInt32) {
        word3 = tuple.core.3
        word4 = tuple.core.4
        tags = tuple.tags
        groupMask = tuple.groupMask
        stem = tuple.stem
        maskHash = tuple.maskHash
        self.number = number
    }

    /// Hash of a key under the tuple's mask, given the hashes of all stems.
    @inlinable @inline(__always)
    func hash(_ key: UnsafePointer<UInt64>, _ stemHashes: UnsafePointer<UInt64>) -> UInt32 {
        Tuple.hash(stemHashes[Int(stem)], key[3] & word3, key[4] & word4)
    }

    /// The tags at which a search for this hash begins.
    @inlinable @inline(__always)
    func group(_ hash: UInt32) -> UnsafeMutablePointer<UInt8> {
        tags + Int(hash & groupMask) &* Tuple.groupSize
    }
}

extension Tuple {
    /// Whether the masks are the same but for words 3 and 4.
    func sharesStem(_ other: borrowing Tuple) -> Bool {
        guard core.0 == other.core.0, core.1 == other.core.1, core.2 == other.core.2,
            furtherCount == other.furtherCount
        else { return false }
        for i in 0..<2 * furtherCount where further[i] != other.further[i] { return false }
        return true
    }
}
