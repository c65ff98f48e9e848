import CLinux
import Flow

/// A word of a key and the bits of it that count.
struct MaskWord {
    var word: Int
    var bits: UInt64
}

/// A rule within a subtable; the masked values of its key follow, one for each of the subtable's `words`.
struct Record {
    /// Of the values.
    var hash: UInt32
    var rule: RuleIndex
    /// `Record.free` in a record that is not in use.
    var priority: Int32
    /// Index + 1 of the next rule with the same match, which has a lower priority; 0 is none. In a free record the next
    /// free one.
    var next: UInt32
    /// nil for a rule that acts by itself.
    var conjunctions: UnsafeMutablePointer<Conjunction>?
    var conjunctionCount: Int32
    /// Whether this is the record that the hash table knows: the highest of its match.
    var isHead: Bool

    static var free: Int32 { -1 }
}

/// All rules of one mask: found by hashing the key under that mask.
///
/// Rules with the same match but different priorities hang behind the highest one. Records lie in one block of equal
/// strides, found by index, so that growth moves them without fixing anything up.
struct Subtable: ~Copyable {
    /// The mask, split and sorted by stage; the whole mask by words follows it in the same block.
    let words: UnsafeMutablePointer<MaskWord>
    /// Where in `words` each stage ends.
    let metadataEnd: Int
    let ethernetEnd: Int
    let networkEnd: Int
    let end: Int
    let whole: UnsafeBufferPointer<MaskWord>
    let maskHash: UInt32
    /// Its place in `Classifier.subtables`.
    let id: UInt32
    /// Order of creation: decides among subtables of the same highest priority.
    let serial: UInt32
    let prefixes: PrefixLengths
    /// Which bits of the two ports count, source port in the upper half.
    let portsMask: UInt32

    /// `Gate` that stands for the metadata and Ethernet stages, or `Gate.none`.
    var gate = Gate.none
    /// What those two stages hash to behind a gate.
    var gateHash: UInt64 = 0
    /// What values the stages have: how many matches for each hash. The first two are empty behind a gate; one that is
    /// followed by no further stage is empty, as the rules themselves tell.
    var metadataIndex = HashIndex()
    var ethernetIndex = HashIndex()
    var networkIndex = HashIndex()
    /// Hash of all values to record.
    var rules = HashIndex()
    /// The masked ports of all matches, if ports count.
    var ports = PrefixTrie<UInt32>()
    var tally = PriorityTally()

    private(set) var records: UnsafeMutableRawPointer
    private let stride: Int
    private var capacity = 2
    /// Records in use or on the list of free ones.
    private(set) var used = 0
    private var firstFree: UInt32 = 0
    private(set) var count = 0

    init(mask: UnsafeBufferPointer<MaskWord>, hash: UInt32, id: UInt32, serial: UInt32) {
        // A word can hold bits of three stages at most (word 4), only few hold bits of more than one.
        let words = UnsafeMutablePointer<MaskWord>.allocate(capacity: mask.count &* 4 &+ 1)
        var filled = 0
        var ends = (0, 0, 0, 0)
        for stage in LookupStage.allCases {
            for item in mask where item.bits & stage.bits(item.word) != 0 {
                words[filled] = MaskWord(word: item.word, bits: item.bits & stage.bits(item.word))
                filled += 1
            }
            switch stage {
            case .metadata: ends.0 = filled
            case .ethernet: ends.1 = filled
            case .network: ends.2 = filled
            case .transport: ends.3 = filled
            }
        }
        self.words = words
        (metadataEnd, ethernetEnd, networkEnd, end) = ends
        for (i, item) in mask.enumerated() { words[filled + i] = item }
        whole = UnsafeBufferPointer(start: words + filled, count: mask.count)
        maskHash = hash
        self.id = id
        self.serial = serial
        prefixes = PrefixLengths(mask)
        portsMask = UInt32(truncatingIfNeeded: Self.bits(of: 4, in: mask) &>> 16)
        stride = MemoryLayout<Record>.stride &+ filled &* 8
        records = .allocate(byteCount: stride &* 2, alignment: 8)
    }

    deinit {
        for i in 0..<used { record(UInt32(i)).pointee.conjunctions?.deallocate() }
        words.deallocate()
        records.deallocate()
    }

    private static func bits(of word: Int, in mask: UnsafeBufferPointer<MaskWord>) -> UInt64 {
        mask.first { $0.word == word }?.bits ?? 0
    }

    @inline(__always)
    func record(_ index: UInt32) -> UnsafeMutablePointer<Record> {
        (records + Int(index) &* stride).assumingMemoryBound(to: Record.self)
    }

    @inline(__always)
    static func values(_ record: UnsafeMutablePointer<Record>) -> UnsafeMutablePointer<UInt64> {
        UnsafeMutableRawPointer(record + 1).assumingMemoryBound(to: UInt64.self)
    }

    /// Continues a hash over the words from `start` up to `end` of a key.
    @inline(__always)
    func hash(_ key: UnsafePointer<UInt64>, _ start: Int, _ end: Int, _ basis: UInt64) -> UInt64 {
        var hash = basis
        var i = start
        while i < end {
            hash = weft_crc32(hash, key[words[i].word] & words[i].bits)
            i &+= 1
        }
        return hash
    }

    /// Whether the record's match agrees with the key.
    @inline(__always)
    func agrees(_ record: UnsafeMutablePointer<Record>, _ key: UnsafePointer<UInt64>) -> Bool {
        let values = Self.values(record)
        var difference: UInt64 = 0
        var i = 0
        while i < end {
            difference |= (key[words[i].word] & words[i].bits) ^ values[i]
            i &+= 1
        }
        return difference == 0
    }

    /// The record of the highest priority whose match agrees with the key; `hash` is over all of its words.
    @inline(__always)
    func find(_ key: UnsafePointer<UInt64>, _ hash: UInt64) -> UnsafeMutablePointer<Record>? {
        guard let index = rules.first(UInt32(truncatingIfNeeded: hash), where: { agrees(record($0), key) }) else {
            return nil
        }
        return record(index)
    }

    // MARK: Records

    mutating func makeRecord(_ header: Record, key: UnsafePointer<UInt64>) -> UInt32 {
        let index: UInt32
        if firstFree != 0 {
            index = firstFree &- 1
            firstFree = record(index).pointee.next
        } else {
            if used == capacity { grow() }
            index = UInt32(used)
            used &+= 1
        }
        let place = record(index)
        place.initialize(to: header)
        let values = Self.values(place)
        for i in 0..<end { (values + i).initialize(to: key[words[i].word] & words[i].bits) }
        count &+= 1
        return index
    }

    mutating func freeRecord(_ index: UInt32) {
        let place = record(index)
        place.pointee.conjunctions?.deallocate()
        place.pointee.conjunctions = nil
        place.pointee.priority = Record.free
        place.pointee.isHead = false
        place.pointee.next = firstFree
        firstFree = index &+ 1
        count &-= 1
    }

    private mutating func grow() {
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity &* 2 &* stride, alignment: 8)
        larger.copyMemory(from: records, byteCount: used &* stride)
        records.deallocate()
        records = larger
        capacity &*= 2
    }

    // MARK: Indexes

    /// Adds the match of a new head record to what early exits rely on, or takes it back.
    mutating func index(_ key: UnsafePointer<UInt64>, add: Bool) {
        if gate == Gate.none { indexEarlyStages(key, add: add) }
        if ethernetEnd < networkEnd && networkEnd < end {
            let basis = hash(key, 0, networkEnd, 0)
            networkIndex.count(UInt32(truncatingIfNeeded: basis), add: add)
        }
        if portsMask != 0 {
            let value = UInt32(truncatingIfNeeded: key[4] &>> 16) & portsMask
            let length = 32 &- portsMask.trailingZeroBitCount
            ports.count(value, length: length, add: add)
        }
    }

    private mutating func indexEarlyStages(_ key: UnsafePointer<UInt64>, add: Bool) {
        let metadata = hash(key, 0, metadataEnd, 0)
        if metadataEnd > 0 && metadataEnd < end {
            metadataIndex.count(UInt32(truncatingIfNeeded: metadata), add: add)
        }
        if metadataEnd < ethernetEnd && ethernetEnd < end {
            let ethernet = hash(key, metadataEnd, ethernetEnd, metadata)
            ethernetIndex.count(UInt32(truncatingIfNeeded: ethernet), add: add)
        }
    }

    /// Replaces the gate, which can stand for one value only, by indexes of all values.
    mutating func indexWithoutGate() {
        gate = Gate.none
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: FlowKey.wordCount) { key in
            key.initialize(repeating: 0)
            for i in 0..<used where record(UInt32(i)).pointee.isHead {
                spread(record(UInt32(i)), into: key.baseAddress!)
                indexEarlyStages(key.baseAddress!, add: true)
            }
        }
    }

    /// Writes the record's values back to where they lie in a key, of which all other words are zero.
    func spread(_ record: UnsafeMutablePointer<Record>, into key: UnsafeMutablePointer<UInt64>) {
        for item in whole { key[item.word] = 0 }
        let values = Self.values(record)
        for i in 0..<end { key[words[i].word] |= values[i] }
    }
}
