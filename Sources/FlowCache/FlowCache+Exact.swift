import Base
import Flow
import Memory

// The exact cache: 64-byte entries, each key with two places to lie in.
//
//     word 0     hash of the key
//     word 1     megaflow number 32 | tuple number 32
//     word 2-6   core words of the key under the tuple's mask
//     word 7     serial of the megaflow; 0 in an unused entry

extension FlowCache {
    /// How often an entry may push another to its other place before somebody is thrown out.
    private static var maximumMoves: Int { 8 }

    /// Enters a key, moving others between their two places to find room, as in cuckoo hashing: so a table that is half
    /// full loses nobody. With all places taken by live entries, one in sixteen newcomers displaces another; the
    /// rest stay out, so that a flood of new flows does not wash the live ones away.
    mutating func enterExact(_ key: UnsafePointer<UInt64>, _ hash: UInt64, _ flow: UInt32) {
        let tuple = records[Int(flow)].tuple
        guard tuples[Int(tuple)].furtherCount == 0 else { return }
        let first = exact + Int(hash & exactMask) * Self.exactWords
        let second = exact + Int(hash >> 32 & exactMask) * Self.exactWords
        if first[0] == hash || !isLive(first) {
            fill(first, key, hash, flow, tuple)
        } else if second[0] == hash || !isLive(second) || makeRoom(second) {
            fill(second, key, hash, flow, tuple)
        } else if makeRoom(first) {
            fill(first, key, hash, flow, tuple)
        } else if random.next() & 15 == 0 {
            fill(first, key, hash, flow, tuple)
        }
    }

    private func isLive(_ entry: UnsafeMutablePointer<UInt64>) -> Bool {
        entry[7] != 0 && records[Int(UInt32(truncatingIfNeeded: entry[1] >> 32))].serial == entry[7]
    }

    /// Tries to move the entry to its other place, and if need be that one's occupant on. True if `entry` is free now.
    private mutating func makeRoom(_ entry: UnsafeMutablePointer<UInt64>) -> Bool {
        var path: InlineArray<8, UnsafeMutablePointer<UInt64>> = InlineArray(repeating: entry)
        var at = entry
        for step in 0..<Self.maximumMoves {
            path[step] = at
            let other = otherPlace(at)
            if !isLive(other) {
                // Shift everyone one place on, last first.
                var to = other
                for i in stride(from: step, through: 0, by: -1) {
                    to.update(from: path[i], count: Self.exactWords)
                    to = path[i]
                }
                entry[7] = 0
                return true
            }
            for i in 0...step where path[i] == other { return false }
            at = other
        }
        return false
    }

    private func otherPlace(_ entry: UnsafeMutablePointer<UInt64>) -> UnsafeMutablePointer<UInt64> {
        let first = exact + Int(entry[0] & exactMask) * Self.exactWords
        return first == entry ? exact + Int(entry[0] >> 32 & exactMask) * Self.exactWords : first
    }

    private func fill(
        _ entry: UnsafeMutablePointer<UInt64>, _ key: UnsafePointer<UInt64>, _ hash: UInt64, _ flow: UInt32,
        _ tuple: UInt32
    ) {
        let core = tuples[Int(tuple)].core
        entry[0] = hash
        entry[1] = UInt64(flow) << 32 | UInt64(tuple)
        entry[2] = key[0] & core.0
        entry[3] = key[1] & core.1
        entry[4] = key[2] & core.2
        entry[5] = key[3] & core.3
        entry[6] = key[4] & core.4
        entry[7] = records[Int(flow)].serial
    }

    /// Forgets every entry of the exact and signature caches (`dp/flush`).
    mutating func clearFrontCaches() {
        exact.update(repeating: 0, count: (Int(exactMask) + 1) * Self.exactWords)
        signatures.initializeMemory(as: UInt8.self, repeating: 0, count: signatureMemory.byteCount)
    }
}
