import Base

/// Maglev's table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4).
///
/// Every backend has a permutation of the table's places, made of two hashes of its name: `offset + j * skip`. In turn, each
/// takes the next place of its permutation that is still free, until none is. So places are shared out almost evenly, and when
/// a backend comes or goes most places stay whose they were. Weights: in each round a backend collects its weight over the
/// greatest one, and takes a place for each whole that it has.
///
/// The hashes have no secret and the name is the backend's address and port: every switch that has the same backends makes the
/// same table, whatever the order in which they are listed, so that several of them can share one VIP.
public enum Maglev {
    /// The "small" table of the paper; good for some hundreds of backends.
    public static var standardSize: Int { 65537 }
    /// Sizes must be prime, so that every skip gives a permutation; the paper's large one is 655,373.
    public static var sizes: ClosedRange<Int> { 251...5_000_011 }

    public static func isPrime(_ number: Int) -> Bool {
        guard number > 3 else { return number > 1 }
        guard number % 2 != 0 else { return false }
        var divisor = 3
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 2
        }
        return true
    }

    package struct Member {
        package var address: UInt128
        package var port: UInt16
        /// Above 0.
        package var weight: UInt32

        package init(address: UInt128, port: UInt16, weight: UInt32) {
            self.address = address
            self.port = port
            self.weight = weight
        }
    }

    /// For each entry, the place of its backend in `members`.
    package static func table(_ members: [Member], size: Int) -> [UInt16] {
        guard !members.isEmpty, size > 1 else { return [] }
        var table = [UInt16](repeating: .max, count: size)
        // In an order of its own: lists that differ in nothing else must give one table.
        let order = members.indices.sorted {
            (members[$0].address, members[$0].port) < (members[$1].address, members[$1].port)
        }
        let largest = members.reduce(1) { max($0, UInt64($1.weight)) }
        let permutations = order.map { permutation(members[$0], size: size) }
        var next = permutations.map(\.offset)
        let skip = permutations.map(\.skip)
        // It has collected its k-th whole in round ceil(k * largest / weight). So who takes the next place is looked up in a heap
        // of rounds, and within a round of turns: going through rounds in which nobody takes any would take very long where one
        // weight is much greater than the others.
        var taken = [UInt64](repeating: 1, count: order.count)
        func round(_ i: Int) -> UInt64 {
            let weight = UInt64(members[order[i]].weight)
            return (taken[i] &* largest &+ weight &- 1) / weight
        }
        var heap = MinHeap(order.indices.map { round($0) << 16 | UInt64($0) })
        for _ in 0..<size {
            let i = Int(truncatingIfNeeded: (heap.first ?? 0) & 0xffff)
            while table[next[i]] != .max {
                next[i] += skip[i]
                if next[i] >= size { next[i] -= size }
            }
            table[next[i]] = UInt16(truncatingIfNeeded: order[i])
            taken[i] += 1
            heap.replaceFirst(with: round(i) << 16 | UInt64(i))
        }
        return table
    }

    package static func permutation(_ member: Member, size: Int) -> (offset: Int, skip: Int) {
        (
            Int(hash(member, 0x9e37_79b9_7f4a_7c15) % UInt64(size)),
            Int(hash(member, 0xc2b2_ae3d_27d4_eb4f) % UInt64(size - 1)) + 1
        )
    }

    private static func hash(_ member: Member, _ salt: UInt64) -> UInt64 {
        BalancerHash.mix(
            UInt64(truncatingIfNeeded: member.address >> 64), UInt64(truncatingIfNeeded: member.address),
            UInt64(member.port) ^ salt)
    }
}

/// Hashes that are the same in every switch.
enum BalancerHash {
    @inline(__always) static func mix(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        var h = (a ^ 0x9e37_79b9_7f4a_7c15) &* 0xbf58_476d_1ce4_e5b9
        h = (h ^ h &>> 29 ^ b) &* 0x94d0_49bb_1331_11eb
        h = (h ^ h &>> 31 ^ c) &* 0xbf58_476d_1ce4_e5b9
        h = (h ^ h &>> 27) &* 0x94d0_49bb_1331_11eb
        return h ^ h &>> 31
    }

    /// A place among `count`, from a hash.
    @inline(__always) static func place(_ hash: UInt64, _ count: Int) -> Int {
        Int(truncatingIfNeeded: ((hash &>> 32) &* UInt64(truncatingIfNeeded: count)) &>> 32)
    }
}
