import Base
import Memory

// The ops that answer a frame through the port it came in through. Both end the program, or the body they stand in.
extension Run {
    /// Refuses, if that may be done, and so often a second at the most.
    mutating func reject(_ packet: Packet, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches) {
        guard let services else { return drop(packet, .translationFailed, &pool) }
        guard let question = packet.refusablePacket() else { return drop(packet, .unanswerable, &pool) }
        // A rehearsal sends nothing and so uses nothing up.
        if !services.pointee.isRehearsal, !services.pointee.refusals.take(now: services.pointee.now) {
            return drop(packet, .rejectRateLimited, &pool)
        }
        guard packet.becomeRefusal(question) else { return drop(packet, .unanswerable, &pool) }
        send(packet, to: packet.pointee.inPort.rawValue, .max, &pool, outputs)
    }

    mutating func answer(
        _ packet: Packet, mac: UInt64, _ pool: inout PacketPool, _ outputs: borrowing OutputBatches
    ) {
        guard packet.becomeReply(mac: mac) else { return drop(packet, .unanswerable, &pool) }
        send(packet, to: packet.pointee.inPort.rawValue, .max, &pool, outputs)
    }

    private mutating func drop(_ packet: Packet, _ reason: DropReason, _ pool: inout PacketPool) {
        note(reason)
        pool.free(packet)
    }
}
