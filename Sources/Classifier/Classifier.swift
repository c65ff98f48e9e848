import CLinux
import Flow

/// What a classifier says about a rule: a number that the caller chose, such as the rule's place in an array.
public typealias RuleIndex = UInt32

/// The index over the rules of one OpenFlow table: finds the rule of the highest priority that matches a key, and says
/// which bits of the key decided that.
///
/// ## The question
///
/// The rule alone could be had from any search structure. The mask is what shapes this one: it becomes the mask of a
/// megaflow, so every bit too many means more cache misses, and every bit missing means wrong answers. *Soundness*:
/// a key that agrees with the one looked up in all bits of the returned mask has the same result. It holds because each
/// decision on the way is taken by bits that are added to the mask before or with it.
///
/// ## The structure
///
/// Tuple space search (Srinivasan, Suri and Varghese, SIGCOMM 1999) as Open vSwitch refined it (Pfaff and others, NSDI
/// 2015): rules with the same mask form a `Subtable`, a hash table of masked keys. A lookup goes through the
/// subtables in order of their highest priority and ends when the next one cannot beat what was found. Four things keep
/// both the time and the mask small:
///
/// - *Stages* (`LookupStage`). A subtable is asked in four steps, metadata, Ethernet, network, transport; one that has no
///   match with what the first steps saw never puts the bits of the later ones into the mask.
/// - *Gates* (`Gate`). Where all rules of a subtable want one and the same metadata and Ethernet values, the
///   comparison is made once for all subtables that want these, and remembered.
/// - *Prefix tries* (`PrefixTrie`, `PrefixFilter`) over IPv4 and IPv6 source and destination addresses. One walk tells
///   which prefix lengths can match at all, so most subtables of a table of prefixes cost two bit tests, and for all of
///   them together only as many address bits get into the mask as tell the address from the prefixes of the rules.
/// - *Port tries*, one a subtable, tell how many bits of the ports prove that no rule has these ports, when
///   nothing but the last step of a subtable failed.
///
/// What the main loop reads of a subtable lies in a `Head` of 24 bytes; the heads are one sorted array.
///
/// Rules that are parts of conjunctions are described at `resolve`.
///
/// ## Invariants
///
/// - `heads` is sorted by highest priority, then by age of the subtable: the order, and with it result and mask, is a
///   function of the sequence of insertions and removals, hence the same in both copies of the pipeline state.
/// - A record is in its subtable's hash table if and only if it is the highest of its match. Exactly these records are
///   counted by the stage indexes and in the tries.
/// - A subtable behind a gate has only records with the gate's value. The first record with another value takes the
///   subtable out from behind the gate for good.
/// - Hash collisions in stage indexes may let a lookup go on needlessly, never stop it.
///
/// ## Threads
///
/// Not synchronised: either one thread changes a classifier, or any number of threads look up, each with its own
/// scratch. A lookup writes nothing but the mask and the scratch.
///
/// ## Costs
///
/// A lookup takes no memory and counts no references. It costs, on a warm cache, some 2 ns for a subtable that a
/// gate or trie excludes and about 10 ns for one that has to be hashed; docs/classifier.md has measured figures. Insertion
/// and removal take well below a microsecond, plus moving heads when a subtable appears or its highest priority
/// changes. A rule takes 32 bytes, 8 for each masked word (a word with bits of two stages counts twice), and 16 to 32
/// in the hash table; each distinct prefix takes up to two trie nodes.
public final class Classifier {
    /// What the main loop of a lookup reads of a subtable.
    struct Head {
        var maxPriority: Int32
        var serial: UInt32
        var subtable: UnsafeMutablePointer<Subtable>
        var prefixes: PrefixLengths
        var gate: UInt8
        var hasPrefixes: Bool
    }

    private(set) var heads: UnsafeMutablePointer<Head>
    private(set) var headCount = 0
    private var headCapacity = 4
    let gates = GateList()
    private(set) var ipv4Sources = PrefixTrie<UInt32>()
    private(set) var ipv4Destinations = PrefixTrie<UInt32>()
    private(set) var ipv6Sources = PrefixTrie<UInt128>()
    private(set) var ipv6Destinations = PrefixTrie<UInt128>()
    /// By `Subtable.id`.
    private var subtables: [UnsafeMutablePointer<Subtable>?] = []
    private var freeIDs: [UInt32] = []
    private var byMask = HashIndex()
    private var nextSerial: UInt32 = 0

    /// Number of rules.
    public private(set) var count = 0

    /// Number of distinct masks.
    public var maskCount: Int { headCount }

    public init() { heads = .allocate(capacity: headCapacity) }

    deinit {
        for i in 0..<headCount {
            heads[i].subtable.deinitialize(count: 1)
            heads[i].subtable.deallocate()
        }
        heads.deallocate()
    }

    // MARK: Rules

    /// Adds a rule. The caller has made sure that there is none with the same match and priority (`find`).
    ///
    /// - Parameter conjunctions: not empty if the actions of the rule are `conjunction`; such a rule is never the result
    ///   of a lookup.
    public func insert(_ match: Match, priority: UInt16, rule: RuleIndex, conjunctions: [Conjunction] = []) {
        withWords(of: match) { key, mask, maskHash in
            let subtable = existing(mask, maskHash) ?? make(mask, maskHash, key)
            if subtable.pointee.gate != Gate.none, !gates.agrees(subtable.pointee.gate, key) {
                gates.release(subtable.pointee.gate)
                subtable.pointee.indexWithoutGate()
                heads[position(of: subtable)].gate = Gate.none
            }
            let hash = subtable.pointee.hash(key, 0, subtable.pointee.end, 0)
            var header = Record(
                hash: UInt32(truncatingIfNeeded: hash), rule: rule, priority: Int32(priority), next: 0,
                conjunctions: nil, conjunctionCount: Int32(conjunctions.count), isHead: false)
            if !conjunctions.isEmpty {
                let copy = UnsafeMutablePointer<Conjunction>.allocate(capacity: conjunctions.count)
                for (i, conjunction) in conjunctions.enumerated() { (copy + i).initialize(to: conjunction) }
                header.conjunctions = copy
            }
            if subtable.pointee.link(header, key) { countPrefixes(subtable.pointee.prefixes, key, add: true) }
            changeTally(subtable) { $0.add(priority) }
            count += 1
        }
    }

    /// Removes the rule with exactly this match and priority; nil if there is none.
    @discardableResult
    public func remove(_ match: Match, priority: UInt16) -> RuleIndex? {
        withWords(of: match) { key, mask, maskHash in
            guard let subtable = existing(mask, maskHash),
                let removed = subtable.pointee.unlink(key, priority: Int32(priority))
            else { return nil }
            if removed.wasLast { countPrefixes(subtable.pointee.prefixes, key, add: false) }
            count -= 1
            if subtable.pointee.count == 0 {
                destroy(subtable)
            } else {
                changeTally(subtable) { $0.remove(priority) }
            }
            return removed.rule
        }
    }

    /// The rule with exactly this match and priority.
    public func find(_ match: Match, priority: UInt16) -> RuleIndex? {
        withWords(of: match) { key, mask, maskHash in
            guard let subtable = existing(mask, maskHash),
                let record = subtable.pointee.first(key, priority: Int32(priority))
            else { return nil }
            return record.pointee.rule
        }
    }

    // MARK: Subtables

    /// Calls `body` with the words of the match's key, the words of its mask that are not zero, and their hash.
    @inline(__always)
    func withWords<Result>(
        of match: Match, _ body: (UnsafePointer<UInt64>, UnsafeBufferPointer<MaskWord>, UInt32) -> Result
    ) -> Result {
        withUnsafeBytes(of: match) { match in
            // A match is a key and a mask, each an array of words.
            let key = match.baseAddress!.assumingMemoryBound(to: UInt64.self)
            let mask = key + FlowKey.wordCount
            return withUnsafeTemporaryAllocation(of: MaskWord.self, capacity: FlowKey.wordCount) { words in
                var count = 0
                var hash: UInt64 = 0
                for i in 0..<FlowKey.wordCount where mask[i] != 0 {
                    words.initializeElement(at: count, to: MaskWord(word: i, bits: mask[i]))
                    count &+= 1
                    hash = weft_crc32(weft_crc32(hash, UInt64(i)), mask[i])
                }
                return body(
                    key, UnsafeBufferPointer(rebasing: words[..<count]), UInt32(truncatingIfNeeded: hash))
            }
        }
    }

    /// The subtable of a mask.
    func existing(
        _ mask: UnsafeBufferPointer<MaskWord>, _ hash: UInt32
    ) -> UnsafeMutablePointer<Subtable>? {
        let id = byMask.first(hash) { id in
            guard let whole = subtables[Int(id)]?.pointee.whole, whole.count == mask.count else { return false }
            for i in 0..<mask.count where whole[i].word != mask[i].word || whole[i].bits != mask[i].bits {
                return false
            }
            return true
        }
        return id.flatMap { subtables[Int($0)] }
    }

    private func make(
        _ mask: UnsafeBufferPointer<MaskWord>, _ hash: UInt32, _ key: UnsafePointer<UInt64>
    ) -> UnsafeMutablePointer<Subtable> {
        let id = freeIDs.popLast() ?? UInt32(subtables.count)
        if Int(id) == subtables.count { subtables.append(nil) }
        let subtable = UnsafeMutablePointer<Subtable>.allocate(capacity: 1)
        subtable.initialize(to: Subtable(mask: mask, hash: hash, id: id, serial: nextSerial))
        nextSerial &+= 1
        subtable.pointee.gate = gates.acquire(for: subtable.pointee, key)
        subtable.pointee.gateHash = subtable.pointee.hash(key, 0, subtable.pointee.ethernetEnd, 0)
        subtables[Int(id)] = subtable
        byMask.insert(hash, id)
        let prefixes = subtable.pointee.prefixes
        insertHead(
            Head(
                maxPriority: -1, serial: subtable.pointee.serial, subtable: subtable, prefixes: prefixes,
                gate: subtable.pointee.gate, hasPrefixes: prefixes.hasIPv4 || prefixes.hasIPv6))
        return subtable
    }

    private func destroy(_ subtable: UnsafeMutablePointer<Subtable>) {
        removeHead(at: position(of: subtable))
        byMask.remove(subtable.pointee.maskHash, subtable.pointee.id)
        subtables[Int(subtable.pointee.id)] = nil
        freeIDs.append(subtable.pointee.id)
        gates.release(subtable.pointee.gate)
        subtable.deinitialize(count: 1)
        subtable.deallocate()
    }

    private func countPrefixes(_ lengths: PrefixLengths, _ key: UnsafePointer<UInt64>, add: Bool) {
        if lengths.hasIPv4 {
            let (source, destination) = (UInt32(key[3] &>> 32), UInt32(truncatingIfNeeded: key[3]))
            ipv4Sources.count(source, length: Int(lengths.ipv4Src), add: add)
            ipv4Destinations.count(destination, length: Int(lengths.ipv4Dst), add: add)
        }
        if lengths.hasIPv6 {
            ipv6Sources.count(Self.wide(key, 6), length: Int(lengths.ipv6Src), add: add)
            ipv6Destinations.count(Self.wide(key, 8), length: Int(lengths.ipv6Dst), add: add)
        }
    }

    @inline(__always)
    static func wide(_ key: UnsafePointer<UInt64>, _ word: Int) -> UInt128 {
        UInt128(key[word]) &<< 64 | UInt128(key[word &+ 1])
    }

    // MARK: Order

    /// Changes the priorities of a subtable and moves its head if the highest is another then.
    private func changeTally(
        _ subtable: UnsafeMutablePointer<Subtable>, _ change: (inout PriorityTally) -> Void
    ) {
        let old = subtable.pointee.tally.highest
        let from = position(of: subtable)
        change(&subtable.pointee.tally)
        let highest = subtable.pointee.tally.highest
        if highest == old { return }
        var head = heads[from]
        head.maxPriority = highest
        removeHead(at: from)
        insertHead(head)
    }

    private func position(of subtable: UnsafeMutablePointer<Subtable>) -> Int {
        position(subtable.pointee.tally.highest, subtable.pointee.serial)
    }

    /// Where a head with this priority and age is or belongs.
    private func position(_ priority: Int32, _ serial: UInt32) -> Int {
        var low = 0
        var high = headCount
        while low < high {
            let middle = (low &+ high) / 2
            let head = heads[middle]
            if head.maxPriority > priority || (head.maxPriority == priority && head.serial < serial) {
                low = middle &+ 1
            } else {
                high = middle
            }
        }
        return low
    }

    private func insertHead(_ head: Head) {
        if headCount == headCapacity {
            let larger = UnsafeMutablePointer<Head>.allocate(capacity: headCapacity &* 2)
            larger.moveInitialize(from: heads, count: headCount)
            heads.deallocate()
            heads = larger
            headCapacity &*= 2
        }
        let at = position(head.maxPriority, head.serial)
        (heads + (at &+ 1)).moveInitialize(from: heads + at, count: headCount &- at)
        (heads + at).initialize(to: head)
        headCount &+= 1
    }

    private func removeHead(at index: Int) {
        headCount &-= 1
        (heads + index).moveInitialize(from: heads + (index &+ 1), count: headCount &- index)
    }
}
