import CLinux
import Flow

extension Classifier {
    /// The rule of the highest priority that matches `key`; any of them if several rules of that priority do. Adds to
    /// `mask` the bits that were looked at: every key that agrees with `key` in them has the same result.
    public func lookup(
        _ key: UnsafePointer<FlowKey>, mask: UnsafeMutablePointer<FlowMask>, scratch: inout ClassifierScratch
    ) -> RuleIndex? {
        scratch.softCount = 0
        let keyWords = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        let maskWords = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        let best = search(keyWords, maskWords, &scratch, conjunctions: true)
        if scratch.softCount != 0 { return resolve(key, maskWords, best, &scratch) }
        return best?.pointee.rule
    }

    /// What one pass over the subtables knows about its key.
    struct Search {
        let key: UnsafePointer<UInt64>
        let mask: UnsafeMutablePointer<UInt64>
        /// Gates, by bit: those compared with the key and those that admitted it. Gate 0 admits all.
        var knownGates: UInt64 = 1
        var openGates: UInt64 = 1
        /// Whether the tries of this family were walked, and what they said.
        var hasIPv4 = false
        var hasIPv6 = false
        var ipv4 = PrefixFilter<UInt32>()
        var ipv6 = PrefixFilter<UInt128>()
    }

    /// One pass over the subtables: the best rule that acts by itself. Rules of conjunctions that match, and are not
    /// known to be of lower priority, are left in the scratch if `conjunctions` is set and ignored otherwise.
    func search(
        _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>, _ scratch: inout ClassifierScratch,
        conjunctions: Bool
    ) -> UnsafeMutablePointer<Record>? {
        var search = Search(key: key, mask: mask)
        var best: UnsafeMutablePointer<Record>?
        var bestPriority: Int32 = -1
        var head = heads
        let end = heads + headCount
        while head < end, head.pointee.maxPriority > bestPriority {
            if let record = examine(head, &search), record.pointee.priority > bestPriority {
                if record.pointee.conjunctions == nil {
                    best = record
                    bestPriority = record.pointee.priority
                } else if conjunctions {
                    scratch.append(SoftMatch(subtable: head.pointee.subtable, record: record))
                }
            }
            head += 1
        }
        finish(&search)
        return best
    }

    /// Asks one subtable, stage by stage.
    @inline(__always)
    private func examine(
        _ head: UnsafeMutablePointer<Head>, _ search: inout Search
    ) -> UnsafeMutablePointer<Record>? {
        let subtable = head.pointee.subtable
        let hash: UInt64
        if head.pointee.gate != Gate.none {
            if !passes(head.pointee.gate, &search) { return nil }
            if head.pointee.hasPrefixes && !prefixesAdmit(head, &search) { return nil }
            hash = subtable.pointee.gateHash
        } else {
            guard let early = Subtable.earlyStages(subtable, search.key, search.mask) else { return nil }
            if head.pointee.hasPrefixes && !prefixesAdmit(head, &search) { return nil }
            hash = early
        }
        return Subtable.lateStages(subtable, search.key, search.mask, hash)
    }

    @inline(__always)
    private func passes(_ gate: UInt8, _ search: inout Search) -> Bool {
        let bit: UInt64 = 1 &<< UInt64(gate)
        if search.knownGates & bit == 0 {
            search.knownGates |= bit
            if gates.gates[Int(gate)].admits(search.key, search.mask) { search.openGates |= bit }
        }
        return search.openGates & bit != 0
    }

    /// Whether the tries allow a match in this subtable; walks them when first asked.
    @inline(__always)
    private func prefixesAdmit(_ head: UnsafeMutablePointer<Head>, _ search: inout Search) -> Bool {
        let lengths = head.pointee.prefixes
        if lengths.hasIPv4 {
            if !search.hasIPv4 { filterIPv4(&search) }
            if search.ipv4.rejects(source: lengths.ipv4Src, destination: lengths.ipv4Dst) {
                search.ipv4.exclude(source: lengths.ipv4Src, destination: lengths.ipv4Dst)
                return false
            }
        }
        return !lengths.hasIPv6 || ipv6Admits(lengths, &search)
    }

    @inline(never)
    private func filterIPv4(_ search: inout Search) {
        let (key, mask) = (search.key[3], search.mask[3])
        search.hasIPv4 = true
        search.ipv4 = PrefixFilter(
            sources: ipv4Sources, UInt32(key &>> 32), mask: UInt32(mask &>> 32), destinations: ipv4Destinations,
            UInt32(truncatingIfNeeded: key), mask: UInt32(truncatingIfNeeded: mask))
    }

    @inline(never)
    private func ipv6Admits(_ lengths: PrefixLengths, _ search: inout Search) -> Bool {
        if !search.hasIPv6 {
            let mask = UnsafePointer(search.mask)
            search.hasIPv6 = true
            search.ipv6 = PrefixFilter(
                sources: ipv6Sources, Self.wide(search.key, 6), mask: Self.wide(mask, 6),
                destinations: ipv6Destinations, Self.wide(search.key, 8), mask: Self.wide(mask, 8))
        }
        guard search.ipv6.rejects(source: lengths.ipv6Src, destination: lengths.ipv6Dst) else { return true }
        search.ipv6.exclude(source: lengths.ipv6Src, destination: lengths.ipv6Dst)
        return false
    }

    /// Adds the address bits on which exclusions relied to the mask.
    @inline(__always)
    private func finish(_ search: inout Search) {
        if search.hasIPv4 {
            search.mask[3] |=
                UInt64(PrefixTrie<UInt32>.leading(search.ipv4.sourceBits)) &<< 32
                | UInt64(PrefixTrie<UInt32>.leading(search.ipv4.destinationBits))
        }
        if search.hasIPv6 {
            let source = PrefixTrie<UInt128>.leading(search.ipv6.sourceBits)
            let destination = PrefixTrie<UInt128>.leading(search.ipv6.destinationBits)
            search.mask[6] |= UInt64(truncatingIfNeeded: source &>> 64)
            search.mask[7] |= UInt64(truncatingIfNeeded: source)
            search.mask[8] |= UInt64(truncatingIfNeeded: destination &>> 64)
            search.mask[9] |= UInt64(truncatingIfNeeded: destination)
        }
    }
}

// Functions of a pointer, because a call that is not inlined would be given a copy of the whole subtable.
extension Subtable {
    /// The metadata and Ethernet stages of a subtable without gate: their hash, nil if no rule has these values.
    static func earlyStages(
        _ table: UnsafeMutablePointer<Subtable>, _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>
    ) -> UInt64? {
        let (metadataEnd, ethernetEnd, end) = (table.pointee.metadataEnd, table.pointee.ethernetEnd, table.pointee.end)
        var hash: UInt64 = 0
        if metadataEnd > 0 {
            add(table, 0, metadataEnd, to: mask)
            hash = table.pointee.hash(key, 0, metadataEnd, hash)
            if metadataEnd < end, !table.pointee.metadataIndex.contains(UInt32(truncatingIfNeeded: hash)) { return nil }
        }
        if metadataEnd < ethernetEnd {
            add(table, metadataEnd, ethernetEnd, to: mask)
            hash = table.pointee.hash(key, metadataEnd, ethernetEnd, hash)
            if ethernetEnd < end, !table.pointee.ethernetIndex.contains(UInt32(truncatingIfNeeded: hash)) { return nil }
        }
        return hash
    }

    /// The network and transport stages, and with them the answer.
    @inline(__always)
    static func lateStages(
        _ table: UnsafeMutablePointer<Subtable>, _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>,
        _ early: UInt64
    ) -> UnsafeMutablePointer<Record>? {
        let (ethernetEnd, networkEnd, end) = (table.pointee.ethernetEnd, table.pointee.networkEnd, table.pointee.end)
        var hash = early
        if ethernetEnd < networkEnd {
            add(table, ethernetEnd, networkEnd, to: mask)
            hash = table.pointee.hash(key, ethernetEnd, networkEnd, hash)
            if networkEnd < end, !table.pointee.networkIndex.contains(UInt32(truncatingIfNeeded: hash)) { return nil }
        }
        if networkEnd == end { return table.pointee.find(key, hash) }
        hash = table.pointee.hash(key, networkEnd, end, hash)
        let record = table.pointee.find(key, hash)
        if record == nil, table.pointee.portsMask != 0 {
            addTransportWithoutMatch(table, key, mask)
        } else {
            add(table, networkEnd, end, to: mask)
        }
        return record
    }

    /// The last stage failed: of the ports only the leading bits count that no rule has, which may be all.
    @inline(never)
    private static func addTransportWithoutMatch(
        _ table: UnsafeMutablePointer<Subtable>, _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>
    ) {
        let portsMask = table.pointee.portsMask
        let value = UInt32(truncatingIfNeeded: key[4] &>> 16) & portsMask
        let needed = portsMask & PrefixTrie<UInt32>.leading(table.pointee.ports.lookup(value).needed)
        let words = table.pointee.words
        for i in table.pointee.networkEnd..<table.pointee.end {
            let ports: UInt64 = words[i].word == 4 ? 0xffff_ffff &<< 16 : 0
            mask[words[i].word] |= words[i].bits & ~ports
        }
        mask[4] |= UInt64(needed) &<< 16
    }

    @inline(__always)
    private static func add(
        _ table: UnsafeMutablePointer<Subtable>, _ start: Int, _ end: Int, to mask: UnsafeMutablePointer<UInt64>
    ) {
        let words = table.pointee.words
        var i = start
        while i < end {
            mask[words[i].word] |= words[i].bits
            i &+= 1
        }
    }
}
