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

/// The announced connections of a switch, shared by all workers, behind a lock. They are few, live five minutes, and are
/// looked up only for the first packets of connections, and not even then while there are none.
///
/// An expectation stays when it was met, since the packet may come again before anything is committed. Whoever finds one
/// checks that its parent still lives. When the table is full, the oldest one goes.
public final class ExpectationTable: Sendable {
    private let storage: Mutex<[Entry]>
    private let count = Atomic<Int>(0)
    private let capacity: Int
    /// Expectations that had to go for newer ones.
    public let evicted = Atomic<UInt64>(0)

    /// Milliseconds, as the Linux helpers for FTP and TFTP have it.
    public static var timeout: UInt64 { 300_000 }

    private struct Entry: Sendable {
        var expectation: ExpectedConnection
        var deadline: UInt64
    }

    public init(capacity: Int = 1024) {
        self.capacity = max(1, capacity)
        storage = Mutex([])
    }

    /// To be asked first: it takes no lock.
    @inline(__always) public var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    public var expected: Int { count.load(ordering: .relaxed) }

    /// `now` in milliseconds. One with the same tuple is replaced.
    public func add(_ expectation: ExpectedConnection, now: UInt64) {
        storage.withLock { entries in
            entries.removeAll { $0.expectation.tuple == expectation.tuple || now > $0.deadline }
            if entries.count >= capacity {
                entries.removeFirst()
                evicted.add(1, ordering: .relaxed)
            }
            entries.append(Entry(expectation: expectation, deadline: now &+ Self.timeout))
            count.store(entries.count, ordering: .relaxed)
        }
    }

    /// What was announced for a new connection of `original`.
    public func find(_ original: ConnectionTuple, now: UInt64) -> ExpectedConnection? {
        guard !isEmpty else { return nil }
        var tuple = original
        tuple.sourcePort = 0
        return storage.withLock { entries in
            entries.last { $0.expectation.tuple == tuple && now <= $0.deadline }?.expectation
        }
    }

    /// Forgets what a connection announced.
    public func remove(parent: UInt64) {
        guard !isEmpty else { return }
        storage.withLock { entries in
            entries.removeAll { $0.expectation.parent == parent }
            count.store(entries.count, ordering: .relaxed)
        }
    }

    public func removeAll() {
        storage.withLock { entries in
            entries.removeAll()
            count.store(0, ordering: .relaxed)
        }
    }
}
