import Flow

extension Classifier {
    /// Decides a lookup in which rules of conjunctions matched (ovs-fields(7), "Conjunctive Match Fields").
    ///
    /// From the highest priority down: a rule that acts by itself wins at its priority. Otherwise the rules of
    /// conjunctions at that priority together satisfy clauses. When all those of a conjunction are satisfied,
    /// the lookup is made again with `conj_id` set, in which conjunctions do not count, and its result
    /// is the result. If several conjunctions can be satisfied, the one that is complete first decides, in the order
    /// in which subtables are looked at: for rules of one priority, that in which their masks first came up, as in OVS. If there is none the next lower priority is tried: for that each soft match is replaced by the
    /// next rule with the same match, since the subtable had only told its highest.
    ///
    /// As in OVS, the second lookup does not see a rule that acts by itself if it lies below a rule of a conjunction
    /// with the same match.
    ///
    /// `conj_id` of the second lookup follows from bits that are in the mask already. So its bits need not be, beyond those
    /// that the first lookup saw.
    func resolve(
        _ key: UnsafePointer<FlowKey>, _ mask: UnsafeMutablePointer<UInt64>, _ found: UnsafeMutablePointer<Record>?,
        _ scratch: inout ClassifierScratch
    ) -> RuleIndex? {
        var best = found
        while let priority = highest(above: best?.pointee.priority ?? -1, scratch) {
            if let record = complete(key, mask, priority, &scratch) { return record.pointee.rule }
            best = stepDown(from: priority, best, &scratch)
        }
        return best?.pointee.rule
    }

    /// The highest priority among the soft matches if it is above `priority`.
    private func highest(above priority: Int32, _ scratch: borrowing ClassifierScratch) -> Int32? {
        var highest = priority
        for i in 0..<scratch.softCount { highest = max(highest, scratch.softMatches[i].record.pointee.priority) }
        return highest > priority ? highest : nil
    }

    /// Gathers the clauses that the soft matches of one priority satisfy, and looks up again for each conjunction
    /// that becomes complete. A rule counts for one clause of a conjunction: with fewer rules than clauses, the conjunction
    /// cannot be complete.
    private func complete(
        _ key: UnsafePointer<FlowKey>, _ mask: UnsafeMutablePointer<UInt64>, _ priority: Int32,
        _ scratch: inout ClassifierScratch
    ) -> UnsafeMutablePointer<Record>? {
        scratch.progressCount = 0
        var rules = 0
        for i in 0..<scratch.softCount where scratch.softMatches[i].record.pointee.priority == priority { rules += 1 }
        for i in 0..<scratch.softCount {
            let record = scratch.softMatches[i].record
            guard record.pointee.priority == priority, let conjunctions = record.pointee.conjunctions else { continue }
            for j in 0..<Int(record.pointee.conjunctionCount) where Int(conjunctions[j].count) <= rules {
                if scratch.satisfy(conjunctions[j]), let found = retry(key, mask, conjunctions[j].id, &scratch) {
                    return found
                }
            }
        }
        return nil
    }

    private func retry(
        _ key: UnsafePointer<FlowKey>, _ mask: UnsafeMutablePointer<UInt64>, _ id: UInt32,
        _ scratch: inout ClassifierScratch
    ) -> UnsafeMutablePointer<Record>? {
        scratch.key.update(from: key, count: 1)
        scratch.key.pointee[.conjID] = UInt64(id)
        let conjIDBits = Slot.conjID.lowMask
        let old = mask[Slot.conjID.word]
        let words = UnsafeRawPointer(scratch.key).assumingMemoryBound(to: UInt64.self)
        let record = search(words, mask, &scratch, conjunctions: false)
        mask[Slot.conjID.word] = (mask[Slot.conjID.word] & ~conjIDBits) | (old & conjIDBits)
        return record
    }

    /// Replaces the soft matches of this priority by what lies below them, and drops those below which nothing lies.
    /// Returns the best rule that acts by itself.
    private func stepDown(
        from priority: Int32, _ found: UnsafeMutablePointer<Record>?, _ scratch: inout ClassifierScratch
    ) -> UnsafeMutablePointer<Record>? {
        var best = found
        var kept = 0
        for i in 0..<scratch.softCount {
            var soft = scratch.softMatches[i]
            if soft.record.pointee.priority == priority {
                guard let next = soft.subtable.pointee.next(soft.record) else { continue }
                if next.pointee.conjunctions == nil {
                    if next.pointee.priority > best?.pointee.priority ?? -1 { best = next }
                    continue
                }
                soft.record = next
            }
            scratch.softMatches[kept] = soft
            kept &+= 1
        }
        scratch.softCount = kept
        return best
    }
}
