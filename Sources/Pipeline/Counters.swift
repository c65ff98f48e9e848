import Base
import CLinux

/// A slot of `Counters`: its number, and which use of that number (slots are reused).
public struct CounterHandle: Hashable, Sendable {
    public let slot: UInt32
    public let generation: UInt32

    @inlinable public init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}

/// What packets did to something: read at one moment.
public struct CounterValue: Sendable, Equatable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Milliseconds of the switch's clock when last used, at first when the slot was given out.
    public var used: UInt64 = 0
    /// Milliseconds when last added, modified or renewed by `learn`.
    public var modified: UInt64 = 0
    /// Seconds to which `fin_timeout` limits the timeouts of the rule; 0 is not at all.
    public var finIdleTimeout: UInt16 = 0
    public var finHardTimeout: UInt16 = 0

    public init() {}
}

/// Counters of rules, buckets, groups and mirrors: slots in chunks that never move, added to by workers (when they
/// fold the statistics of their megaflows) with relaxed atomic adds, read and reused by the control thread.
///
/// A slot whose generation has moved on swallows late additions: what a deleted rule's last packets add is
/// nobody's any more. A worker may have looked at the generation just before it moved on, and add just after; so a slot that
/// is given back waits until every reader of the configuration that was inside at that moment has left once
/// (`LeftRight` waits for that in each change), and only then is given out again. Workers add inside only.
public final class Counters: @unchecked Sendable {
    static let slotsPerChunk = 4096
    private let maximumChunks: Int

    /// 64 bytes, so that slots do not share a cache line.
    fileprivate struct Slot {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var used: UInt64 = 0
        var modified: UInt64 = 0
        var generation: UInt64 = 0
        /// Idle << 16 | hard.
        var finTimeouts: UInt64 = 0
        var unused: (UInt64, UInt64) = (0, 0)
    }

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Slot>?>
    // Control thread only.
    private var next: UInt32 = 0
    private var free: [UInt32] = []
    /// Given back, and perhaps still in the hands of a reader; in the order of their release.
    private var released: [UInt32] = []
    /// Returns when every reader that is inside now has left. Asked only when there is no other slot to be had.
    package var waitForReaders: (() -> Void)?

    /// `slotLimit` is rounded up to chunks of 4,096.
    public init(slotLimit: Int = 1 << 24) {
        maximumChunks = (slotLimit + Self.slotsPerChunk - 1) / Self.slotsPerChunk
        chunks = .allocate(capacity: maximumChunks)
        chunks.initialize(repeating: nil, count: maximumChunks)
    }

    deinit {
        for i in 0..<maximumChunks { chunks[i]?.deallocate() }
        chunks.deallocate()
    }

    private func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Slot>? {
        let chunk = Int(slot) / Self.slotsPerChunk
        guard chunk < maximumChunks, let base = chunks[chunk] else { return nil }
        return base + Int(slot) % Self.slotsPerChunk
    }

    /// The slot, if the handle is still good. Whoever adds to it must have been inside a reader since before the look.
    private func current(_ handle: CounterHandle) -> UnsafeMutablePointer<Slot>? {
        guard let p = pointer(handle.slot),
            UInt32(truncatingIfNeeded: weft_atomic_load(&p.pointee.generation)) == handle.generation
        else { return nil }
        return p
    }

    /// Gives out a slot at zero, nil when all 16 million are taken. Control thread only.
    public func allocate(now: UInt64) -> CounterHandle? {
        if free.isEmpty, Int(next) / Self.slotsPerChunk >= maximumChunks, !released.isEmpty, let waitForReaders {
            waitForReaders()
            reclaim(released.count)
        }
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
        } else {
            let chunk = Int(next) / Self.slotsPerChunk
            guard chunk < maximumChunks else { return nil }
            if chunks[chunk] == nil {
                let memory = UnsafeMutablePointer<Slot>.allocate(capacity: Self.slotsPerChunk)
                memory.initialize(repeating: Slot(), count: Self.slotsPerChunk)
                chunks[chunk] = memory
            }
            slot = next
            next += 1
        }
        guard let p = pointer(slot) else { return nil }
        // Nobody adds to it, but old handles are still compared with its generation.
        weft_atomic_store(&p.pointee.packets, 0)
        weft_atomic_store(&p.pointee.bytes, 0)
        weft_atomic_store(&p.pointee.used, now)
        weft_atomic_store(&p.pointee.modified, now)
        weft_atomic_store(&p.pointee.finTimeouts, 0)
        let generation = p.pointee.generation &+ 1
        weft_atomic_store_release(&p.pointee.generation, generation)
        return CounterHandle(slot: slot, generation: UInt32(truncatingIfNeeded: generation))
    }

    /// Takes a slot back; its old handle is void from now on. Control thread only.
    public func release(_ handle: CounterHandle) {
        guard let p = current(handle) else { return }
        weft_atomic_store_ordered(&p.pointee.generation, p.pointee.generation &+ 1)
        released.append(handle.slot)
    }

    /// Slots that were given back and wait for readers to leave. Control thread only.
    package var releasedCount: Int { released.count }

    /// Every reader that was inside when the first `count` of the released slots were given back has left since: they may be
    /// given out again. Control thread only.
    package func reclaim(_ count: Int) {
        guard count > 0 else { return }
        free += released.prefix(count)
        released.removeFirst(min(count, released.count))
    }

    /// A counter that was found good. Adds to it without another look: only inside the reader in which it was found.
    package struct Account {
        fileprivate let slot: UnsafeMutablePointer<Slot>

        @inline(__always)
        package func add(packets: UInt64, bytes: UInt64, now: UInt64) {
            weft_atomic_add(&slot.pointee.packets, packets)
            weft_atomic_add(&slot.pointee.bytes, bytes)
            weft_atomic_max(&slot.pointee.used, now)
        }
    }

    /// The first half of `add`.
    @inline(__always)
    package func account(_ handle: CounterHandle) -> Account? { current(handle).map { Account(slot: $0) } }

    /// Inside a reader, or on the control thread. `now` in milliseconds.
    public func add(_ handle: CounterHandle, packets: UInt64, bytes: UInt64, now: UInt64) {
        account(handle)?.add(packets: packets, bytes: bytes, now: now)
    }

    /// Renews the hard timeout. Inside a reader, or on the control thread.
    public func touch(_ handle: CounterHandle, now: UInt64) {
        guard let p = current(handle) else { return }
        weft_atomic_max(&p.pointee.modified, now)
    }

    /// What `fin_timeout` does to a rule: limits its timeouts, in seconds, if they are longer or not there. 0 leaves one
    /// alone. Inside a reader, or on the control thread.
    public func lowerTimeouts(_ handle: CounterHandle, idle: UInt16, hard: UInt16) {
        guard let p = current(handle) else { return }
        while true {
            let seen = weft_atomic_load(&p.pointee.finTimeouts)
            func lower(_ old: UInt64, _ new: UInt16) -> UInt64 {
                new != 0 && (old == 0 || old > UInt64(new)) ? UInt64(new) : old
            }
            let wanted = lower(seen >> 16, idle) << 16 | lower(seen & 0xffff, hard)
            if wanted == seen || weft_atomic_compare_exchange(&p.pointee.finTimeouts, seen, wanted) { return }
        }
    }

    /// Control thread. Zero packets and bytes (`reset_counts`); time stamps stay.
    public func reset(_ handle: CounterHandle) {
        guard let p = current(handle) else { return }
        weft_atomic_store(&p.pointee.packets, 0)
        weft_atomic_store(&p.pointee.bytes, 0)
    }

    public func value(_ handle: CounterHandle) -> CounterValue {
        var value = CounterValue()
        guard let p = current(handle) else { return value }
        value.packets = weft_atomic_load(&p.pointee.packets)
        value.bytes = weft_atomic_load(&p.pointee.bytes)
        value.used = weft_atomic_load(&p.pointee.used)
        value.modified = weft_atomic_load(&p.pointee.modified)
        let timeouts = weft_atomic_load(&p.pointee.finTimeouts)
        value.finIdleTimeout = UInt16(truncatingIfNeeded: timeouts >> 16)
        value.finHardTimeout = UInt16(truncatingIfNeeded: timeouts)
        return value
    }
}
