extension Subtable {
    /// Adds a record for a rule with this key. True if no rule had the same match before.
    mutating func link(_ header: Record, _ key: UnsafePointer<UInt64>) -> Bool {
        let index = makeRecord(header, key: key)
        guard let head = rules.first(header.hash, where: { agrees(record($0), key) }) else {
            record(index).pointee.isHead = true
            rules.insert(header.hash, index)
            self.index(key, add: true)
            return true
        }
        if record(head).pointee.priority < header.priority {
            record(index).pointee.next = head &+ 1
            record(index).pointee.isHead = true
            record(head).pointee.isHead = false
            rules.replace(header.hash, head, by: index)
            return false
        }
        var before = head
        while let next = self.next(before), record(next).pointee.priority >= header.priority { before = next }
        record(index).pointee.next = record(before).pointee.next
        record(before).pointee.next = index &+ 1
        return false
    }

    /// Removes the record with this key and priority. `wasLast` if no other rule has the same match.
    mutating func unlink(_ key: UnsafePointer<UInt64>, priority: Int32) -> (rule: RuleIndex, wasLast: Bool)? {
        let hash = UInt32(truncatingIfNeeded: hash(key, 0, end, 0))
        guard let head = rules.first(hash, where: { agrees(record($0), key) }) else { return nil }
        var before: UInt32?
        var at = head
        while record(at).pointee.priority != priority {
            guard let next = next(at) else { return nil }
            before = at
            at = next
        }
        let rule = record(at).pointee.rule
        let behind = next(at)
        if let before {
            record(before).pointee.next = record(at).pointee.next
        } else if let behind {
            rules.replace(hash, at, by: behind)
            record(behind).pointee.isHead = true
        } else {
            rules.remove(hash, at)
            index(key, add: false)
        }
        freeRecord(at)
        return (rule, before == nil && behind == nil)
    }

    /// The record with this key and priority.
    func first(_ key: UnsafePointer<UInt64>, priority: Int32) -> UnsafeMutablePointer<Record>? {
        var at = find(key, hash(key, 0, end, 0))
        while let record = at, record.pointee.priority != priority { at = next(record) }
        return at
    }

    /// The rule of the next lower priority with the same match.
    func next(_ record: UnsafeMutablePointer<Record>) -> UnsafeMutablePointer<Record>? {
        record.pointee.next == 0 ? nil : self.record(record.pointee.next &- 1)
    }

    private func next(_ index: UInt32) -> UInt32? {
        let next = record(index).pointee.next
        return next == 0 ? nil : next &- 1
    }
}
