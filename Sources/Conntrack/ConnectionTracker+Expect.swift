import CLinux
import Memory

// What `track` is going to look up for a packet that comes soon. Guesses: a wrong one costs a fetch for nothing.
extension ConnectionTracker {
    /// Asks for the buckets in which the packet's tuple, and that of its answers if it begins a connection, would stand.
    public func expect(_ packet: Packet, _ request: UnsafePointer<TrackRequest>, worker: Int) {
        var read = ReadPacket()
        guard read.read(packet, zone: request.pointee.zone, isVerified: true) == .none else { return }
        weft_prefetch(table.home(table.hash(read.tuple)))
        guard request.pointee.commits, request.pointee.kind != .none, !read.isRelated else { return }
        let reply = (pickers + worker).pointee.likelyReply(to: read.tuple, request.pointee)
        if let reply { weft_prefetch(table.home(table.hash(reply))) }
    }

    /// The same long before, when no more is known than a zone that is likely.
    ///
    /// - Parameter begins: it begins a connection, for which a record will be wanted.
    public func expect(_ packet: Packet, zone: UInt16, begins: Bool) {
        var read = ReadPacket()
        guard read.read(packet, zone: zone, isVerified: true) == .none else { return }
        let hash = table.hash(read.tuple)
        weft_prefetch(table.home(hash))
        if begins { prepareRecord(hash) }
    }
}
