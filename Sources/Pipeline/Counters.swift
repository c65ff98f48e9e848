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
/// nobody's any more.
public final class Counters: @unchecked Sendable {
    @usableFromInline static let slotsPerChunk = 4096
    @usableFromInline static let maximumChunks = 4096

    /// 64 bytes, so that slots do not share a cache line.
    @usableFromInline struct Slot {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var used: UInt64 = 0
        var modified: UInt64 = 0
        var generation: UInt64 = 0
        /// Idle << 16 | hard.
        var finTimeouts: UInt64 = 0
        var unused: (UInt64, UInt64) = (0, 0)
    }

    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Slot>?>
    // Control thread only.
    private var next: UInt32 = 0
    private var free: [UInt32] = []

    public init() {
        chunks = .allocate(capacity: Self.maximumChunks)
        chunks.initialize(repeating: nil, count: Self.maximumChunks)
    }

    deinit {
        for i in 0..<Self.maximumChunks { chunks[i]?.deallocate() }
        chunks.deallocate()
    }

    private func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Slot>? {
        let chunk = Int(slot) / Self.slotsPerChunk
        guard chunk < Self.maximumChunks, let base = chunks[chunk] else { return nil }
        return base + Int(slot) % Self.slotsPerChunk
    }

    /// Gives out a slot at zero, nil when all 16 million are taken. Control thread only.
    public func allocate(now: UInt64) -> CounterHandle? {
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
        } else {
            let chunk = Int(next) / Self.slotsPerChunk
            guard chunk < Self.maximumChunks else { return nil }
            if chunks[chunk] == nil {
                let memory = UnsafeMutablePointer<Slot>.allocate(capacity: Self.slotsPerChunk)
                memory.initialize(repeating: Slot(), count: Self.slotsPerChunk)
                chunks[chunk] = memory
            }
            slot = next
            next += 1
        }
        guard let p = pointer(slot) else { return nil }
        let generation = p.pointee.generation &+ 1
        p.pointee = Slot(used: now, modified: now, generation: generation)
        return CounterHandle(slot: slot, generation: UInt32(truncatingIfNeeded: generation))
    }

    /// Takes a slot back; its old handle is void from now on. Control thread only.
    public func release(_ handle: CounterHandle) {
        guard let p = pointer(handle.slot), UInt32(truncatingIfNeeded: p.pointee.generation) == handle.generation
        else { return }
        p.pointee.generation &+= 1
        free.append(handle.slot)
    }

    /// Any thread. `now` in milliseconds.
    public func add(_ handle: CounterHandle, packets: UInt64, bytes: UInt64, now: UInt64) {
        guard let p = pointer(handle.slot), UInt32(truncatingIfNeeded: p.pointee.generation) == handle.generation
        else { return }
        weft_atomic_add(&p.pointee.packets, packets)
        weft_atomic_add(&p.pointee.bytes, bytes)
        weft_atomic_max(&p.pointee.used, now)
    }

    /// Renews the hard timeout. Any thread.
    public func touch(_ handle: CounterHandle, now: UInt64) {
        guard let p = pointer(handle.slot), UInt32(truncatingIfNeeded: p.pointee.generation) == handle.generation
        else { return }
        weft_atomic_max(&p.pointee.modified, now)
    }

    /// What `fin_timeout` does to a rule: limits its timeouts, in seconds, if they are longer or not there. 0 leaves one
    /// alone. Any thread.
    public func lowerTimeouts(_ handle: CounterHandle, idle: UInt16, hard: UInt16) {
        guard let p = pointer(handle.slot), UInt32(truncatingIfNeeded: p.pointee.generation) == handle.generation
        else { return }
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
        guard let p = pointer(handle.slot) else { return }
        p.pointee.packets = 0
        p.pointee.bytes = 0
    }

    public func value(_ handle: CounterHandle) -> CounterValue {
        var value = CounterValue()
        guard let p = pointer(handle.slot), UInt32(truncatingIfNeeded: p.pointee.generation) == handle.generation
        else { return value }
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
