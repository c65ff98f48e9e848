import Base

/// Places of backends in the order in which weighted round robin takes them: each as often as its weight says, and as evenly
/// spread as it can be.
///
/// Backend i is due for the k-th time (from 0) at (k + 1/2) / weight; the sequence is all dues in order. So after any number
/// of choices each backend has had its share of them, rounded: it is never more than one choice ahead or behind. (The order of
/// nginx's "smooth" round robin has the same counts over a whole turn.)
///
/// A turn is the sum of the weights over their greatest common divisor. Where that is more than `limit`, weights are scaled
/// down to fit, each to 1 at least.
package enum WeightedSequence {
    static var limit: Int { 65536 }

    /// - Parameter weights: all above 0.
    package static func places(_ weights: [UInt32], limit: Int = limit) -> [UInt16] {
        let weights = reduced(weights, limit: limit)
        let total = weights.reduce(0) { $0 + Int($1) }
        guard weights.contains(where: { $0 != 1 }) else {
            return weights.indices.map { UInt16(truncatingIfNeeded: $0) }
        }
        var dues = MinHeap(
            weights.enumerated().map {
                Due(turns: 1, weight: UInt64($0.element), place: UInt16(truncatingIfNeeded: $0.offset))
            })
        var places: [UInt16] = []
        places.reserveCapacity(total)
        while places.count < total, var next = dues.first {
            places.append(next.place)
            next.turns += 2
            dues.replaceFirst(with: next)
        }
        return places
    }

    package static func reduced(_ weights: [UInt32], limit: Int) -> [UInt32] {
        var divisor: UInt32 = 0
        for weight in weights {
            var (a, b) = (divisor, weight)
            while b != 0 { (a, b) = (b, a % b) }
            divisor = a
        }
        guard divisor != 0 else { return weights }
        let small = weights.map { $0 / divisor }
        let total = small.reduce(UInt64(0)) { $0 + UInt64($1) }
        let most = UInt64(max(limit, weights.count))
        guard total > most else { return small }
        return small.map { UInt32(max(1, (UInt64($0) * most + total / 2) / total)) }
    }
}

/// When a backend is due, among the others.
private struct Due: Comparable {
    /// How often it was due, twice, plus 1.
    var turns: UInt64
    var weight: UInt64
    var place: UInt16

    static func < (a: Due, b: Due) -> Bool {
        let left = a.turns * b.weight
        let right = b.turns * a.weight
        return left != right ? left < right : a.place < b.place
    }
}
