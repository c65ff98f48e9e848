/// A binary heap: the least element is at hand, adding and removing take the logarithm of their number.
package struct MinHeap<Element: Comparable> {
    private var elements: [Element]

    package init(_ elements: [Element] = []) {
        self.elements = elements
        for i in stride(from: elements.count / 2 - 1, through: 0, by: -1) { sink(i) }
    }

    package var isEmpty: Bool { elements.isEmpty }
    package var count: Int { elements.count }
    package var first: Element? { elements.first }

    package mutating func insert(_ element: Element) {
        elements.append(element)
        var at = elements.count - 1
        while at > 0, elements[at] < elements[(at - 1) / 2] {
            elements.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    package mutating func removeFirst() -> Element? {
        guard let first = elements.first else { return nil }
        let last = elements.removeLast()
        if !elements.isEmpty { replaceFirst(with: last) }
        return first
    }

    /// Puts an element in place of the least, of which there must be one.
    package mutating func replaceFirst(with element: Element) {
        elements[0] = element
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        var at = start
        while true {
            var least = at
            let child = 2 * at + 1
            if child < elements.count, elements[child] < elements[least] { least = child }
            if child + 1 < elements.count, elements[child + 1] < elements[least] { least = child + 1 }
            guard least != at else { return }
            elements.swapAt(at, least)
            at = least
        }
    }
}
