import Flow

/// Visits for the control thread, in time proportional to the number of rules in the subtables that can hold any that
/// are wanted. `body` must not change the classifier.
extension Classifier {
    /// Every rule, in no particular order.
    public func forEachRule(_ body: (RuleIndex) -> Void) {
        for i in 0..<headCount {
            let subtable = heads[i].subtable
            for j in 0..<subtable.pointee.used {
                let record = subtable.pointee.record(UInt32(j))
                if record.pointee.priority != Record.free { body(record.pointee.rule) }
            }
        }
    }

    /// Every rule that is at least as specific as `match`, whatever its priority: what a non-strict modify, delete or
    /// dump selects (OpenFlow 1.5.1, 6.4 "Flow Table Modification Messages").
    public func forEachLooseMatch(of match: Match, _ body: (RuleIndex) -> Void) {
        withWords(of: match) { key, mask, _ in
            let wanted = mask.reduce(0) { $0 + $1.bits.nonzeroBitCount }
            for i in 0..<headCount {
                let subtable = heads[i].subtable
                let whole = subtable.pointee.whole
                // A mask that has all wanted bits and as many as are wanted has no others.
                let covered = whole.reduce(0) { $0 + ($1.bits & match.mask.bits.words[$1.word]).nonzeroBitCount }
                if covered < wanted { continue }
                if whole.reduce(0, { $0 + $1.bits.nonzeroBitCount }) == wanted {
                    var at = subtable.pointee.find(key, subtable.pointee.hash(key, 0, subtable.pointee.end, 0))
                    while let record = at {
                        body(record.pointee.rule)
                        at = subtable.pointee.next(record)
                    }
                    continue
                }
                for j in 0..<subtable.pointee.used {
                    let record = subtable.pointee.record(UInt32(j))
                    if record.pointee.priority != Record.free, subtable.pointee.isCompatible(record, match) {
                        body(record.pointee.rule)
                    }
                }
            }
        }
    }

    /// Whether some packet could match both `match` and a rule of the same priority (`check_overlap`).
    public func overlaps(_ match: Match, priority: UInt16) -> Bool {
        for i in 0..<headCount where heads[i].maxPriority >= Int32(priority) {
            let subtable = heads[i].subtable
            for j in 0..<subtable.pointee.used {
                let record = subtable.pointee.record(UInt32(j))
                if record.pointee.priority == Int32(priority), subtable.pointee.isCompatible(record, match) {
                    return true
                }
            }
        }
        return false
    }
}

extension Subtable {
    /// Whether rule and match have the same value wherever both masks have a bit.
    func isCompatible(_ record: UnsafeMutablePointer<Record>, _ match: borrowing Match) -> Bool {
        let values = Self.values(record)
        for i in 0..<end {
            let bits = words[i].bits & match.mask.bits.words[words[i].word]
            if (values[i] ^ match.key.words[words[i].word]) & bits != 0 { return false }
        }
        return true
    }
}
