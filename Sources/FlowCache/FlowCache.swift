import Flow

/// # FlowCache: from a packet's key to what to do with it
///
/// The slow path answers one packet; this module remembers the answer for all packets like it. One `FlowCache` belongs
/// to one worker: nothing in it is shared, locked or reference counted, and looking up allocates nothing.
///
///     key of a frame
///       -> exact cache      one entry of 64 bytes for each five-tuple seen; two places an entry may lie in
///       -> signature cache  six bytes for each five-tuple, for the flows that the exact cache has no room for
///       -> megaflow table   one hash table for each distinct mask ("tuple"), most-hit tuple first
///       -> miss             the translator runs, its answer is installed
///
/// **What is kept.** A megaflow is a mask, the key under that mask, and an `ActionBlock`: the program to run and the credits
/// to pay. Blocks are interned: ten thousand megaflows that do the same along the same rules share one, which
/// therefore stays in the first-level cache.
///
/// **Why a short cut is right.** An entry of the exact or signature cache is only a guess at which megaflow matches: the
/// packet's words are always compared under that megaflow's own mask. So whatever the guess, the answer is
/// a megaflow that matches, and every megaflow that matches is right, because masks are sound.
///
/// **Staying right.** Each megaflow carries the generation of the configuration that it was last known to hold for. A
/// change of configuration raises the generation and says which dependencies it touched. A megaflow found with
/// an older generation is checked at that moment: if nothing that it depends on was touched it is stamped with the new
/// generation; otherwise its packet is translated again, and the megaflow is kept if the answer is the same, replaced
/// if not. So a change takes effect with the next packet, costs nothing for what it did not touch, and needs no
/// sweep over the table.
///
/// **Which levels are asked.** A level that does not pay is not consulted: while the megaflow table has only
/// `directTupleLimit` tuples, asking them directly (their entries stay in the first-level cache) beats any table
/// with an entry for each flow.
///
/// **Costs** (cycles a packet, estimates from development on a 2.45 GHz Zen 3, burst of 32): a direct tuple about 15, an
/// exact hit about 25 while the table fits the second-level cache, a further tuple about 15.
public enum FlowCacheLimits {
    /// Frames looked up together at the most.
    public static let maximumBurst = 256
    /// Distinct masks. A mask beyond that is narrowed to an exact match on everything a frame can carry.
    public static let maximumTuples = 512
    /// With so many tuples or fewer, the exact and signature caches are passed over.
    @inlinable public static var directTupleLimit: Int { 4 }
}

/// Sizes and switches of one worker's caches.
public struct FlowCacheConfiguration: Sendable, Equatable {
    /// Which levels are in use: `weftd --cache`.
    public enum Levels: String, Sendable, CaseIterable { case all, megaflow, none }

    public var levels = Levels.all
    /// Entries, rounded up to a power of two; 64 bytes each.
    public var exactEntries = 262_144
    /// Entries, rounded up to a power of two; 8 bytes each.
    public var signatureEntries = 1_048_576
    /// Megaflows; at the limit the least recently used of a sample makes room.
    public var flowLimit = 200_000
    /// Sessions; 64 bytes each, touched as they are used, and 16 in their index. 0: none.
    public var sessionLimit = 1 << 21
    /// Milliseconds without a packet after which a megaflow or a session goes.
    public var maximumIdle: UInt64 = 10_000

    /// For packets that come back from connection tracking, whose keys have words of tracking too: made by `returning`.
    package var isReturning = false

    public init() {}

    /// The same for the packets that come back. They have no use for an exact cache, whose entries hold no more than
    /// what is in a frame.
    public var returning: FlowCacheConfiguration {
        var configuration = self
        configuration.isReturning = true
        configuration.exactEntries = 1
        return configuration
    }

    /// Words of a key that lookups compare.
    var keyWords: Int { isReturning ? FlowKey.trackedWords : FlowKey.packetWords }
}
