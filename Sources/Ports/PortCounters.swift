import Base
import CLinux

/// Counters of one queue in raw memory: the queue's owner writes, any thread reads. Relaxed loads and stores of whole
/// words, no read-modify-write, because there is one writer.
///
/// Behind the counters lie two words that the control thread writes and the owner reads once a burst.
public final class PortCounters: @unchecked Sendable {
    @usableFromInline let words: UnsafeMutablePointer<UInt64>

    @usableFromInline static var packetsWord: Int { 0 }
    @usableFromInline static var bytesWord: Int { 1 }
    @usableFromInline static var errorsWord: Int { 2 }
    @usableFromInline static var maximumFrameWord: Int { 8 }
    @usableFromInline static var adminDownWord: Int { 9 }
    @usableFromInline static var kernelDropsWord: Int { 10 }
    @usableFromInline static var dropsWord: Int { 16 }
    @usableFromInline static var wordCount: Int { 16 + DropReason.count }

    public init() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.wordCount * 8, alignment: 64)
        words = memory.initializeMemory(as: UInt64.self, repeating: 0, count: Self.wordCount)
    }

    deinit { words.deallocate() }

    @inlinable @inline(__always) func add(_ word: Int, _ count: UInt64) {
        weft_atomic_store(words + word, weft_atomic_load(words + word) &+ count)
    }

    /// Frames that went through. Owner only, once a burst.
    @inlinable public func count(packets: Int, bytes: UInt64) {
        add(Self.packetsWord, UInt64(truncatingIfNeeded: packets))
        add(Self.bytesWord, bytes)
    }

    /// Failures of the device that cannot be told by frame. Owner only.
    @inlinable public func error(_ count: Int = 1) { add(Self.errorsWord, UInt64(truncatingIfNeeded: count)) }

    /// Owner only.
    @inlinable public func drop(_ reason: DropReason, _ count: Int = 1) {
        add(Self.dropsWord &+ Int(reason.rawValue), UInt64(truncatingIfNeeded: count))
    }

    /// Frames that the kernel dropped before the owner saw them; any thread. They show as `noBuffer`.
    func kernelDrops(_ count: UInt64) { weft_atomic_add(words + Self.kernelDropsWord, count) }

    /// Bytes of Ethernet frame without VLAN tag that the port carries; written by the control thread.
    @inlinable public var maximumFrame: Int {
        get { Int(truncatingIfNeeded: weft_atomic_load(words + Self.maximumFrameWord)) }
        set { weft_atomic_store(words + Self.maximumFrameWord, UInt64(truncatingIfNeeded: newValue)) }
    }

    /// Written by the control thread.
    @inlinable public var adminDown: Bool {
        get { weft_atomic_load(words + Self.adminDownWord) != 0 }
        set { weft_atomic_store(words + Self.adminDownWord, newValue ? 1 : 0) }
    }

    /// The values now. Words are read one by one: a reader may see a packet without its bytes.
    public var statistics: PortStatistics {
        var result = PortStatistics()
        result.packets = weft_atomic_load(words + Self.packetsWord)
        result.bytes = weft_atomic_load(words + Self.bytesWord)
        result.errors = weft_atomic_load(words + Self.errorsWord)
        for reason in DropReason.allCases {
            let count = weft_atomic_load(words + Self.dropsWord + Int(reason.rawValue))
            if count > 0 { result.drops[reason] = count }
        }
        let kernel = weft_atomic_load(words + Self.kernelDropsWord)
        if kernel > 0 { result.drops[.noBuffer, default: 0] &+= kernel }
        return result
    }
}

/// One direction of a queue, or of a port when added up.
public struct PortStatistics: Equatable, Sendable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var errors: UInt64 = 0
    /// Only reasons that occurred.
    public var drops: [DropReason: UInt64] = [:]

    public init() {}

    public var dropped: UInt64 { drops.values.reduce(0, &+) }

    public static func += (sum: inout PortStatistics, other: PortStatistics) {
        sum.packets &+= other.packets
        sum.bytes &+= other.bytes
        sum.errors &+= other.errors
        sum.drops.merge(other.drops, uniquingKeysWith: &+)
    }
}
