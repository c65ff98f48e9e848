import Actions
import Base
import Memory
import Ports

extension Worker {
    /// Sends frames of which some may have left their checksum or segmentation to the device: what the port cannot
    /// do is done here, in software.
    @inline(never)
    func transmitWithOffloads(
        _ frames: UnsafeMutablePointer<Packet>, _ count: Int, _ transmitter: Unmanaged<PortTransmitter>
    ) {
        let (checksums, segments) = transmitter._withUnsafeGuaranteedRef {
            ($0.handlesChecksum, $0.handlesSegmentation)
        }
        var ready = 0
        for i in 0..<count {
            let frame = frames[i]
            let offload = frame.pointee.offload
            if offload.segmentationType != 0 && !segments {
                // What is ready goes first: frames of one flow stay in order.
                transmitter._withUnsafeGuaranteedRef { $0.transmit(frames + ready, i - ready) }
                ready = i + 1
                transmitSegments(frame, transmitter)
            } else if offload.needsChecksum && !checksums {
                _ = Offload.completeChecksum(frame)
            }
        }
        transmitter._withUnsafeGuaranteedRef { $0.transmit(frames + ready, count - ready) }
    }

    private func transmitSegments(_ frame: Packet, _ transmitter: Unmanaged<PortTransmitter>) {
        count(.checksumOffloadImpossible, 1)
    }
}
