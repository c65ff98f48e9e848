/// The prefixes that rules have on one field, as a path-compressed binary trie.
///
/// One walk with a packet's value tells which prefix lengths can match at all, and how many leading bits of the value
/// prove that no other can. `Bits` is as wide as the field; bit `n - 1` of a set of lengths stands for length `n`.
/// Nodes lie in one block and name each other by index; 0 is none, and is also the root's place when the trie is empty.
struct PrefixTrie<Bits: FixedWidthInteger & UnsignedInteger>: ~Copyable {
    struct Node {
        /// The whole prefix from the root on, left-aligned, zero behind `length`.
        var prefix: Bits
        var length: Int32
        /// Rules with exactly this prefix; 0 for a mere branch.
        var rules: UInt32
        /// Next nodes by the bit that follows the prefix; in a free node `zero` links the list of free nodes.
        var zero: UInt32
        var one: UInt32
    }

    struct Finding {
        /// The lengths of prefixes that match the value.
        var lengths: Bits = 0
        /// So many leading bits prove that no other length matches.
        var needed = 0
    }

    private var nodes: UnsafeMutablePointer<Node>
    private var capacity = 2
    private var used = 1
    private var free: UInt32 = 0
    private(set) var root: UInt32 = 0

    init() { nodes = .allocate(capacity: 2) }

    deinit { nodes.deallocate() }

    /// The leading `length` ones.
    @inline(__always)
    static func leading(_ length: Int) -> Bits { length == 0 ? 0 : ~0 << Bits(Bits.bitWidth &- length) }

    @inline(__always)
    func lookup(_ value: Bits) -> Finding {
        var lengths: Bits = 0
        var at = root
        if at == 0 { return Finding(lengths: 0, needed: 0) }
        while true {
            let node = nodes + Int(at)
            let length = Int(node.pointee.length)
            let equal = (node.pointee.prefix ^ value).leadingZeroBitCount
            if equal < length { return Finding(lengths: lengths, needed: equal &+ 1) }
            if node.pointee.rules != 0 { lengths |= 1 &<< Bits(truncatingIfNeeded: length &- 1) }
            if length == Bits.bitWidth { return Finding(lengths: lengths, needed: length) }
            let bit = (value &<< Bits(truncatingIfNeeded: length)) &>> Bits(truncatingIfNeeded: Bits.bitWidth &- 1)
            let next = bit == 0 ? node.pointee.zero : node.pointee.one
            if next == 0 {
                // The next bit counts only if it keeps the value away from something.
                let isLeaf = node.pointee.zero | node.pointee.one == 0
                return Finding(lengths: lengths, needed: isLeaf ? length : length &+ 1)
            }
            at = next
        }
    }

    /// Adds or takes back a rule's prefix; one of length 0 is none.
    mutating func count(_ value: Bits, length: Int, add: Bool) {
        if length == 0 { return }
        if add { insert(value, length: length) } else { remove(value, length: length) }
    }

    /// Adds a rule's prefix of `length` bits, at least 1.
    mutating func insert(_ value: Bits, length: Int) {
        let prefix = value & Self.leading(length)
        var parent: UInt32 = 0
        var at = root
        while at != 0 {
            let node = nodes[Int(at)]
            let common = min((node.prefix ^ prefix).leadingZeroBitCount, Int(node.length), length)
            if common < Int(node.length) {
                // The new prefix ends within, or leaves, the way to this node: split it.
                let upper = make(prefix, common, rules: common == length ? 1 : 0)
                attach(at, below: upper)
                if common < length { attach(make(prefix, length, rules: 1), below: upper) }
                relink(parent, upper)
                return
            }
            if common == length {
                nodes[Int(at)].rules &+= 1
                return
            }
            parent = at
            at = child(at, prefix)
        }
        let leaf = make(prefix, length, rules: 1)
        if parent == 0 { root = leaf } else { attach(leaf, below: parent) }
    }

    /// Takes back one `insert` of the same prefix.
    mutating func remove(_ value: Bits, length: Int) {
        let prefix = value & Self.leading(length)
        var grandparent: UInt32 = 0
        var parent: UInt32 = 0
        var at = root
        while at != 0, Int(nodes[Int(at)].length) < length {
            (grandparent, parent) = (parent, at)
            at = child(at, prefix)
        }
        guard at != 0, nodes[Int(at)].prefix == prefix, Int(nodes[Int(at)].length) == length else { return }
        nodes[Int(at)].rules &-= 1
        collapse(at, below: parent)
        // Without that leaf the branch above may have become needless.
        if parent != 0 { collapse(parent, below: grandparent) }
    }

    /// Takes a node out that neither has rules nor parts two ways.
    private mutating func collapse(_ at: UInt32, below parent: UInt32) {
        let node = nodes[Int(at)]
        if node.rules > 0 || (node.zero != 0 && node.one != 0) { return }
        let heir = node.zero | node.one
        if parent == 0 {
            root = heir
        } else if nodes[Int(parent)].zero == at {
            nodes[Int(parent)].zero = heir
        } else {
            nodes[Int(parent)].one = heir
        }
        nodes[Int(at)].zero = free
        nodes[Int(at)].length = 0
        free = at
    }

    private func bit(_ value: Bits, _ position: Int32) -> Bool {
        value & (1 << Bits(Bits.bitWidth &- 1 &- Int(position))) != 0
    }

    private func child(_ at: UInt32, _ value: Bits) -> UInt32 {
        let node = nodes[Int(at)]
        return bit(value, node.length) ? node.one : node.zero
    }

    private func attach(_ node: UInt32, below upper: UInt32) {
        if bit(nodes[Int(node)].prefix, nodes[Int(upper)].length) {
            nodes[Int(upper)].one = node
        } else {
            nodes[Int(upper)].zero = node
        }
    }

    private mutating func relink(_ parent: UInt32, _ node: UInt32) {
        if parent == 0 { root = node } else { attach(node, below: parent) }
    }

    private mutating func make(_ prefix: Bits, _ length: Int, rules: UInt32) -> UInt32 {
        let at: UInt32
        if free != 0 {
            at = free
            free = nodes[Int(at)].zero
        } else {
            if used == capacity { grow() }
            at = UInt32(used)
            used &+= 1
        }
        (nodes + Int(at)).initialize(
            to: Node(prefix: prefix & Self.leading(length), length: Int32(length), rules: rules, zero: 0, one: 0))
        return at
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Node>.allocate(capacity: capacity &* 2)
        (larger + 1).moveInitialize(from: nodes + 1, count: used &- 1)
        nodes.deallocate()
        nodes = larger
        capacity &*= 2
    }
}
