import Base
import CLinux
import Memory

/// Writes frames to a capture file that all workers share, or only counts them if there is none.
final class PcapTransmitter: PortTransmitter, @unchecked Sendable {
    private let writer: PcapWriter?

    init(writer: PcapWriter?, maximumFrame: Int) {
        self.writer = writer
        super.init(maximumFrame: maximumFrame)
    }

    override func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        let maximum = maximumFrame
        var bytes: UInt64 = 0
        var fitting = 0
        var written = 0
        if let writer {
            let time = weft_clock(CLOCK_REALTIME)
            written = writer.write(packets, count, time: time, bytes: &bytes) { packet in
                if Self.exceeds(packet, maximum) { return false }
                fitting &+= 1
                return true
            }
        } else {
            for index in 0..<count where !Self.exceeds(packets[index], maximum) {
                bytes &+= UInt64(packets[index].pointee.length)
                written &+= 1
            }
            fitting = written
        }
        counters.count(packets: written, bytes: bytes)
        if fitting < count { counters.drop(.exceedsMTU, count &- fitting) }
        if written < fitting { counters.drop(.transmitError, fitting &- written) }
    }

    override func flush() {
        if let writer, !writer.flush() { counters.error() }
    }
}
