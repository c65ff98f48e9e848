import Actions
import Base
import Memory
import Ports

extension Worker {
    /// Sends frames of which some may have left their checksum or segmentation to the device: what the port cannot
    /// do is done here, in software. Frames of one flow stay in order.
    @inline(never)
    func transmitWithOffloads(
        _ frames: UnsafeMutablePointer<Packet>, _ count: Int, _ transmitter: Unmanaged<PortTransmitter>
    ) {
        let (checksums, segments) = transmitter._withUnsafeGuaranteedRef {
            ($0.handlesChecksum, $0.handlesSegmentation)
        }
        var waiting = 0
        func send(upTo end: Int) {
            if end > waiting { transmitter._withUnsafeGuaranteedRef { $0.transmit(frames + waiting, end - waiting) } }
            waiting = end
        }
        for i in 0..<count {
            let frame = frames[i]
            if frame.pointee.offload.segmentationType != 0 && !segments {
                send(upTo: i)
                transmitSegments(of: frame, transmitter)
                waiting = i + 1
            } else if frame.pointee.offload.needsChecksum && !checksums, !Offload.completeChecksum(frame) {
                send(upTo: i)
                counters.drops.add(.checksumOffloadImpossible, 1, port: frame.pointee.inPort)
                waiting = i + 1
            }
        }
        send(upTo: count)
    }

    private func transmitSegments(of frame: Packet, _ transmitter: Unmanaged<PortTransmitter>) {
        switch Offload.segment(frame, pool: &pool.pointee, into: segmentFrames, capacity: Self.segmentCapacity) {
        case .refused(let reason): counters.drops.add(reason, 1, port: frame.pointee.inPort)
        case .made(let made):
            transmitter._withUnsafeGuaranteedRef { $0.transmit(segmentFrames, made) }
            for i in 0..<made { pool.pointee.free(segmentFrames[i]) }
            counters.add(.copies, UInt64(made) - 1)
        }
    }

    /// Segments of one frame at the most: 64 KiB in pieces of 32 bytes.
    static var segmentCapacity: Int { 2048 }
}
