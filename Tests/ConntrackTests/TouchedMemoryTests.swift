import Conntrack
import Testing

/// Memory is touched ahead of use, in steps, and never behind its end.
@Suite struct TouchedMemoryTests {
    private static let page = 4096

    /// How many steps there are to be done.
    private func steps(_ memory: inout TouchedMemory, used: Int) -> Int {
        var steps = 1
        while memory.advance(used: used) {
            steps += 1
            if steps > 10_000 { break }
        }
        return steps
    }

    @Test(arguments: [0, 1, 4095, 4096, 2 << 20, 9 << 20, 9 << 20 + 4097]) func itEndsWhateverTheSize(byteCount: Int) {
        let room = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: Self.page)
        defer { room.deallocate() }
        room.initializeMemory(as: UInt8.self, repeating: 1, count: byteCount)
        var memory = TouchedMemory(room, byteCount: byteCount)
        for used in [0, 1, byteCount / 3, byteCount / 2, byteCount] {
            let taken = steps(&memory, used: used)
            #expect(taken <= byteCount / (2 << 20) + 2)
            let isUnfinished = memory.advance(used: used)
            #expect(!isUnfinished, "there is no more to do")
        }
    }

    @Test func itGoesAheadByWhatWasTakenOfLate() {
        let room = UnsafeMutableRawPointer.allocate(byteCount: 64 << 20, alignment: Self.page)
        defer { room.deallocate() }
        var memory = TouchedMemory(room, byteCount: 64 << 20)
        // Two megabytes; then 20 ahead of the 10 that are used, two in each step; then it has come to a rest.
        let taken = [0, 10 << 20, 10 << 20].map { steps(&memory, used: $0) }
        #expect(taken == [1, 10, 1])
    }
}
