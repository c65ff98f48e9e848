import Base
import CLinux
import Memory

/// All meters of a switch, by number: what programs name.
///
/// The control thread alone adds, changes and removes; workers look up. A number leads to a block through one word, which
/// is stored and loaded as a whole, so a worker polices by the old meter or by the new one, never by half of each. Workers
/// announce nothing while they run programs, so a block that was replaced may still be used for a moment. It is used
/// again only after many others; what is late by then counts a frame, and takes its tokens, where it should not, and
/// that is all.
public final class MeterTable: @unchecked Sendable {
    /// `max_meter` of Open vSwitch's userspace datapath.
    public static let capacity = 1 << 18
    /// Blocks that lie fallow before one is used again.
    private static let fallow = 1024

    private let words = LineMemory(byteCount: MeterTable.capacity * 8, isSparse: true)
    private let blocks = LineMemory(
        byteCount: (MeterTable.capacity + MeterTable.fallow + 1) * MeterBlock.byteCount, isSparse: true)
    /// Numbers and blocks from here on have never been given out.
    private var freshNumber: UInt32 = 0
    private var freshBlock = 0
    private var freeNumbers = MinHeap<UInt32>()
    /// From `firstFree` on, in the order in which they were given back.
    private var freeBlocks: [UnsafeMutableRawPointer] = []
    private var firstFree = 0

    public init() {}

    /// What workers look up in: valid as long as the table.
    public var lookup: MeterLookup { MeterLookup(words.start.assumingMemoryBound(to: UInt64.self)) }

    /// Gives out the lowest number, as Open vSwitch does; nil if all are taken. `now` in milliseconds.
    public func add(_ settings: MeterSettings, now: UInt64) -> UInt32? {
        let number: UInt32
        if let lowest = freeNumbers.removeFirst() {
            number = lowest
        } else {
            guard freshNumber < Self.capacity else { return nil }
            number = freshNumber
            freshNumber += 1
        }
        store(settings, number, now)
        return number
    }

    /// Puts a meter with full buckets that has seen nothing in the place of another.
    public func replace(_ number: UInt32, with settings: MeterSettings, now: UInt64) {
        guard let old = lookup.block(number) else { return }
        store(settings, number, now)
        freeBlocks.append(old.address)
    }

    public func remove(_ number: UInt32) {
        guard let old = lookup.block(number) else { return }
        lookup.store(nil, number)
        freeNumbers.insert(number)
        freeBlocks.append(old.address)
    }

    public func statistics(_ number: UInt32) -> MeterStatistics {
        lookup.block(number)?.statistics ?? MeterStatistics()
    }

    private func store(_ settings: MeterSettings, _ number: UInt32, _ now: UInt64) {
        let address: UnsafeMutableRawPointer
        if freeBlocks.count - firstFree > Self.fallow {
            address = freeBlocks[firstFree]
            firstFree += 1
            // Moved up no more often than as many have gone, so it costs nothing by the piece.
            if firstFree * 2 > freeBlocks.count {
                freeBlocks.removeFirst(firstFree)
                firstFree = 0
            }
        } else {
            // As many blocks as numbers, those that lie fallow, and this one.
            address = blocks.start + freshBlock * MeterBlock.byteCount
            freshBlock += 1
        }
        let block = MeterBlock(address)
        block.start(settings, now: now)
        lookup.store(block, number)
    }
}

/// The table as a worker has it: one pointer.
public struct MeterLookup {
    private let words: UnsafeMutablePointer<UInt64>

    init(_ words: UnsafeMutablePointer<UInt64>) { self.words = words }

    /// Whether the meter takes a frame of so many bytes at `now` milliseconds. One that is not there takes everything, as in
    /// Open vSwitch.
    public func admits(_ number: UInt32, bytes: UInt32, now: UInt64) -> Bool {
        guard let block = block(number) else { return true }
        return block.admits(bytes: bytes, now: now)
    }

    func block(_ number: UInt32) -> MeterBlock? {
        guard number < MeterTable.capacity else { return nil }
        let address = weft_atomic_load_acquire(words + Int(number))
        return UnsafeMutableRawPointer(bitPattern: UInt(address)).map { MeterBlock($0) }
    }

    func store(_ block: MeterBlock?, _ number: UInt32) {
        weft_atomic_store_release(words + Int(number), block.map { UInt64(UInt(bitPattern: $0.address)) } ?? 0)
    }
}
