/// How many rules of each priority a subtable has, to know the highest at any time.
///
/// A heap of the distinct priorities beside their counts. A priority whose last rule goes stays in the heap with count
/// zero until it comes to the top, so adding and removing cost the logarithm of the number of distinct priorities in
/// whatever order rules come and go.
struct PriorityTally: ~Copyable {
    private var counts = HashIndex()
    private var heap: UnsafeMutablePointer<UInt16>
    private var heapCount = 0
    private var heapCapacity = 4

    init() { heap = .allocate(capacity: 4) }

    deinit { heap.deallocate() }

    /// The highest priority of any rule, -1 without rules.
    var highest: Int32 { heapCount == 0 ? -1 : Int32(heap[0]) }

    mutating func add(_ priority: UInt16) {
        let hash = UInt32(priority)
        if let old = counts.first(hash, where: { _ in true }) {
            counts.replace(hash, old, by: old &+ 1)
        } else {
            counts.insert(hash, 1)
            push(priority)
        }
    }

    mutating func remove(_ priority: UInt16) {
        let hash = UInt32(priority)
        guard let old = counts.first(hash, where: { _ in true }) else { return }
        counts.replace(hash, old, by: old &- 1)
        while heapCount > 0, counts.first(UInt32(heap[0]), where: { $0 == 0 }) != nil {
            counts.remove(UInt32(heap[0]), 0)
            pop()
        }
    }

    private mutating func push(_ priority: UInt16) {
        if heapCount == heapCapacity {
            let larger = UnsafeMutablePointer<UInt16>.allocate(capacity: heapCapacity &* 2)
            larger.update(from: heap, count: heapCount)
            heap.deallocate()
            heap = larger
            heapCapacity &*= 2
        }
        var at = heapCount
        heapCount &+= 1
        while at > 0, heap[(at &- 1) / 2] < priority {
            heap[at] = heap[(at &- 1) / 2]
            at = (at &- 1) / 2
        }
        heap[at] = priority
    }

    private mutating func pop() {
        heapCount &-= 1
        let moved = heap[heapCount]
        var at = 0
        while true {
            var child = at &* 2 &+ 1
            if child >= heapCount { break }
            if child &+ 1 < heapCount, heap[child &+ 1] > heap[child] { child &+= 1 }
            if heap[child] <= moved { break }
            heap[at] = heap[child]
            at = child
        }
        heap[at] = moved
    }
}
