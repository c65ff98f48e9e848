import CLinux
import Synchronization

/// Two copies of one value: readers use one, the writer changes the other, then they swap.
///
/// A reader never waits, whatever the writer does. To enter, it makes the number in its own slot odd and then loads which
/// copy is in front; to leave, it makes the number even again. Both touch no cache line that another reader writes.
///
/// The writer changes the copy behind, brings it to the front, then waits until every reader that was inside at that
/// moment has left once, and repeats the change on the copy that nobody reads any more. The announcement comes before
/// the look (both sequentially consistent), so a reader that the writer found outside can only enter the new front.
///
/// Writers take turns under a lock. A change must have the same effect on both copies: it runs twice.
///
/// Cost: two uncontended stores and a fence for a reader (about 20 ns); memory and work of a change twice.
public final class LeftRight<Value: AnyObject>: @unchecked Sendable {
    /// Readers that can exist at once.
    public static var maximumReaders: Int { 512 }
    @usableFromInline static var wordsPerSlot: Int { 8 }

    /// Cache line 0: address of the copy in front. Then one cache line for each reader.
    private let words: UnsafeMutablePointer<UInt64>
    private let left: Value
    private let right: Value
    private let writer = Mutex<Bool>(true)
    private let readers = Mutex<Readers>(Readers())

    private struct Readers {
        var count = 0
        var free: [Int] = []
    }

    /// `left` and `right` must be equal, and known to nobody else.
    public init(_ left: Value, _ right: Value) {
        self.left = left
        self.right = right
        let count = (Self.maximumReaders + 1) * Self.wordsPerSlot
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count * 8, alignment: 64)
        words = memory.bindMemory(to: UInt64.self, capacity: count)
        words.initialize(repeating: 0, count: count)
        words[0] = Self.address(left)
    }

    deinit { words.deallocate() }

    private static func address(_ value: Value) -> UInt64 {
        UInt64(UInt(bitPattern: Unmanaged.passUnretained(value).toOpaque()))
    }

    /// The copy in front, for the thread that makes all changes: nothing else may change it meanwhile.
    public var front: Value { weft_atomic_load_ordered(words) == Self.address(left) ? left : right }

    /// A place for one reading thread, nil when all are taken. Give it back with `remove`.
    public func makeReader() -> Reader? {
        readers.withLock { readers in
            let slot: Int
            if let reused = readers.free.popLast() {
                slot = reused
            } else {
                guard readers.count < Self.maximumReaders else { return nil }
                readers.count += 1
                slot = readers.count
            }
            return Reader(front: words, slot: words + slot * Self.wordsPerSlot)
        }
    }

    /// Takes a reader's place back. It must be outside, and is not used again.
    public func remove(_ reader: Reader) {
        readers.withLock { $0.free.append((reader.slot - words) / Self.wordsPerSlot) }
    }

    /// Runs `body` on both copies, one after the other, with the readers out of its way. `between` runs once, when
    /// readers that enter can see the change.
    public func change(_ body: (Value) -> Void, between: () -> Void = {}) {
        change(first: body, between: between, again: body)
    }

    /// The same where the first run may find that the change cannot be made: `first` then throws, having left
    /// its copy as it was, and nothing happens. `again` has to do to the other copy what `first` did.
    public func change<E: Error>(
        first: (Value) throws(E) -> Void, between: () -> Void = {}, again: (Value) -> Void
    ) throws(E) {
        let outcome = writer.withLock { leftInFront -> Result<Void, E> in
            let behind = leftInFront ? right : left
            do throws(E) { try first(behind) } catch { return .failure(error) }
            weft_atomic_store_ordered(words, Self.address(behind))
            between()
            waitForReaders()
            again(leftInFront ? left : right)
            leftInFront.toggle()
            return .success(())
        }
        try outcome.get()
    }

    /// Returns when every reader that is inside now has left.
    func waitForReaders() {
        let count = readers.withLock { $0.count }
        for slot in 1..<(count + 1) {
            let word = words + slot * Self.wordsPerSlot
            let seen = weft_atomic_load_ordered(word)
            guard seen & 1 == 1 else { continue }
            var turns = 0
            while weft_atomic_load_ordered(word) == seen {
                turns += 1
                // The reader may need this very core.
                if turns < 64 { weft_pause() } else { sched_yield() }
            }
        }
    }

    /// The reading side, for one thread. `enter` and `leave` come in pairs and do not nest.
    public struct Reader: @unchecked Sendable {
        @usableFromInline let front: UnsafeMutablePointer<UInt64>
        @usableFromInline let slot: UnsafeMutablePointer<UInt64>

        @inlinable init(front: UnsafeMutablePointer<UInt64>, slot: UnsafeMutablePointer<UInt64>) {
            self.front = front
            self.slot = slot
        }

        /// The copy in front; it does not change, and what it refers to stays, until `leave`.
        @inlinable @inline(__always) public func enter() -> Unmanaged<Value> {
            weft_atomic_store_ordered(slot, slot.pointee &+ 1)
            let address = UInt(truncatingIfNeeded: weft_atomic_load_ordered(front))
            return Unmanaged.fromOpaque(UnsafeRawPointer(bitPattern: address)!)
        }

        @inlinable @inline(__always) public func leave() {
            weft_atomic_store_release(slot, slot.pointee &+ 1)
        }
    }
}
