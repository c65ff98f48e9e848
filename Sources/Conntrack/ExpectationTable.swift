import CLinux
import Synchronization

/// A connection that a helper has seen announced, before its first packet.
public struct ExpectedConnection: Equatable, Sendable {
    /// Its original tuple; the source port is 0 and may be any.
    public var tuple: ConnectionTuple
    /// How it is translated, if the action that commits it translates: its source becomes `address`, or its destination
    /// `address` and `port` (0: stays).
    public var kind: NATKind
    public var address: UInt128
    public var port: UInt16 = 0
    /// Of the connection that announced it, at that moment.
    public var mark: UInt32 = 0
    public var label: UInt128 = 0
    /// That connection, as the tracker numbers it, and its original tuple.
    public var parent: UInt64 = 0
    public var parentTuple = ConnectionTuple()

    public init(tuple: ConnectionTuple, kind: NATKind, address: UInt128) {
        self.tuple = tuple
        self.kind = kind
        self.address = address
    }

    /// The reply tuple of an expected connection of `original`.
    public func reply(to original: ConnectionTuple) -> ConnectionTuple {
        var reply = original.reversed
        switch kind {
        case .none: break
        case .source: reply.dst = address
        case .destination:
            reply.src = address
            if port != 0 { reply.sourcePort = port }
        }
        return reply
    }
}

/// The announced connections of a switch, shared by all workers. They are few and live five minutes.
///
/// Every first packet of a connection asks whether it was announced, so the question must cost next to nothing: a filter
/// of one bit for each hash of what is expected answers nearly all of them with no, without a lock. Behind it is a plain
/// list under a lock.
///
/// An expectation stays when it was met, since the packet may come again before anything is committed. Whoever finds one
/// checks that its parent still lives. A connection has eight at a time; when these, or the table, are full, the oldest
/// one goes.
public final class ExpectationTable: @unchecked Sendable {
    private let storage: Mutex<[Entry]>
    private let count = Atomic<Int>(0)
    private let capacity: Int
    /// Written under the lock, read without.
    private let filter: UnsafeMutablePointer<UInt64>
    /// Expectations that had to go for newer ones.
    public let evicted = Atomic<UInt64>(0)

    /// Milliseconds, as the Linux helpers for FTP and TFTP have it.
    public static var timeout: UInt64 { 300_000 }
    /// Expectations of one connection.
    public static var perParent: Int { 8 }
    private static var filterWords: Int { 128 }

    private struct Entry: Sendable {
        var expectation: ExpectedConnection
        var deadline: UInt64
    }

    public init(capacity: Int = 1024) {
        self.capacity = max(1, capacity)
        storage = Mutex([])
        filter = .allocate(capacity: Self.filterWords)
        filter.initialize(repeating: 0, count: Self.filterWords)
    }

    deinit { filter.deallocate() }

    /// To be asked first.
    @inline(__always) public var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    public var expected: Int { count.load(ordering: .relaxed) }

    /// `now` in milliseconds. One with the same tuple is replaced.
    public func add(_ expectation: ExpectedConnection, now: UInt64) {
        storage.withLock { entries in
            entries.removeAll { $0.expectation.tuple == expectation.tuple || now > $0.deadline }
            let siblings = entries.count { $0.expectation.parent == expectation.parent }
            if siblings >= Self.perParent {
                evict(entries.firstIndex { $0.expectation.parent == expectation.parent }, &entries)
            } else if entries.count >= capacity {
                evict(entries.startIndex, &entries)
            }
            entries.append(Entry(expectation: expectation, deadline: now &+ Self.timeout))
            publish(entries)
        }
    }

    private func evict(_ index: Int?, _ entries: inout [Entry]) {
        guard let index else { return }
        entries.remove(at: index)
        evicted.add(1, ordering: .relaxed)
    }

    /// What was announced for a new connection of `original`.
    public func find(_ original: ConnectionTuple, now: UInt64) -> ExpectedConnection? {
        let bit = Self.bit(original)
        guard weft_atomic_load(filter + bit / 64) &>> UInt64(bit & 63) & 1 != 0 else { return nil }
        var tuple = original
        tuple.sourcePort = 0
        return storage.withLock { entries in
            entries.last { $0.expectation.tuple == tuple && now <= $0.deadline }?.expectation
        }
    }

    /// The filter bit of a tuple, whatever its source port.
    private static func bit(_ tuple: ConnectionTuple) -> Int {
        var h = tuple.srcLow &* 0x9e37_79b9_7f4a_7c15 ^ tuple.dstLow ^ tuple.rest &<< 16
        h = (h ^ h &>> 32 ^ tuple.srcHigh ^ tuple.dstHigh) &* 0xbf58_476d_1ce4_e5b9
        return Int(truncatingIfNeeded: h &>> 51)
    }

    /// Brings filter and count up to date. A bit that stays set is never seen as 0 in between.
    private func publish(_ entries: [Entry]) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.filterWords) { words in
            words.initialize(repeating: 0)
            for entry in entries {
                let bit = Self.bit(entry.expectation.tuple)
                words[bit / 64] |= 1 &<< UInt64(bit & 63)
            }
            for i in 0..<Self.filterWords { weft_atomic_store(filter + i, words[i]) }
        }
        count.store(entries.count, ordering: .relaxed)
    }
}
