// Connection tracking: what packet belongs to what conversation, how far that has come, and what it is translated to.
//
// `ConnectionTracker.track` is one `ct` action for one packet. It reads the packet's tuple, finds the connection that has
// it, takes the packet through the protocol's state machine, and leaves in the packet what it found out: state, zone, mark,
// label, the tuple of the direction that began, and a handle of the connection. What is new, established, related,
// a reply or invalid is what Open vSwitch 3.1 says in its userspace datapath, test for test; its differences from Linux
// (UDP stays new until it is answered, both TCP peers have a state of their own, SCTP has no ports) are kept.
//
//     PacketReading           tuple, lengths, checksums
//     ConnectionTable         the memory: slab, index, shards, zones, wheels, reclamation
//     ConnectionTracker       the steps of `ct`, limits, upkeep, dump, settings
//     TCPTracking             state machine and windows
//     NATPicker, NATRewrite   choice of a translation; its application
//     Fragment...             virtual reassembly, in front of `track`
//
// One table for all workers
// -------------------------
// The directions of a connection may arrive on different workers, and a translated one hashes differently each way. So there
// is one table, in 64 shards by hash. The hash is keyed (nobody outside can aim at a bucket) and the same for both directions,
// so that one index entry answers for a connection both ways; a second entry exists only where translation makes the reply
// tuple something else than the mirror image.
//
// - Lookup takes no lock. The index is a linear hash table of buckets of one cache line: seven entries, each the upper half
//   of a hash beside a 32-bit slot number. It grows one bucket at a time while workers go on; a shard's version is odd while
//   entries move, and a lookup that found nothing while it changed looks again.
// - A record is changed under the lock bit of its control word, one compare-and-swap, by whoever has a packet of the
//   connection. The other half of that word is the generation, which makes handles of ended connections void.
// - Inserts and removals hold the lock of a shard, or of two for a translated connection, the lower number first. A lock is
//   held for well under a microsecond, also by upkeep and flush, which let go after 32 records.
// - Who holds a shard's lock may take the lock bit of a record; not the other way round.
//
// Slots are used again after a rest: when every worker has passed a quiet point (`quiescent`, once a burst) since the
// connection was withdrawn. Threads that are no workers (upkeep, control) look connections up under the shard's lock.
//
// Time
// ----
// A packet writes the time at which its connection expires, nothing else. A connection is over at that very millisecond:
// no lookup and no dump shows it any more. Its memory is given back when the shard's timer wheel comes to it, half a minute
// late at most.
//
// What it costs
// -------------
// An established packet touches one line of the index and three of the record, and costs two stores to each of them: about 100
// cycles without cache misses. 256 bytes a record and about 20 in the index, up to 40 if translated. Address space for
// the configured capacity is reserved at start; memory is taken as it is used, ahead of the workers, by upkeep.
//
// Limits
// ------
// Of all connections and of each zone. At a limit, a connection that expired, was never answered or is closing gives way; one
// that lives never does. Without such a one the new connection is not committed, and its packet passes as new.
