/// One `conjunction(id, clause/count)` of a rule (ovs-fields(7), "Conjunctive Match Fields"): the rule does not act by
/// itself but satisfies one of the clauses of `id`. When all clauses are satisfied by rules of one priority, the lookup
/// starts again with `conj_id` set to `id`.
public struct Conjunction: Hashable, Sendable {
    public let id: UInt32
    /// As written: 1 to `count`.
    public let clause: UInt8
    /// As written: 2 to 64.
    public let count: UInt8

    public init(id: UInt32, clause: UInt8, of count: UInt8) {
        self.id = id
        self.clause = clause
        self.count = count
    }

    /// The bit of this clause in a set of clauses; nothing for a clause that cannot be.
    @inline(__always) var clauseBit: UInt64 { clause >= 1 && clause <= 64 ? 1 &<< UInt64(clause &- 1) : 0 }

    /// The clauses that all have to be satisfied.
    @inline(__always) static func complete(_ count: UInt8) -> UInt64 {
        count >= 64 ? ~0 : (1 &<< UInt64(count)) &- 1
    }
}
