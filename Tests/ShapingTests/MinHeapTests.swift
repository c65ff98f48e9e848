import Base
import Testing

@Suite struct MinHeapTests {
    @Test func givesTheLeastFirst() {
        var state: UInt64 = 88
        func random() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 54
        }
        var model = (0..<50).map { _ in random() }
        var heap = MinHeap(model)
        for _ in 0..<2000 {
            model.sort()
            #expect(heap.first == model.first && heap.count == model.count)
            switch random() % 3 {
            case 0:
                let value = random()
                heap.insert(value)
                model.append(value)
            case 1 where !model.isEmpty:
                let value = random()
                heap.replaceFirst(with: value)
                model[0] = value
            default:
                let first = heap.removeFirst()
                #expect(first == model.first)
                if first != nil { model.removeFirst() }
            }
        }
        while let first = heap.removeFirst() {
            model.sort()
            #expect(first == model.removeFirst())
        }
        #expect(model.isEmpty && heap.isEmpty)
    }
}
