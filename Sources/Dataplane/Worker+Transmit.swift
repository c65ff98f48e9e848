import Actions
import Base
import CLinux
import Memory
import Ports

extension Worker {
    /// Hands a frame over to be sent.
    @inline(__always)
    func send(_ packet: Packet, to port: UInt32) {
        if !outputs.append(packet, to: port) { discard(packet, .unknownPort) }
    }

    /// The frame ends here.
    func discard(_ packet: Packet, _ reason: DropReason) {
        counters.drops.add(reason, 1, port: packet.pointee.inPort)
        pool.pointee.free(packet)
    }

    /// Gives a port its batch and takes the buffers back.
    func transmit(_ port: UInt32) {
        let batch = outputs.take(port)
        guard let frames = batch.baseAddress, batch.count > 0 else { return }
        guard let transmitter = transmitters[Int(port)] else {
            for i in 0..<batch.count { discard(frames[i], .unknownPort) }
            return
        }
        if seesOffloads {
            transmitWithOffloads(frames, batch.count, transmitter)
        } else {
            transmitter._withUnsafeGuaranteedRef { $0.transmit(frames, batch.count) }
        }
        for i in 0..<batch.count { pool.pointee.free(frames[i]) }
    }

    /// End of a round: everything goes out.
    func flush() {
        let active = outputs.activeCount
        for i in 0..<active {
            let port = outputs.active[i]
            transmit(port)
            transmitters[Int(port)]?._withUnsafeGuaranteedRef { $0.flush() }
        }
        outputs.endRound()
    }
}
