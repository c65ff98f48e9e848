/// A set of values of one width up to 128 bits, left-aligned, that tells beside whether it has a value how many leading bits
/// prove that: the same trie that narrows the masks of rules, for others who decide by whole addresses.
package final class ValueTrie {
    private var trie = PrefixTrie<UInt128>()
    private let width: Int
    package private(set) var count = 0

    package init(width: Int) { self.width = width }

    /// Adds a value; as often as it is added it has to be removed.
    package func insert(_ value: UInt128) {
        trie.insert(value &<< UInt128(128 &- width), length: width)
        count += 1
    }

    package func remove(_ value: UInt128) {
        trie.remove(value &<< UInt128(128 &- width), length: width)
        count -= 1
    }

    /// Whether the value is there, and how many leading bits of it say so.
    package func look(up value: UInt128) -> (isThere: Bool, bits: Int) {
        let found = trie.lookup(value &<< UInt128(128 &- width))
        return (found.lengths != 0, found.needed)
    }
}
