import Flow
import Synchronization

/// Where a translation stopped so that the frame can come back once connection tracking has seen it: everything of
/// the flow that is not in the frame and not in what tracking finds out.
///
/// Frames that come back with the same state share one, named by `id`; the id is part of their key, so it stands
/// for all of this in their megaflows. Immutable, but for the count of those who need it.
public final class FrozenState: Sendable {
    public let id: UInt32
    /// The bridge, known by its MAC table: numbers are given out again.
    let stations: StationTable
    let bridge: Int
    let content: Content
    /// Cached programs that send frames here.
    let references = Atomic<Int>(0)
    /// Milliseconds of the switch's clock at the last use by a translation.
    let used: Atomic<UInt64>

    struct Content: Sendable {
        var table: UInt8 = 0
        /// OpenFlow number of the port of entry, by then.
        var inPort: UInt32 = 0
        /// Words from `firstWord` of the flow: tunnel, metadata, registers.
        var words: [UInt64] = []
        var stack: [StackEntry] = []
        var actionSet: [ActionCode] = []
        var actionSetHasGroup = false
        var mirrored: UInt64 = 0
        var mirrorSnapLength = 0
        /// The frame may go back through the port that it came in through.
        var returnsToPort = false
    }

    /// First of the words that are kept; those below describe the frame and what tracking found out.
    static var firstWord: Int { 28 }

    init(id: UInt32, bridge: BridgeState, content: Content, now: UInt64) {
        self.id = id
        self.bridge = bridge.number
        stations = bridge.stations
        self.content = content
        used = Atomic(now)
    }
}

extension FrozenState.Content {
    func equals(_ other: FrozenState.Content) -> Bool {
        table == other.table && inPort == other.inPort && words == other.words && mirrored == other.mirrored
            && mirrorSnapLength == other.mirrorSnapLength && returnsToPort == other.returnsToPort
            && actionSetHasGroup == other.actionSetHasGroup
            && stack.count == other.stack.count
            && zip(stack, other.stack).allSatisfy { $0.value == $1.value && $0.bytes == $1.bytes }
            && actionSet.count == other.actionSet.count && zip(actionSet, other.actionSet).allSatisfy { $0 === $1 }
    }

    var hash: UInt64 {
        var hash = UInt64(table) &<< 32 | UInt64(inPort)
        for word in words { hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15 &+ hash &>> 29 }
        return hash ^ UInt64(stack.count) ^ mirrored
    }
}

/// All frozen states of the switch, shared by all workers and both copies of the configuration.
///
/// A state stays while a cached program names it, and for a while after it was last asked for: a frame on its way back
/// finds it even if the program that sent it is gone. Asked only while a packet is translated, so a lock will do.
public final class FrozenStates: Sendable {
    private struct Content {
        var byID: [UInt32: FrozenState] = [:]
        var byHash: [UInt64: [FrozenState]] = [:]
        var nextID: UInt32 = 1
    }
    private let content = Mutex(Content())

    /// Milliseconds that an unused state stays.
    private static var grace: UInt64 { 10_000 }
    /// States at the most: beyond that, rules make them faster than they can be of use.
    public static var capacity: Int { 1 << 18 }

    public init() {}

    /// The state with this content, made if it is new; nil if there are too many.
    func intern(_ wanted: FrozenState.Content, bridge: BridgeState, now: UInt64) -> FrozenState? {
        let hash = wanted.hash
        return content.withLock { content -> FrozenState? in
            for state in content.byHash[hash] ?? [] where state.stations === bridge.stations {
                guard state.content.equals(wanted) else { continue }
                state.used.store(now, ordering: .relaxed)
                return state
            }
            guard content.byID.count < Self.capacity else { return nil }
            while content.nextID == 0 || content.byID[content.nextID] != nil { content.nextID &+= 1 }
            let state = FrozenState(id: content.nextID, bridge: bridge, content: wanted, now: now)
            content.nextID &+= 1
            content.byID[state.id] = state
            content.byHash[hash, default: []].append(state)
            return state
        }
    }

    func state(_ id: UInt32, now: UInt64) -> FrozenState? {
        content.withLock { content in
            guard let state = content.byID[id] else { return nil }
            state.used.store(now, ordering: .relaxed)
            return state
        }
    }

    /// A cached program sends frames to the state.
    public func retain(_ id: UInt32) {
        content.withLock { content in _ = content.byID[id]?.references.add(1, ordering: .relaxed) }
    }

    public func release(_ id: UInt32) {
        content.withLock { content in _ = content.byID[id]?.references.subtract(1, ordering: .relaxed) }
    }

    public var count: Int { content.withLock { $0.byID.count } }

    /// Lets go of states that nobody needs. How many.
    @discardableResult
    public func collect(now: UInt64) -> Int {
        content.withLock { content in
            let gone = content.byID.values.filter {
                $0.references.load(ordering: .relaxed) == 0
                    && now > $0.used.load(ordering: .relaxed) &+ Self.grace
            }
            for state in gone {
                content.byID[state.id] = nil
                let hash = state.content.hash
                content.byHash[hash]?.removeAll { $0 === state }
                if content.byHash[hash]?.isEmpty == true { content.byHash[hash] = nil }
            }
            return gone.count
        }
    }
}
