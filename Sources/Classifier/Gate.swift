import CLinux

/// The one value that several subtables ask of the metadata and Ethernet stages.
///
/// Very often all rules of many masks want the same there, such as `eth_type` IPv4. A lookup compares that value once and
/// remembers the outcome in a bit; for each further subtable behind the same gate these stages cost a bit test.
/// A subtable whose rules do not all agree has no gate but indexes of its own.
struct Gate {
    /// The masks, those of the metadata stage first, and the masked value for each.
    var words: UnsafeMutablePointer<MaskWord>
    var values: UnsafeMutablePointer<UInt64>
    var metadataEnd: Int
    var end: Int
    /// Subtables behind it; 0 in a place that is free.
    var users: Int

    /// Stands for no gate.
    static var none: UInt8 { 255 }
    /// As many as the bits of the set in which a lookup remembers them.
    static var limit: Int { 64 }

    /// Whether the key has the value. Adds the bits it looked at to the mask: those of the Ethernet stage only if the
    /// metadata agree.
    func admits(_ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>) -> Bool {
        compare(key, mask, 0, metadataEnd) && compare(key, mask, metadataEnd, end)
    }

    @inline(__always)
    private func compare(
        _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<UInt64>, _ start: Int, _ end: Int
    ) -> Bool {
        var difference: UInt64 = 0
        var i = start
        while i < end {
            let item = words[i]
            mask[item.word] |= item.bits
            difference |= (key[item.word] & item.bits) ^ values[i]
            i &+= 1
        }
        return difference == 0
    }
}

/// The gates of one classifier. Gate 0 asks for nothing and is always there.
struct GateList: ~Copyable {
    let gates: UnsafeMutablePointer<Gate>

    init() {
        gates = .allocate(capacity: Gate.limit)
        let empty = Gate(
            words: .allocate(capacity: 0), values: .allocate(capacity: 0), metadataEnd: 0, end: 0, users: 0)
        gates.initialize(repeating: empty, count: Gate.limit)
        gates[0].users = 1
    }

    deinit {
        gates[0].words.deallocate()
        gates[0].values.deallocate()
        for i in 1..<Gate.limit where gates[i].users > 0 {
            gates[i].words.deallocate()
            gates[i].values.deallocate()
        }
        gates.deallocate()
    }

    /// The gate for the stages of `subtable` with the values that `key` has; `Gate.none` when all are taken.
    func acquire(for subtable: borrowing Subtable, _ key: UnsafePointer<UInt64>) -> UInt8 {
        let count = subtable.ethernetEnd
        if count == 0 { return 0 }
        var place: Int?
        for i in 1..<Gate.limit {
            if gates[i].users == 0 {
                if place == nil { place = i }
            } else if isSame(gates[i], subtable, key) {
                gates[i].users += 1
                return UInt8(i)
            }
        }
        guard let place else { return Gate.none }
        let words = UnsafeMutablePointer<MaskWord>.allocate(capacity: count)
        let values = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        for i in 0..<count {
            (words + i).initialize(to: subtable.words[i])
            (values + i).initialize(to: key[words[i].word] & words[i].bits)
        }
        gates[place] = Gate(words: words, values: values, metadataEnd: subtable.metadataEnd, end: count, users: 1)
        return UInt8(place)
    }

    func release(_ gate: UInt8) {
        guard gate != Gate.none, gate != 0 else { return }
        gates[Int(gate)].users -= 1
        if gates[Int(gate)].users == 0 {
            gates[Int(gate)].words.deallocate()
            gates[Int(gate)].values.deallocate()
        }
    }

    /// Whether a key has the value of a gate that its mask is known to fit.
    func agrees(_ gate: UInt8, _ key: UnsafePointer<UInt64>) -> Bool {
        let gate = gates[Int(gate)]
        for i in 0..<gate.end where key[gate.words[i].word] & gate.words[i].bits != gate.values[i] { return false }
        return true
    }

    private func isSame(_ gate: Gate, _ subtable: borrowing Subtable, _ key: UnsafePointer<UInt64>) -> Bool {
        guard gate.end == subtable.ethernetEnd, gate.metadataEnd == subtable.metadataEnd else { return false }
        for i in 0..<gate.end {
            let item = subtable.words[i]
            if gate.words[i].word != item.word || gate.words[i].bits != item.bits { return false }
            if gate.values[i] != key[item.word] & item.bits { return false }
        }
        return true
    }
}
