/// Eight entries of the signature cache in one cache line: 16 bits of hash and the megaflow number for each.
///
/// A quarter of the line is unused; packing ten would make the entry's place a division.
enum SignatureBucket {
    static var entries: Int { 8 }
    static var byteCount: Int { 64 }

    @inline(__always) static func signature(_ hash: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: hash &>> 48) | 1
    }

    /// Numbers of megaflows whose signature fits, one after the other: `next` starts at 0 and ends at `entries`.
    @inline(__always)
    static func find(_ bucket: UnsafeMutableRawPointer, _ signature: UInt16, _ next: inout Int) -> UInt32 {
        let signatures = bucket.assumingMemoryBound(to: UInt16.self)
        let flows = (bucket + 16).assumingMemoryBound(to: UInt32.self)
        while next < entries {
            let i = next
            next &+= 1
            if signatures[i] == signature { return flows[i] }
        }
        return UInt32.max
    }

    /// Enters a megaflow: over an entry of the same signature, else a free one, else `victim` (0 ..< 8).
    @inline(__always)
    static func insert(_ bucket: UnsafeMutableRawPointer, _ signature: UInt16, _ flow: UInt32, victim: Int) {
        let signatures = bucket.assumingMemoryBound(to: UInt16.self)
        let flows = (bucket + 16).assumingMemoryBound(to: UInt32.self)
        var place = victim
        for i in 0..<entries where signatures[i] == signature || signatures[i] == 0 {
            place = i
            break
        }
        signatures[place] = signature
        flows[place] = flow
    }
}
